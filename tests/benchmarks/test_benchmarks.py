"""The benchmarks run on small sizes: what they print can be read, and additive attention takes as little
memory as documented.
"""

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_captions

from seq2attn import config
from seq2attn.data.images.corpus import CaptionedImage, ImageCorpus
from seq2attn.data.tokenizer import BOS, EOS, PAD, UNK
from seq2attn.runs import directory
from seq2attn.runs.tensors import read_tensors, write_tensors
from seq2attn.samples.clips import corpus as clips

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}


def printed(script: str, *arguments: object, status: int = 0) -> str:
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=240, check=False)
    assert done.returncode == status, done.stderr
    return done.stdout


def rows(markdown: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in markdown.splitlines()
        if line.startswith("|")
    ][2:]


def pairs(folder: Path, *splits: str, target: str) -> Path:
    """The folder, now with these splits of a few sentences."""
    for split in splits:
        for side, lines in (("en", tiny.ENGLISH), (target, tiny.FRENCH)):
            (folder / f"{split}.{side}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_attention_memory_of_additive_scores_has_no_cube() -> None:
    ways = ("additive", "additive, step by step")
    batch, source, target, units = 2, 200, 200, 128
    found = rows(
        printed(
            "attention_memory.py", *ways, "--sizes", f"{source}x{target}", "--batch", batch, "--units", units
        )
    )
    cube, scores = (4 * batch * source * target * n / 2**20 for n in (units, 1))
    assert [row[0] for row in found] == list(ways)
    for row in found:
        assert row[1:4] == [str(source), str(target), f"{scores:,.1f}"]
        assert scores <= float(row[4]) < 12  # measured: 3 and 4
        assert float(row[5]) > 0
    assert float(found[0][6]) > cube * 1.9  # autograd's: the tanh and its gradient, at the least
    assert found[1][6:] == ["", ""]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_attention_memory_skips_a_plain_form_that_would_not_fit() -> None:
    (row,) = rows(
        printed(
            "attention_memory.py", "cosine", "--sizes", "40x30", "--batch", 1, "--units", 1024, "--limit", 14
        )
    )
    assert row[6:] == ["not run: over 14", ""]
    assert float(row[4]) > 0


def test_fast_path_compares_with_the_same_model_step_by_step(tmp_path: Path) -> None:
    pairs(tmp_path, "train", "valid", target="fr")
    small = [
        "train.batch_tokens=64",
        "data.tokenizer=char",
        "model.encoder.size=4",
        "model.decoder.size=8",
        "model.embedding=8",
    ]
    settings = [argument for setting in small for argument in ("--set", setting)]
    text = printed(
        "fast_path.py",
        "first-try",
        "--data",
        tmp_path,
        "--source",
        "en",
        "--target",
        "fr",
        "--rounds",
        1,
        "--steps",
        15,
        *settings,
    )
    fast, slow = rows(text)
    assert text.startswith(f"{tmp_path}, train.batch_tokens=64 ")
    assert (fast[:2], slow[:2]) == (["first-try", "at once"], ["first-try", "step by step"])
    assert fast[4] == slow[4]  # the same losses: the same model on the same batches
    assert slow[5] == "1.00"
    assert float(fast[5]) == pytest.approx(
        float(fast[2].replace(",", "")) / float(slow[2].replace(",", "")), rel=0.01
    )


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_length_measures_and_draws(tmp_path: Path) -> None:
    text = printed(
        "length.py", "convolution", "--lengths", 12, 6, "--rounds", 1, "--threads", 1, "--out", tmp_path
    )
    found = rows(text.partition("Decoding")[0]) + rows("Decoding" + text.partition("Decoding")[2])
    assert [row[:2] for row in found] == [["convolution", "6"], ["convolution", "12"]] * 2
    for short, long in (found[:2], found[2:]):
        assert float(long[3]) == pytest.approx(float(long[2]) / 12, rel=0.02)
        assert (short[4], short[7]) == ("", "")
        assert float(long[4]) == pytest.approx(np.log2(float(long[2]) / float(short[2])), abs=0.02)
    assert (tmp_path / "length.md").read_text(encoding="utf-8") == text
    assert {path.name for path in tmp_path.iterdir()} == {
        "length.md",
        *(f"length-{q}.{e}" for q in ("time", "memory") for e in ("svg", "png")),
    }


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize("way", ["training", "decoding"])
def test_length_measures_every_model(monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.syspath_prepend(HERE)
    spec = importlib.util.spec_from_file_location("length", HERE / "length.py")
    assert spec is not None
    assert spec.loader is not None
    length = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(length)
    assert len(length.MODELS) == 4
    for model in length.MODELS:
        assert length.measure(model, way, 5, 5, threads=1).seconds > 0


@pytest.fixture
def translated(tmp_path: Path) -> Path:
    """A run of a Transformer, which writes no special piece, and a folder with the test set."""
    part = {"kind": "transformer", "size": 12, "layers": 1, "heads": 2, "feedforward": 16}
    weights = directory.open_run(
        tiny.save_run(
            tmp_path / "run", encoder=part, attention={"score": "scaled-dot", "heads": 2, "size": 12}, **part
        )
    ).weights
    tensors = read_tensors(weights)
    tensors["decoder.output.bias"][[PAD, UNK, BOS]] = -100
    write_tensors(weights, tensors)
    for side, lines in (("en", tiny.ENGLISH), ("de", tiny.FRENCH)):
        (tmp_path / f"test_2016_flickr.{side}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return tmp_path


def test_decoding_speed_reports_quality(translated: Path) -> None:
    arguments = [
        "--data",
        translated,
        "--run",
        translated / "run",
        "--beams",
        2,
        "--precisions",
        "fp32",
        "--rounds",
        2,
        "--threads",
        1,
    ]
    found = rows(
        printed(
            "decoding_speed.py",
            *arguments,
            "--against",
            "other=echo 7 sentences/s; echo BLEU = 12.34, 1,007.5 sentences/s",
        )
    )
    assert [row[0] for row in found] == ["seq2attn fp32, beam 2", "other"]
    own, other = found
    assert all(float(own[number].replace(",", "")) > 0 for number in (1, 3, 6))
    assert 0 <= float(own[4]) < 100
    assert own[5] == "100.0%"
    assert other[1:5] == ["1,008", "1,008 1,008", "", "12.34"]


def test_decoding_speed_compares_other_engines(translated: Path) -> None:
    """Their Python is this one, which may lack them: their rows then say so."""
    there = {
        name: importlib.util.find_spec(name.lower()) is not None for name in ("CTranslate2", "transformers")
    }
    arguments = [
        "--data",
        translated,
        "--run",
        translated / "run",
        "--forced",
        9,
        "--beams",
        1,
        "--precisions",
        "fp32",
        "--compute-types",
        "float32",
    ]
    more = ["--rounds", 1, "--threads", 1, "--peers", sys.executable]
    own, theirs, marian = rows(
        printed("decoding_speed.py", *arguments, *more, status=0 if all(there.values()) else 1)
    )
    assert [row[0] for row in (own, theirs, marian)] == [
        "seq2attn fp32, greedy",
        "CTranslate2 float32, greedy",
        "transformers generate (random weights), greedy",
    ]
    assert own[4:6] == ["", "100.0%"]
    assert float(own[3].replace(",", "")) == pytest.approx(9 * float(own[1].replace(",", "")), rel=0.02)
    assert theirs[5] == "100.0%" if there["CTranslate2"] else "ctranslate2" in theirs[1]
    assert (
        float(marian[1].replace(",", "")) > 0
        if there["transformers"]
        else "No module named 'transformers'" in marian[1]
    )


def test_training_speed_compares_other_toolkits(tmp_path: Path) -> None:
    data = pairs(tmp_path, "train", "val", target="de")
    small = ("--vocabulary", 90, "--rounds", 1, "--steps", 15)
    text = printed(
        "training_speed.py",
        "--data",
        data,
        "--model",
        "transformer",
        *small,
        "--against",
        "other=echo 1,000 target tokens/s",
    )
    own, other = rows(text)
    assert text.startswith("transformer, fp32, updates 11 to 15, ")
    assert (own[0], other[0], other[1]) == ("seq2attn", "other", "1,000")
    assert float(other[3]) == pytest.approx(float(own[1].replace(",", "")) / 1000, abs=0.01)


def test_marian_trains_on_the_batches_that_seq2attn_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(HERE)
    peers, speed = (importlib.import_module(name) for name in ("training_peers", "training_speed"))
    taken: list[tuple[list[np.ndarray], list[np.ndarray]]] = []

    class Noting(speed.Counted):
        def ids(self, rows: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
            taken.append(super().ids(rows))
            return taken[-1]

    monkeypatch.setattr(speed, "Counted", Noting)
    folder, steps = tmp_path / "prepared", speed.UNCOUNTED + 5
    speed.prepare_once(str(pairs(tmp_path, "train", "val", target="de")), 90, folder)
    small = [
        f"model.{side}.{size}"
        for side in ("encoder", "decoder")
        for size in ("size=8", "feedforward=8", "layers=1")
    ]
    chosen = config.change(
        speed.settings("transformer"), ["train.batch_tokens=200", "model.embedding=8", *small]
    )
    speed.measure(folder, chosen, "fp32", steps)
    job = json.loads(peers.write_marian(folder, tmp_path, chosen, steps, "fp32").read_text(encoding="utf-8"))
    written = peers.read_updates(job["updates"])
    assert len(written) == len(taken) == steps
    for update, expected in zip(written, taken, strict=True):
        for side, without_end in zip(update, expected, strict=True):
            assert [ids.tolist() for ids in side] == [[*ids.tolist(), EOS] for ids in without_end]


def test_clip_events_prints_a_row_per_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = clips.rows(clips.splits(1, {"train": 8, "valid": 2, "test": 4}))

    def images() -> Iterator[CaptionedImage]:
        for split, some in made.items():
            for row in some:
                yield CaptionedImage(
                    row["clip"]["path"],
                    lambda row=row: [row["clip"]["bytes"]],
                    tuple(row["captions"]),
                    split,
                    split,
                )

    data = tiny_captions.prepare(
        tmp_path / "prepared", monkeypatch, ImageCorpus("clips", "en", images, clips=True)
    )
    runs = [
        tiny_captions.save_run(tmp_path / name, data, seed, encoder={"max_frames": 4})
        for seed, name in enumerate(("one", "two"))
    ]
    found = rows(printed("clip_events.py", *runs, "--device", "cpu"))
    assert [row[:2] for row in found] == [[str(run), "4"] for run in runs]
    assert all(0 <= float(cell) <= 100 for row in found for cell in row[2:5])
    assert printed("clip_events.py", runs[0], "--device", "cpu", "--data", tmp_path, status=1) == ""


def test_compilation_compares_with_the_model_as_it_is(tmp_path: Path) -> None:
    pairs(tmp_path, "train", "valid", target="fr")
    sides = [f"model.{side}.{size}" for side in ("encoder", "decoder") for size in ("size=8", "layers=1")]
    small = ["train.batch_tokens=1500", "data.tokenizer=char", "model.embedding=8", "model.tied=none", *sides]
    small += ["data.source=en", "data.target=fr"]
    more = [argument for setting in small for argument in ("--set", setting)]
    text = printed("compilation.py", "--data", tmp_path, "--rounds", 1, "--steps", 15, *more)
    plain, compiled = rows(text)
    assert (plain[0], plain[3], compiled[0]) == ("as it is", "0", "train.compile")
    assert float(compiled[3]) > 0
    assert 0 < int(compiled[4]) < int(plain[4])


def test_heads_speed_prints_a_row_for_each_kind_of_attention(tmp_path: Path) -> None:
    run = tiny.save_run(tmp_path / "run")
    text = pairs(tmp_path, "some", target="fr") / "some.en"
    table = rows(printed("heads_speed.py", run, text, "--rounds", 1, "--sentences", 3))
    assert [row[0] for row in table] == ["none", "mean", "all heads"]
    assert float(table[0][2]) == 1
    assert all(float(row[1]) >= 0 for row in table)
