"""`plot-alignment` of several sentences and runs in one drawing, and its colour maps and fonts."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import tiny_images
from page_reader import about, answers

from seq2attn.cli import app as application
from seq2attn.inference import Translator

Call = Callable[..., tuple[int, str, str]]
TEXTS = ["the small dog sleeps", "", "rain falls over hills", "she sings"]


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runs: Path
) -> Call:
    """`plot-alignment` in a folder with the runs `one` and `two`, a file of texts, and saved attention."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("one", "two"):
        Path(name).symlink_to(runs / name)
    Path("texts").write_text("".join(f"{text}\n" for text in TEXTS))
    lines = [
        {"source_words": words, "target_words": ["x", "y"], "attention": [[0.9, 0.1], [0.2, 0.8]]}
        for words in (["a", "cat"], ["a", "dog"], ["no", "bird"])
    ]
    Path("kept.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def plot(*arguments: object) -> tuple[int, str, str]:
        code = application.run(["plot-alignment", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return plot


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    tiny.save_run(folder / "one")
    tiny.save_run(folder / "two", seed=2)
    return folder


def headings(text: str) -> list[str]:
    return re.findall(r">((?:one|two)?(?:, )?(?:line \d)?)</text>", text)


def test_lines_of_a_file_are_panels_with_titles(call: Call) -> None:
    code, out, err = call("one", "--from", "texts", "--lines", "4,1, 3-3", "-o", "a.svg", "--title", "Three")
    assert (code, out) == (0, ""), err
    text = Path("a.svg").read_text()
    assert [heading for heading in headings(text) if heading] == ["line 4", "line 1", "line 3"]
    assert text.count(">0</text>") == 1  # one scale
    best = Translator.load("one", device="cpu").translate(["she sings"])[0][0]
    assert err.startswith(f"line 4: {best.text}   (score ")


def test_runs_are_columns_with_their_names(call: Call) -> None:
    code, _, err = call("one", "two", "--from", "texts", "--lines", "1,3", "-o", "a.svg", "--quiet")
    assert (code, err) == (0, "")
    assert [heading for heading in headings(Path("a.svg").read_text()) if heading] == [
        "one, line 1",
        "two, line 1",
        "one, line 3",
        "two, line 3",
    ]


def test_runs_follow_each_other_in_the_terminal_and_on_a_page(call: Call) -> None:
    forced = ("--source", TEXTS[0], "--target", "le petit chien dort", "--quiet")
    code, both, err = call("one", "two", *forced)
    assert (code, err) == (0, "")
    for run in ("one", "two"):
        drawing = [line for line in call(run, *forced)[1].splitlines() if "weight" not in line]
        assert "\n".join([run, *drawing[:9]]) in both
    assert both.count("weights: ") == 1
    assert call("one", "two", *forced, "-o", "a.html")[0] == 0
    assert [answer["run"] for answer in answers(Path("a.html"))] == ["one", "two"]
    assert about(Path("a.html")) == {"title": "Attention of one, two", "view": {"runs": ["one", "two"]}}


def test_a_page_has_every_text_of_a_file_and_an_image_the_first(call: Call) -> None:
    assert call("one", "--from", "texts", "-o", "a.html")[0] == 0
    labels = [answer["label"] for answer in answers(Path("a.html"))]
    assert labels == [f"line {number}: {TEXTS[number - 1]}" for number in (1, 3, 4)]
    assert call("one", "--from", "texts") == call("one", "--from", "texts", "--line", 1)
    assert call("one", "--from", "texts", "--line", 3)[1] == call("one", "--source", TEXTS[2])[1]


def test_lines_of_saved_attention_are_panels(call: Call) -> None:
    code, out, err = call("--from", "kept.jsonl", "--lines", "3,1")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if line.startswith("line")] == ["line 3", "line 1"]
    assert call("--from", "kept.jsonl", "--lines", "2-3", "-o", "a.svg")[0] == 0
    assert [heading for heading in headings(Path("a.svg").read_text()) if heading] == ["line 2", "line 3"]


def test_self_attention_of_runs_is_drawn_side_by_side(call: Call) -> None:
    encoder = {"kind": "transformer", "size": 12, "heads": 2, "layers": 1, "feedforward": 8}
    for name in ("deep", "deeper"):
        tiny.save_run(Path(name), encoder=encoder)
    code, out, err = call("deep", "deeper", "--source", TEXTS[0], "--attention-of", "encoder", "--quiet")
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if line.startswith("deep")] == ["deep", "deeper"]


def test_a_colour_map_and_a_font_change_the_image(call: Call) -> None:
    drawings = {}
    for how in ((), ("--colormap", "viridis"), ("--font", "dejavu serif")):
        assert call("--from", "kept.jsonl", "-o", "a.svg", *how)[0] == 0
        drawings[how] = Path("a.svg").read_text()
    assert len(set(drawings.values())) == 3
    assert "font-family: 'DejaVu Serif'" in drawings["--font", "dejavu serif"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("one", "--from", "texts", "--lines", "2"), 1, "texts, line 2: is blank"),
        (("one", "--from", "."), 1, ".: a folder, not a file"),
        (("one", "--from", "/dev/null"), 1, "has no line 1: it is empty"),  # no file, but it can be read
        (("one", "--from", "texts", "--lines", "1,9"), 1, "has no line 9: its last is 4"),
        (("one", "--from", "texts", "--lines", "1-99"), 2, "30 lines are the most"),
        (("one", "two", "--from", "texts", "--lines", "1-30"), 1, "is blank"),
        (("one", "--from", "texts", "--lines", "x"), 2, "--lines x: write numbers of lines"),
        (("one", "--from", "texts", "--lines", "3-1"), 2, "a range goes upward"),
        (("one", "--from", "texts", "--lines", "1,3", "--heads", "all"), 2, "draws one text of one run"),
        (("--from", "kept.jsonl", "--lines", "1,3", "--heads", "all"), 2, "draws one line"),
        (
            ("one", "--from", "texts", "--lines", "1,3", "--target", "a"),
            2,
            "--target is the output of one text",
        ),
        (("one", "--from", "texts", "--source", "a"), 2, "--from and --source"),
        (("one", "--lines", "1"), 2, "--line needs --from FILE"),
        (("--from", "texts"), 2, "for a file of texts name a RUN, too"),
        (("one", "two"), 2, "two: a run, not a text"),
        (("one", "nowhere", "--source", "a"), 2, "TEXT and --source"),
        (("one", "--source", "a", "--colormap", "magma"), 2, "--colormap is for an image file"),
        (("one", "--source", "a", "--font", "serif", "-o", "a.html"), 2, "--font is for an image file"),
        (("one", "--source", "a", "--colormap", "magmo", "-o", "a.png"), 2, "--colormap magmo: there is no"),
        (("one", "--source", "a", "--font", "seriph", "-o", "a.png"), 2, "--font seriph: no font"),
    ],
)
def test_refusals_are_one_line(call: Call, arguments: tuple[str, ...], code: int, words: str) -> None:
    status, out, err = call(*arguments)
    assert (status, out, err.count("\n")) == (code, "", 1), err
    assert words in err


def test_an_image_is_drawn_without_a_colour_map(call: Call, tmp_path: Path) -> None:
    tiny_images.save_run(tmp_path / "still")
    tiny_images.save_run(tmp_path / "clip", frames=2)
    tiny_images.draw(tmp_path / "a.png", 1, (50, 40))
    for arguments, words in (
        (("clip", "still", "--image", "a.png"), "a clip is drawn with one run at a time"),
        (("still", "--image", "a.png", "--colormap", "magma", "-o", "b.png"), "drawn as light on an image"),
    ):
        code, out, err = call(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert words in err
    assert call("still", "--image", "a.png", "--target", "un chat", "--font", "serif", "-o", "b.svg")[0] == 0
    assert "'DejaVu Serif'" in (tmp_path / "b.svg").read_text()


def test_runs_over_one_image_are_below_each_other(call: Call, tmp_path: Path) -> None:
    for seed, name in enumerate(("still", "other"), 1):
        tiny_images.save_run(tmp_path / name, seed=seed)
    tiny_images.draw(tmp_path / "a.png", 1, (50, 40))
    both = ("still", "other", "--image", "a.png", "--target", "un chat", "--quiet")
    for ending in ("svg", "html"):
        assert call(*both, "-o", f"a.{ending}") == (0, "", "")
    svg = Path("a.svg").read_text()
    assert [svg.count(f">{text}</text>") for text in ("still", "other", "un", "chat")] == [1, 1, 2, 2]
    assert svg.index(">still<") < svg.index(">un<") < svg.index(">other<")
    for answer, name in zip(answers(Path("a.html")), ("still", "other"), strict=True):
        assert (answer["run"], answer["label"]) == (name, "a.png")
        [picture] = answer["source"]["pictures"]
        assert picture.startswith("data:image/png;base64,")
        assert answer["target"]["words"] == ["un", "chat"]
        assert len(answer["attention"]["weights"][0][0][0]) == np.prod(answer["source"]["grid"])
    out = call(*both)[1]
    alone = call("still", *both[2:])[1]
    assert out.startswith(f"still\n{alone}\nother\n")
