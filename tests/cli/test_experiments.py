"""Experiments of `translate` as a user meets them: both translations, their figures, and wrong usage."""

import json
from collections.abc import Callable

import pytest
import tiny

from seq2attn.explaining.comparison import compare
from seq2attn.explaining.experiment import Experiment

Call = Callable[..., tuple[int, bytes, str]]
TEXTS = ["the small dog sleeps", "she sings, and they listen", "a big cat sees the old house"]
STDIN = "".join(f"{text}\n" for text in TEXTS).encode()


@pytest.fixture
def call(pipe: Call, text_run: str) -> Call:
    return lambda *arguments, text=STDIN: pipe("translate", text_run, *arguments, text=text)


def test_translate_writes_both_translations_side_by_side(call: Call) -> None:
    code, out, err = call("--mask-source", "2", "--beam", "2", "--max-length", "8")
    assert (code, err) == (0, "")
    blocks = out.decode().removesuffix("\n\n").split("\n\n")
    expected = compare(tiny.translator(), TEXTS, Experiment(mask=[2]), beam=2, max_length=8)
    assert len(blocks) == len(TEXTS)
    for block, one in zip(blocks, expected, strict=True):
        lines = block.split("\n")
        assert lines[0].startswith("source   1 ")
        assert lines[1] == f"normal   {one.normal.text}".rstrip()
        assert lines[2].startswith(f"         log p {one.normal.log_probability:.2f} (p ")
        assert lines[2].endswith(f"with the change {one.normal_with_change:.2f}")
        assert lines[4] == f"changed  {one.changed.text}".rstrip()
        assert lines[5].endswith(f"without the change {one.changed_without:.2f}")
        assert lines[-1].startswith("differs  ")
        assert (lines[-1] == "differs  in no word") == (not one.steps)


def test_translate_writes_experiments_as_json(call: Call) -> None:
    text = "".join(json.dumps({"text": one, "id": i}) + "\n" for i, one in enumerate(TEXTS)).encode()
    arguments = ("--attend", "2:3=1", "--attend", "3:1=0.5", "--uniform", "1.1", "--format", "jsonl")
    code, out, err = call(*arguments, "--max-length", "8", text=text)
    assert (code, err) == (0, "")
    experiment = Experiment(attend={(2, 3): 1, (3, 1): 0.5}, uniform=[(1, 1)])
    expected = compare(tiny.translator(), TEXTS, experiment, max_length=8)
    for number, (line, one) in enumerate(zip(out.decode().splitlines(), expected, strict=True)):
        tree = json.loads(line)
        assert (tree["id"], tree["translation"], tree["steps"]) == (number, one.normal.text, one.steps)
        assert tree["log_probability"] == pytest.approx(one.normal.log_probability, abs=1e-5)
        assert tree["log_probability_with_change"] == pytest.approx(one.normal_with_change, abs=1e-5)
        assert tree["changed"]["translation"] == one.changed.text
        assert tree["changed"]["log_probability"] == pytest.approx(one.changed.log_probability, abs=1e-5)
        assert [part["word"] for part in tree["differences"]] == [part[2] for part in one.differences]


def test_translate_of_an_experiment_keeps_blank_lines(call: Call) -> None:
    code, out, err = call("--uniform", "all", text=b"\n")
    assert (code, out, err) == (0, b"\n", "")


def test_translate_tells_of_a_step_that_was_not_reached(call: Call) -> None:
    code, _, err = call("--attend", "99:1=1", "--max-length", "5", text=b"rain falls\n")
    assert code == 0
    assert err.count("\n") == 1
    assert "line 1: --attend changed nothing at step 99: the changed translation ends at step" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--mask-source 7", "--mask-source 7: the source has 4 words (line 1)"),
        ("--mask-source 1-5,x", "--mask-source 1-5,x: write numbers of words and ranges"),
        ("--mask-source 0", "words count from 1"),
        ("--mask-source 1-9999", "1,024 words are the most"),
        ("--mask-source 1-4", "no word of the source would be left to read (line 1)"),
        ("--attend 1:9=1", "--attend 1:9=1: the source has 4 words (line 1)"),
        ("--attend 1=1", "--attend 1=1: write STEP:WORD=WEIGHT"),
        ("--attend 0:1=1", "--attend 0:1=1: a whole number from 1 is needed"),
        ("--attend 1:1=-1", "--attend 1:1=-1: a weight is from 0 to 1"),
        ("--attend 1:1=1e999", "--attend 1:1=inf: a weight is from 0 to 1"),
        ("--attend 1:1=1 --attend 1:1=0", "step 1 has a weight for word 1 already"),
        ("--attend 1:1=.6 --attend 1:2=.6", "add up to 1.2, more than 1"),
        ("--attend 1:2=1 --mask-source 2", "--mask-source hides word 2"),
        ("--uniform 2.1", "--uniform 2.1: the attention has one layer"),
        ("--uniform 1", "--uniform 1: write LAYER.HEAD"),
        ("--uniform all --scores", "--uniform and --scores: an experiment writes two translations"),
        ("--uniform all --format moses", "--uniform and --format moses: an experiment writes"),
        ("--mask-source 1 --n-best 2 --beam 2", "--mask-source and --n-best"),
        ("--attend 1:1=1 --mbr chrf", "--attend and --mbr"),
    ],
)
def test_translate_refuses_experiments_in_one_line(call: Call, arguments: str, message: str) -> None:
    code, out, err = call(*arguments.split())
    assert (code, out) == (2, b"")
    assert message in err
    assert err.count("\n") == 1


def test_translate_refuses_an_experiment_on_a_run_without_attention(pipe: Call, tmp_path: object) -> None:
    run = tiny.save_run(tmp_path / "run", context_source="summary")  # type: ignore[operator]
    code, out, err = pipe("translate", str(run), "--mask-source", "1", text=STDIN)
    assert (code, out) == (1, b"")
    assert "has no attention to change" in err
    assert err.count("\n") == 1
