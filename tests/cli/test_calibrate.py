"""`calibrate`, and the confidence that `translate`, `caption` and `plot-alignment` show: random models whose
references are their own outputs with every second word replaced.
"""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_audit
import tiny
import tiny_captions
from page_reader import answers

import seq2attn
from seq2attn import config
from seq2attn.cli import console
from seq2attn.cli.output import formats
from seq2attn.data.prepare import prepare as prepare_folder
from seq2attn.evaluation.calibration import fit_calibration, label
from seq2attn.evaluation.confidence import roc_area
from seq2attn.inference import Translation, Translator
from seq2attn.inference.confidence import FEATURES, NAMES, probabilities
from seq2attn.runs import calibration as files
from seq2attn.runs.directory import open_run

Call = Callable[..., tuple[int, bytes, str]]
SPLITS = {"train": slice(0, 7), "valid": slice(0, 4), "test": slice(3, 7)}


def changed(text: str) -> str:
    """The text with another word in place of every second one."""
    return " ".join(word if place % 2 == 0 else "x" for place, word in enumerate(text.split())) or "x"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody has calibrated, with its prepared data."""
    folder = tmp_path_factory.mktemp("corpus")
    run = tiny.save_run(folder / "run", seed=3)
    facts = json.loads((run / "config.json").read_text(encoding="utf-8"))
    facts["corpus"] = str(folder / "data" / "prepared")
    (run / "config.json").write_text(json.dumps(facts), encoding="utf-8")
    outputs = [changed(one.text) for [one] in Translator.load(run, device="cpu").translate(tiny.ENGLISH[:7])]
    data = folder / "data"
    data.mkdir()
    for split, lines in SPLITS.items():
        (data / f"{split}.en").write_text("\n".join(tiny.ENGLISH[lines]) + "\n", encoding="utf-8")
        targets = tiny.FRENCH if split == "train" else outputs
        (data / f"{split}.fr").write_text("\n".join(targets[lines]) + "\n", encoding="utf-8")
    prepare_folder(
        str(data),
        data / "prepared",
        config.DataConfig(source="en", target="fr", vocab_size=60, joint=False, keep=("all",)),
    )
    for side in ("source", "target"):
        tiny.tokenizer(side).save(data / "prepared" / f"{side}.model")  # those of the run
    return run


@pytest.fixture
def run(fresh: Path, tmp_path: Path) -> Path:
    shutil.copytree(fresh, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture(scope="module")
def ready(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    shutil.copytree(fresh, path)
    seq2attn.calibrate(path, device="cpu")
    return path


def labels(run: Path, split: str) -> Any:
    """The words of a split, through the interface of Python."""
    model = Translator.load(run, device="cpu")
    texts = tiny.ENGLISH[SPLITS[split]]
    outputs = [one for [one] in model.translate(texts, confidence="features")]
    return label(outputs, [[changed(one.text)] for one in outputs], lowercase=False)


def test_calibrate_fits_on_valid_and_scores_the_test(pipe: Call, run: Path) -> None:
    code, out, err = pipe("calibrate", run)
    assert code == 0, err
    lines = out.decode().splitlines()
    assert re.match(r"test: \d+ of \d+ words are wrong \(\d+\.\d%\)", lines[0])
    assert [line.split("  ")[0] for line in lines if line][4:] == ["confidence", *NAMES]
    assert "confidence.json from now on" in err
    expected = fit_calibration(labels(run, "valid"))
    loaded = files.load(run, NAMES, open_run(run).config.model)
    assert loaded.words == expected.calibration.words
    for one, other in zip(loaded[1:5], expected.calibration[1:5], strict=True):
        assert one == pytest.approx(other, rel=1e-4, abs=1e-4)
    test = labels(run, "test")
    record = json.loads(pipe("calibrate", run, "--json", "-q")[1])
    area = roc_area(probabilities(test.features, loaded), test.right)
    assert record["area"] == pytest.approx(area, abs=1e-3)
    assert record["words"] == len(test.right)
    assert record["wrong"] == int((~test.right).sum())
    assert record["valid_words"] == loaded.words
    assert [one["name"] for one in record["features"]] == list(NAMES)
    limited = json.loads(pipe("calibrate", run, "--json", "-q", "--limit", "3")[1])
    assert limited["valid_words"] < record["valid_words"]


def test_translate_writes_a_probability_for_each_word(pipe: Call, ready: Path) -> None:
    lines = [*tiny.ENGLISH[:3], "", "rain"]
    code, out, err = pipe("translate", ready, "--confidence", text=("\n".join(lines) + "\n").encode())
    assert (code, err) == (0, "")
    model = Translator.load(ready, device="cpu")
    expected = model.translate(lines, confidence=True)
    for line, [one] in zip(out.decode().splitlines(), expected, strict=True):
        text, column = line.split("\t")
        values = [float(value) for value in column.split()]
        assert text == one.text
        assert len(values) == len(text.split())
        assert all(0 < value < 1 for value in values)
        assert one.confidence is not None
        assert values == pytest.approx(one.confidence.tolist(), abs=1e-4)
    _, out, _ = pipe("translate", ready, "--confidence", "--scores", "--alignments", text=b"rain\n")
    assert [len(field.split()) for field in out.decode().split("\t")][:3:2] == [
        1,
        len(expected[-1][0].target_words),
    ]
    _, out, _ = pipe("translate", ready, "--confidence", "--format", "jsonl", text=b'{"text": "rain"}\n')
    record = json.loads(out)
    assert record["confidence"] == pytest.approx(expected[-1][0].confidence.tolist(), abs=1e-4)
    assert len(record["confidence"]) == len(record["translation"].split())


def test_translate_colours_doubtful_words_in_a_terminal(
    pipe: Call, ready: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(console, "has_colour", lambda: True)
    _, out, _ = pipe("translate", ready, "--confidence", text=b"we do not eat red apples today\n")
    text, column = out.decode().rstrip("\n").split("\t")
    doubtful = sum(float(value) < 0.8 for value in column.split())
    assert text.count("\x1b[0m") == doubtful > 0
    pipe("translate", ready, "--confidence", "-o", tmp_path / "out", text=b"we do not eat\n")
    assert "\x1b" not in (tmp_path / "out").read_text(encoding="utf-8")


def test_coloured_words_keep_their_spaces() -> None:
    red, yellow, plain = formats.DOUBTFUL[0][1], formats.DOUBTFUL[1][1], formats.PLAIN
    text = formats.colour_words(" le  chat dort", [0.9, 0.49, 0.5])
    assert text == f" le  {red}chat{plain} {yellow}dort{plain}"
    assert formats.colour_words("", []) == ""


def test_page_shades_doubtful_words(pipe: Call, run: Path, ready: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    arguments = ["plot-alignment", ready, "--source", "the small dog", "-o", page]
    code, _, err = pipe(*arguments)
    assert code == 0, err
    [answer] = answers(page)
    [[one]] = Translator.load(ready, device="cpu").translate(["the small dog"], confidence=True)
    assert one.confidence is not None
    shades = answer["confidence"]
    assert len(shades) >= len(one.target_words)
    assert set(shades) == {round(float(value), 4) for value in one.confidence}
    assert "--P: " in one._repr_html_().replace("&quot;", '"')
    (run / "confidence.json").write_text("{}", encoding="utf-8")
    code, _, err = pipe("plot-alignment", run, "--source", "the small dog", "-o", page)
    assert code == 0
    assert "confidence.json: damaged" in err
    assert "words are not shaded" in err
    assert answers(page)[0]["confidence"] is None
    assert pipe(*arguments, "--target", "le chien")[0] == 0
    assert answers(page)[0]["confidence"] is None


def test_parts_of_a_word_have_its_shade() -> None:
    from seq2attn.inference.alignments import Pair
    from seq2attn.inference.heads import Heads

    one = Translation(
        "a b",
        "oui, non!",
        0.0,
        0.0,
        source_words=["a", "b"],
        target_words=["oui,", "non!"],
        source_subwords=["▁a", "▁b"],
        target_subwords=["▁oui", ",", "▁non", "!"],
        attention=np.full((2, 2), 0.5, np.float32),
        subword_attention=np.full((5, 3), 0.3, np.float32),
        confidence=np.array([0.25, 0.75]),
    )
    [view] = Pair.of_translation(one).alignments(Heads(None, None), True, where="", way_out="")
    parts = [(word, value) for word, value in zip(view.target_words, view.confidence, strict=False)]
    assert parts == [("oui", 0.25), (",", 0.25), ("non", 0.75), ("!", 0.75)]


def test_wrong_usage_is_one_line(pipe: Call, run: Path, ready: Path, tmp_path: Path) -> None:
    for arguments, code, problem in (
        (["calibrate", run, "--split", "valid"], 2, "--split valid"),
        (["calibrate", run, "--split", "nowhere"], 1, "nowhere"),
        (["calibrate", f"{run},{ready}"], 2, "one run"),
        (["calibrate", tmp_path / "nothing"], 1, "nothing"),
        (["translate", run, "--confidence"], 1, f"`seq2attn calibrate {run}`"),
        (["translate", f"{ready},{run}", "--confidence"], 2, "--confidence is that of one run"),
        (["translate", ready, "--confidence", "--format", "moses"], 2, "--confidence and --format moses"),
    ):
        result, out, err = pipe(*arguments, text=b"rain\n")
        assert (result, out) == (code, b""), (arguments, err)
        assert problem in err
        assert err.count("\n") == 1, err


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"format": 2}, "newer seq2attn"),
        ({"format": True}, "damaged"),
        ({"features": [*NAMES[1:], NAMES[0]]}, "other features"),
        ({"mean": [0.0] * (len(NAMES) - 1)}, "its mean are not"),
        ({"weights": [float("nan")] * len(NAMES)}, "damaged"),
        ({"weights": ["1"] * len(NAMES)}, "something else than numbers"),
        ({"weights": [True] * len(NAMES)}, "something else than numbers"),
        ({"bias": 1e300}, "something else than numbers"),
        ({"bias": 10**400}, "damaged"),
        ({"scale": [0.0] * len(NAMES)}, "a number below"),
        ({"scale": [1e-320] * len(NAMES), "weights": [1e6] * len(NAMES)}, "a number below"),
        ({"words": 0}, "its words are no number"),
        ({"more": 1}, "other keys"),
        ({"weights_crc32": 1}, "other weights"),
    ],
)
def test_damaged_calibration_is_one_line(
    pipe: Call, ready: Path, change: dict[str, object], problem: str
) -> None:
    file = ready / "confidence.json"
    before = file.read_text(encoding="utf-8")
    try:
        file.write_text(json.dumps(json.loads(before) | change), encoding="utf-8")
        code, out, err = pipe("translate", ready, "--confidence", text=b"rain\n")
    finally:
        file.write_text(before, encoding="utf-8")
    assert (code, out, err.count("\n")) == (1, b"", 1), err
    assert problem in err
    assert "seq2attn calibrate" in err


def test_confidence_warns_of_model_settings_that_were_not_calibrated(pipe: Call, ready: Path) -> None:
    change = ("--set", "model.attention.temperature=2")
    code, out, err = pipe("translate", ready, "--confidence", *change, text=b"a big dog\n")
    assert (code, out.count(b"\n"), err.count("\n")) == (0, 1, 1), err
    assert "confidence.json: was made without the present change of model settings" in err


def test_run_whose_words_are_all_wrong_is_one_line(pipe: Call, tmp_path: Path) -> None:
    data = test_audit.prepare(tmp_path / "corpus", gold=None)
    run = test_audit.save_run(tmp_path / "run", data)
    code, out, err = pipe("calibrate", run, "-q")
    assert (code, out, err.count("\n")) == (1, b"", 1), err
    assert "words of the validation set are right" in err
    assert not (run / "confidence.json").exists()


def test_captions_have_confidence(pipe: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seq2attn.evaluation.calibration.LEAST", 0)  # all of the few words are wrong
    data = tiny_captions.prepare(tmp_path / "bars", monkeypatch)
    run = tiny_captions.save_run(tmp_path / "run", data)
    code, out, err = pipe("calibrate", run)
    assert code == 0, err
    assert len(out.decode().splitlines()) == 5 + 1 + len(FEATURES)
    image = tmp_path / "0.png"
    image.write_bytes(tiny_captions.png(0))
    code, out, err = pipe("caption", run, image, "--confidence", "--n-best", "2", "--beam", "2")
    assert code == 0, err
    for line in out.decode().splitlines():
        _, text, column = line.split("\t")
        assert len(column.split()) == len(text.split())
    _, out, _ = pipe("caption", run, image, "--confidence", "--format", "jsonl")
    record = json.loads(out)
    assert len(record["confidence"]) == len(record["caption"].split())
