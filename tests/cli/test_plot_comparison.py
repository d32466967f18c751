"""`plot-alignment --compare`: views of one output side by side, each with a title."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
from explained_models import TRANSFORMER
from page_reader import answers

from seq2attn.cli import app as application
from seq2attn.explaining.output_attribution import positive_shares, with_attribution
from seq2attn.inference import Translator

Call = Callable[..., tuple[int, str, str]]
TEXT = "the small dog, she sleeps"
HEADS = TRANSFORMER | {
    "size": 12,
    "encoder": TRANSFORMER | {"size": 12},
    "attention": {"heads": 2, "score": "scaled-dot"},
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    tiny.save_run(folder / "one", **HEADS)
    tiny.save_run(folder / "two", seed=2)
    tiny.save_run(folder / "none", context_source="summary")
    return folder


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runs: Path
) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("one", "two", "none"):
        Path(name).symlink_to(runs / name)

    def plot(*arguments: object) -> tuple[int, str, str]:
        line = ["plot-alignment", "one", "--source", TEXT, "--max-length", "6", "--device", "cpu"]
        code = application.run([*line, *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return plot


def test_compare_draws_a_panel_with_a_title_for_each_view(call: Call) -> None:
    views = ("--compare", "2.1", "--compare", "gradient", "--compare", "occlusion", "-o", "a.svg")
    code, out, err = call(*views, "--layer", "1", "--head", "2")
    assert (code, out) == (0, ""), err
    text = Path("a.svg").read_text()
    titles = ["attention, layer 1, head 2", "attention, layer 2, head 1", "input x gradient", "occlusion"]
    assert [text.count(f">{title}<") for title in titles] == [1] * 4
    assert text.count(">small<") == 4
    assert len(set(re.findall(r">(end)<", text))) <= 1
    assert "the positive parts of a row add up to 1" in err


def test_compare_of_two_runs_shows_the_output_of_the_first(call: Call) -> None:
    code, _, err = call("--compare", "two", "-o", "a.svg")
    assert code == 0, err
    text = Path("a.svg").read_text()
    assert text.count(">one: attention, mean of all heads<") == text.count(">two: attention<") == 1
    first, second = err.splitlines()[:2]
    output = Translator.load("one", device="cpu").translate([TEXT], max_length=6)[0][0].text
    assert first.startswith(f"one: {output} ")
    assert second.startswith(f"two: {output} ")


def test_compare_draws_shares_of_what_adds_to_a_word(call: Call) -> None:
    code, out, err = call("--compare", "occlusion", "--subwords", "-o", "a.html")
    assert (code, out) == (0, ""), err
    model = Translator.load("one", device="cpu")
    [[output]] = model.translate([TEXT], max_length=6)
    matrix = with_attribution(model, output, "occlusion").subword_attention
    assert matrix is not None
    attention, occlusion = answers(Path("a.html"))
    assert (attention["run"], occlusion["run"]) == ("attention, mean of all heads", "occlusion")
    assert (attention["attention"].get("shares"), occlusion["attention"]["shares"]) == (None, True)
    np.testing.assert_allclose(occlusion["attention"]["weights"][0][0], positive_shares(matrix), atol=1e-4)


def test_compare_draws_in_the_terminal(call: Call) -> None:
    code, out, err = call("--compare", "mean", "--compare", "integrated", "--head", "1")
    assert code == 0, err
    lines = out.splitlines()
    titles = ["attention, mean of 2 layers, head 1", "attention, mean of all heads", "integrated gradients"]
    assert [lines.count(title) for title in titles] == [1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--compare", "nope"), 2, "--compare nope: no run: name the folder of one, or write LAYER.HEAD"),
        (("--compare", "9.1"), 2, "--compare 9.1: layer 9: the attention of one has 2 layers"),
        (("--compare", "1.0"), 2, "--compare 1.0: head 0: give a number from 1"),
        (("--compare", "gradient", "--heads", "all"), 2, "--compare with all heads"),
        (("two", "--compare", "gradient"), 2, "--compare with 2 runs: name one"),
        (("--compare", "gradient", "--attention-of", "encoder"), 2, "--compare and --attention-of"),
        (("--compare", "none"), 1, "none: has no attention to draw"),
    ],
)
def test_compare_refuses_in_one_line(call: Call, arguments: tuple[str, ...], code: int, message: str) -> None:
    result, out, err = call(*arguments)
    assert (result, out) == (code, "")
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err
