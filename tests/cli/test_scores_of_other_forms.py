"""Scores where text is written in another form than the tokenizer's: decomposed characters, upper case where
a run writes lower case."""

import json
import random
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from seq2attn.cli import app, console
from seq2attn.tasks.training_data import text_scores

WORDS = {
    "cat": "chat noir",
    "hen": "poule bleue",
    "father": "père",
    "summer": "été",
    "goat": "chèvre",
    "boy": "garçon",
    "dog": "Chien",
    "school": "École",
}
SMALL = [
    *("--source", "en", "--target", "fr", "--device", "cpu", "--precision", "fp32", "--max-steps", "150"),
    *(
        "--set",
        "data.tokenizer=word",
        "--set",
        "data.vocab_size=30",
        "--set",
        "data.joint=false",
        "--set",
        "model.tied=none",
    ),
    *("--set", "model.embedding=32", "--set", "model.encoder.size=32", "--set", "model.decoder.size=64"),
    *(
        "--set",
        "model.dropout=0",
        "--set",
        "train.batch_tokens=400",
        "--set",
        "train.validate_every=50",
        "--set",
        "train.lr=0.01",
    ),
    *("--set", "train.warmup=10", "--set", "train.validate_sentences=30", "--set", "search.beam=1"),
]
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny corpus whose French is decomposed, as macOS writes it: six words of either side a line, one for
    one."""
    home = tmp_path_factory.mktemp("forms")
    (home / "corpus").mkdir()
    draw = random.Random(1)
    for split, count in (("train", 300), ("valid", 30), ("test", 30)):
        pairs = [draw.choices(list(WORDS.items()), k=4) for _ in range(count)]
        for side, ending in ((0, "en"), (1, "fr")):
            lines = [unicodedata.normalize("NFD", " ".join(pair[side] for pair in line)) for line in pairs]
            (home / "corpus" / f"{split}.{ending}").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return home


@pytest.fixture
def call(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    monkeypatch.chdir(home)
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(console, "quiet", False)
        code = app.run([*map(str, arguments)])
        return code, *capsys.readouterr()

    return run


@pytest.mark.slow
def test_evaluate_gives_100_to_correct_decomposed_text(call: Call, home: Path) -> None:
    code, out, err = call("train", "first-try", "--data", "corpus", "--out", "run", *SMALL)
    assert code == 0, err
    assert out.startswith("BLEU 100.00  nrefs:1|case:mixed|")
    assert (
        "split test: 30 of 30 lines are not in Unicode's composed form (NFC); they are compared in it" in err
    )
    validated = [
        json.loads(line)
        for line in (home / "run" / "metrics.jsonl").read_text().splitlines()
        if "valid_loss" in line
    ]
    assert validated[-1]["bleu"] == pytest.approx(100)
    code, out, err = call("evaluate", "run", "--json", "--by-length")
    assert code == 0, err
    scores = json.loads(out)
    assert (scores["bleu"], scores["chrf"], scores["ter"]) == (pytest.approx(100), pytest.approx(100), 0)
    assert scores["by_length"][0]["bleu"] == pytest.approx(100)
    assert "30 of 30 lines" in err
    # the outputs as kept, and the references themselves, as another system's
    outputs = home / "run" / "scores" / "test.txt"
    assert unicodedata.is_normalized("NFC", outputs.read_text(encoding="utf-8"))
    both = ["--hypotheses", str(outputs), "corpus/test.fr", "--reference", "corpus/test.fr"]
    code, out, err = call("evaluate", *both, "--json")
    assert [json.loads(line)["bleu"] for line in out.splitlines()] == [pytest.approx(100)] * 2
    assert err.count("corpus/test.fr: 30 of 30 lines") == 2
    assert "test.txt: " not in err
    code, out, _ = call("evaluate", "run", "--source", "corpus/test.en", "--reference", "corpus/test.fr")
    assert out.startswith("BLEU 100.00  ")


@pytest.mark.slow
def test_evaluate_ignores_case_for_a_lower_case_run(call: Call, home: Path) -> None:
    code, out, err = call(
        "train", "first-try", "--data", "corpus", "--out", "lower", *SMALL, "--set", "data.lowercase=true"
    )
    assert code == 0, err
    assert out.startswith("BLEU 100.00  nrefs:1|case:lc|")
    validated = [
        json.loads(line)
        for line in (home / "lower" / "metrics.jsonl").read_text().splitlines()
        if "valid_loss" in line
    ]
    assert validated[-1]["bleu"] == pytest.approx(100)
    code, out, err = call("evaluate", "lower", "--by-length")
    assert out.splitlines()[0].startswith("BLEU 100.00  nrefs:1|case:lc|")
    assert "chrF2 100.00  nrefs:1|case:lc|" in out
    assert err.count("lower writes lower case: everything is scored without case (case:lc)") == 1
    # beside another system: without case both
    lines = (home / "corpus" / "test.fr").read_text(encoding="utf-8")
    (home / "upper.fr").write_text(lines.upper(), encoding="utf-8")
    code, out, err = call("evaluate", "lower", "--data", "corpus", "--hypotheses", "upper.fr", "--json")
    assert (code, out) == (1, "")  # the corpus is no prepared folder
    code, out, err = call(
        "evaluate",
        "lower",
        "--source",
        "corpus/test.en",
        "--reference",
        "corpus/test.fr",
        "--hypotheses",
        "upper.fr",
        "--json",
    )
    assert code == 0, err
    assert [json.loads(line)["bleu"] for line in out.splitlines()] == [pytest.approx(100)] * 2
    # with case where no run writes lower case
    code, out, err = call("evaluate", "--hypotheses", "upper.fr", "--reference", "corpus/test.fr")
    assert "case:mixed" in out
    assert not out.startswith("BLEU 100")


def test_text_scores_of_a_validation_say_lines_and_chrf_if_bleu_is_near_zero() -> None:
    sample = ("a", "b", "c")
    right = ["The old dog sleeps here ."] * 12
    far = text_scores(right, [right], "en", False, sample)
    assert (far.values["bleu"] > 99, far.sentences, far.chrf, far.sample) == (True, 12, 0.0, sample)
    near = text_scores(["The olden dogs slept ."] * 12, [right], "en", False, sample)
    assert (near.values["bleu"] < 2, near.sentences, near.chrf > 30) == (True, 12, True)
    lower = [line.lower() for line in right]
    assert text_scores(lower, [right], "en", True, sample).values["bleu"] > 99
    assert text_scores(lower, [right], "en", False, sample).values["bleu"] < 99
