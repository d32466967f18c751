"""The benchmarks run, on sizes that take seconds: what they print can be read, and the memory of additive attention is what it is said to be."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny

from seq2attn import config
from seq2attn.data.tokenizer import EOS

HERE = Path(__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"}


def printed(script: str, *arguments: object) -> str:
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(markdown: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in markdown.splitlines() if line.startswith("|")][2:]


def pairs(folder: Path, *splits: str, target: str) -> Path:
    """The folder, now with these splits of a few sentences."""
    for split in splits:
        for side, lines in (("en", tiny.ENGLISH), (target, tiny.FRENCH)):
            (folder / f"{split}.{side}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_additive_attention_takes_no_memory_for_queries_by_keys_by_units() -> None:
    ways = ("additive", "additive, step by step")
    batch, source, target, units = 2, 200, 200, 128
    found = rows(printed("attention_memory.py", *ways, "--sizes", f"{source}x{target}", "--batch", batch, "--units", units))
    cube, scores = (4 * batch * source * target * n / 2**20 for n in (units, 1))
    assert [row[0] for row in found] == list(ways)
    for row in found:
        assert row[1:4] == [str(source), str(target), f"{scores:,.1f}"]
        assert scores <= float(row[4]) < 12  # measured: 3 and 4
        assert float(row[5]) > 0
    assert float(found[0][6]) > cube * 1.9  # autograd's: the tanh and its gradient, at the least
    assert found[1][6:] == ["", ""]


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_plain_form_that_would_not_fit_is_not_run() -> None:
    (row,) = rows(printed("attention_memory.py", "cosine", "--sizes", "40x30", "--batch", 1, "--units", 1024, "--limit", 14))
    assert row[6:] == ["not run: over 14", ""]
    assert float(row[4]) > 0


def test_the_fast_path_is_measured_against_the_same_model_step_by_step(tmp_path: Path) -> None:
    pairs(tmp_path, "train", "valid", target="fr")
    small = ["train.batch_tokens=64", "data.tokenizer=char", "model.encoder.size=4", "model.decoder.size=8", "model.embedding=8"]
    settings = [argument for setting in small for argument in ("--set", setting)]
    text = printed("fast_path.py", "first-try", "--data", tmp_path, "--source", "en", "--target", "fr", "--rounds", 1, "--steps", 15, *settings)
    fast, slow = rows(text)
    assert text.startswith(f"{tmp_path}, train.batch_tokens=64 ")
    assert (fast[:2], slow[:2]) == (["first-try", "at once"], ["first-try", "step by step"])
    assert fast[4] == slow[4]  # the same losses: the same model on the same batches
    assert slow[5] == "1.00"
    assert float(fast[5]) == pytest.approx(float(fast[2].replace(",", "")) / float(slow[2].replace(",", "")), rel=0.01)


def test_the_speed_of_training_stands_beside_that_of_others(tmp_path: Path) -> None:
    data = pairs(tmp_path, "train", "val", target="de")
    small = ("--vocabulary", 90, "--rounds", 1, "--steps", 15)
    text = printed("training_speed.py", "--data", data, "--model", "transformer", *small, "--against", "other=echo 1,000 target tokens/s")
    own, other = rows(text)
    assert text.startswith("transformer, fp32, updates 11 to 15, ")
    assert (own[0], other[0], other[1]) == ("seq2attn", "other", "1,000")
    assert float(other[3]) == pytest.approx(float(own[1].replace(",", "")) / 1000, abs=0.01)


def test_marian_trains_on_the_batches_that_seq2attn_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    small = [f"model.{side}.{size}" for side in ("encoder", "decoder") for size in ("size=8", "feedforward=8", "layers=1")]
    chosen = config.change(speed.settings("transformer"), ["train.batch_tokens=200", "model.embedding=8", *small])
    speed.measure(folder, chosen, "fp32", steps)
    job = json.loads(peers.write_marian(folder, tmp_path, chosen, steps, "fp32").read_text(encoding="utf-8"))
    written = peers.read_updates(job["updates"])
    assert len(written) == len(taken) == steps
    for update, expected in zip(written, taken, strict=True):
        for side, without_end in zip(update, expected, strict=True):
            assert [ids.tolist() for ids in side] == [[*ids.tolist(), EOS] for ids in without_end]
