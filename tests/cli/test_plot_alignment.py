"""`plot-alignment` on a random model and on kept attention: every kind of output, words and subwords, and
refusals.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
from page_reader import about, answers

from seq2attn.cli import app as application
from seq2attn.inference import Translator
from seq2attn.inference.attention_file import AttentionWriter
from seq2attn.runs import directory
from seq2attn.runs.tensors import save_weights

ROOT = Path(__file__).parents[2]
Call = Callable[..., tuple[int, str, str]]
SOURCE = "the small dog sleeps"
STARTS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".html": b"<!doctype html>"}


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("COLUMNS", "100")

    def plot(*arguments: object) -> tuple[int, str, str]:
        code = application.run(["plot-alignment", *map(str, arguments)])
        out, err = capsys.readouterr()
        return code, out, err

    return plot


def save_run(path: Path, **decoder: object) -> Path:
    settings = tiny.settings(**decoder)
    files = {}
    for side in ("source", "target"):
        tiny.tokenizer(side).save(path.parent / f"{side}.bin")
        files[f"{side}.model"] = (path.parent / f"{side}.bin").read_bytes()
    sizes = {"source_size": tiny.tokenizer("source").size, "target_size": tiny.tokenizer("target").size}
    run = directory.create(
        path, settings, **sizes, languages=("en", "fr"), tokenizers=files, corpus="tiny", force=False
    )
    save_weights(run, tiny.model(settings))
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return save_run(tmp_path / "run")


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    lines = [
        {"source_words": ["a", "cat"], "target_words": ["un", "chat"], "attention": [[0.9, 0.1], [0.2, 0.8]]},
        {"source_words": [], "target_words": [], "attention": []},
        {"source_words": ["<b>", "北京"], "target_words": ["x"], "attention": [[0.5, 0.5]]},
    ]
    (tmp_path / "kept.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return tmp_path / "kept.jsonl"


def test_plot_alignment_draws_a_translation_in_the_terminal(call: Call, run: Path) -> None:
    code, out, err = call(run, "--source", SOURCE)
    assert code == 0, err
    best = Translator.load(run, device="cpu").translate([SOURCE])[0][0]
    assert [line.split(" ")[-1] for line in out.splitlines()[:4]] == SOURCE.split()
    # the end on both sides, and the legend
    assert len(out.splitlines()) == 4 + 1 + len(best.target_words) + 1 + 1
    assert out.splitlines()[4].endswith(" end")
    assert out.splitlines()[-2].lstrip().startswith("end")
    assert out.splitlines()[-1] == "weights: ░░ from 0.1  ▒▒ from 0.3  ▓▓ from 0.5  ██ from 0.7"
    assert best.text in err


def test_plot_alignment_forces_the_target_option(call: Call, run: Path) -> None:
    code, out, err = call(run, "--source", SOURCE, "--target", "le petit chien dort", "--quiet")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[5:10]] == ["le", "petit", "chien", "dort", "end"]
    _, _, err = call(run, "--source", SOURCE, "--target", "le ж dort ы", "--quiet")
    assert err == "warning: not in the vocabulary, so unknown to the model: ж ы\n"


def test_plot_alignment_applies_set(call: Call, run: Path) -> None:
    arguments = (run, "--source", SOURCE, "--target", "le petit chien dort", "--quiet")
    flat, plain = call(*arguments, "--set", "model.attention.temperature=1000"), call(*arguments)
    assert (flat[0], flat[2]) == (0, "")
    assert flat[1] != plain[1]
    # every word looks everywhere alike
    assert len({line.split(None, 1)[1] for line in flat[1].splitlines()[5:-1]}) == 1


def test_subwords_option_labels_the_axes_with_subwords_and_the_end(call: Call, run: Path) -> None:
    code, out, err = call(run, "--source", SOURCE, "--target", "le petit chien", "--subwords")
    assert code == 0, err
    pieces = tiny.tokenizer("source").subwords(tiny.tokenizer("source").encode(SOURCE))
    assert [line.split(" ")[-1] for line in out.splitlines()[: len(pieces) + 1]] == [*pieces, "</s>"]
    assert out.splitlines()[-2].lstrip().startswith("</s>")


def test_plot_alignment_labels_unspaced_text_with_subwords(call: Call, run: Path) -> None:
    arguments = (run, "--source", SOURCE, "--target", "他昨天去了北京。")
    by_itself, with_words = call(*arguments), call(*arguments, "--words")
    assert "by subwords" in by_itself[2]
    assert "</s>" in by_itself[1]
    # one unknown piece
    assert [line.split()[0] for line in with_words[1].splitlines() if line.startswith("他昨天去了北京")] == [
        "他昨天去了北京。"
    ]


ONE, END, HALF = [1.0, 0.0, 0.0], [0.0, 0.1, 0.9], [0.2, 0.2, 0.6]


@pytest.mark.parametrize(
    ("pieces", "weights", "words", "message"),
    [
        (["▁le", "▁chi", "en"], [ONE, ONE, ONE], "le chien", None),
        # half of a word's pieces look elsewhere, and more so
        (["▁le", "▁chi", "en"], [ONE, END, ONE], "le chien", None),
        (
            ["▁le", "▁chi", "en"],
            [ONE, END, HALF],
            "le chien",
            "1 of the 2 target words attends mostly to the end",
        ),
        # a space alone is no word's
        (
            ["▁", "l", "▁", "▁x"],
            [ONE, END, ONE, END],
            "l x",
            "2 of the 2 target words attend mostly to the end",
        ),
        (["chien"], [HALF], "chien", "the target word attends mostly to the end"),
        # the stop alone
        (
            ["▁le", "▁chien", "."],
            [ONE, ONE, END],
            "le chien.",
            "1 of the 3 target words attends mostly to the end",
        ),
        # one subword of two words
        (["▁le", "▁chien"], [END, END], "le chi en", "2 of the 2 target words attend mostly to the end"),
        (["▁le", "▁chats"], [END, END], "le chien", None),  # not known which piece is whose
    ],
)
def test_plot_alignment_reports_words_that_attend_to_the_end(
    call: Call, tmp_path: Path, pieces: list[str], weights: list[list[float]], words: str, message: str | None
) -> None:
    target = words.split()
    tree = {"source_words": ["a", "b"], "target_words": target, "attention": [[0.0, 0.0]] * len(target)}
    tree |= {"source_subwords": ["▁a", "▁b"], "target_subwords": pieces, "subword_attention": [*weights, END]}
    (tmp_path / "kept.jsonl").write_text(json.dumps(tree) + "\n", encoding="utf-8")
    code, _, err = call("--from", tmp_path / "kept.jsonl")
    assert (code, err.count("\n")) == (0, 0 if message is None else 1)
    assert (message or "") in err
    assert call("--from", tmp_path / "kept.jsonl", "--subwords")[2] == ""
    # a page may hold hundreds of lines
    assert (
        call("--from", tmp_path / "kept.jsonl", "-o", tmp_path / "a.html")[2]
        == f"wrote {tmp_path / 'a.html'}\n"
    )


def test_plot_alignment_reports_a_translation_that_attends_to_the_end(call: Call, tmp_path: Path) -> None:
    """Weights sum to 1: what a row between words lacks is on the end, whose window ends there."""
    run = tiny.save_run(
        tmp_path / "run", attention={"window": "local-m", "half_width": 1, "normaliser": "hard-topk"}
    )
    target = "le petit chien dort dans le jardin"
    forced = Translator.load(run, device="cpu").score_targets(["rain"], [target])[0]
    assert forced.attention is not None
    count = int((forced.attention.sum(1) < 0.5).sum())
    assert 0 < count < 7
    code, _, err = call(run, "--source", "rain", "--target", target)
    assert code == 0
    attend = "attends" if count == 1 else "attend"
    assert f"{count} of the 7 target words {attend} mostly to the end of the sentence" in err


@pytest.mark.parametrize("ending", STARTS)
def test_plot_alignment_writes_every_file_format(call: Call, run: Path, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"image{ending}"
    code, out, err = call(run, "--source", SOURCE, "--target", "le petit chien dort", "-o", path)
    assert (code, out) == (0, ""), err
    assert path.read_bytes().startswith(STARTS[ending])
    assert f"wrote {path}" in err


def test_plot_alignment_draws_one_layer_and_one_head(call: Call, tmp_path: Path) -> None:
    """Forced on the model, so that only what is shown differs; the mean of all is neither."""
    deep = {"kind": "transformer", "size": 12, "heads": 2, "layers": 2, "feedforward": 8}
    path = save_run(tmp_path / "run", attention={"heads": 2, "score": "scaled-dot"}, **deep)
    images = {}
    for chosen in (
        (),
        ("--layer", 1),
        ("--layer", 2),
        ("--head", 1),
        ("--head", 2),
        ("--layer", 2, "--head", 1),
    ):
        code, images[chosen], err = call(
            path, "--source", SOURCE, "--target", "le petit chien dort", "-o", tmp_path / "a.svg", *chosen
        )
        assert code == 0, err
        images[chosen] = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert len(set(images.values())) == len(images)
    code, out, err = call(path, "--source", SOURCE, "--layer", 3)
    assert (code, out) == (2, "")
    assert "has 2 layers, numbered from 1" in err


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    decoder = {"kind": "transformer", "size": 12, "heads": 2, "layers": 2, "feedforward": 8}
    return save_run(tmp_path / "deep", attention={"heads": 3, "score": "scaled-dot", "size": 12}, **decoder)


FORCED = ("--source", "the small dog, sleeps", "--target", "le petit chien, dort,", "--quiet")


@pytest.mark.parametrize(
    ("arguments", "titles"),
    [
        (("--heads", "all"), [f"layer {layer}, head {head}" for layer in (1, 2) for head in (1, 2, 3)]),
        (
            ("--head", "all", "--layer", "all"),
            [f"layer {layer}, head {head}" for layer in (1, 2) for head in (1, 2, 3)],
        ),
        (("--head", "all", "--layer", 2), [f"layer 2, head {head}" for head in (1, 2, 3)]),
        (("--layer", "all"), [f"layer {layer}, mean of 3 heads" for layer in (1, 2)]),
        (("--layer", "all", "--head", 3), [f"layer {layer}, head 3" for layer in (1, 2)]),
        (("--layer", 1, "--head", 3), ["layer 1, head 3"]),
        (("--head", 3), ["mean of 2 layers, head 3"]),
    ],
)
@pytest.mark.parametrize("ending", [pytest.param(".svg", marks=pytest.mark.slow), ".html", None])
def test_plot_alignment_gives_every_head_a_title(
    call: Call,
    deep: Path,
    tmp_path: Path,
    arguments: tuple[object, ...],
    titles: list[str],
    ending: str | None,
) -> None:
    path = tmp_path / f"a{ending}"
    code, out, err = call(deep, *FORCED, *arguments, *(["-o", path] if ending else []))
    assert (code, err) == (0, "")
    if ending == ".html":
        [answer] = answers(path)
        assert answer["attention"]["names"] == [titles]
        assert np.shape(answer["attention"]["weights"])[:2] == (1, len(titles))
        assert ("heads" in about(path)["view"].get("open", [])) == ("all" in arguments)
        return
    text = path.read_text(encoding="utf-8") if ending else out
    places = [text.index(title) for title in titles]
    assert places == sorted(places)
    assert text.count("layer") == len(titles)


def test_plot_alignment_averages_equally_many_heads_of_an_ensemble(
    call: Call, deep: Path, run: Path, tmp_path: Path
) -> None:
    code, _, err = call(f"{deep},{deep}", *FORCED, "--heads", "all", "-o", tmp_path / "two.svg")
    assert (code, err) == (0, "")
    assert call(deep, *FORCED, "--heads", "all", "-o", tmp_path / "one.svg")[0] == 0
    assert (tmp_path / "two.svg").read_bytes() == (tmp_path / "one.svg").read_bytes()
    code, out, err = call(f"{deep},{run}", *FORCED, "--heads", "all")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "different numbers of layers or heads" in err


@pytest.mark.parametrize("ending", [".jsonl", ".npz"])
def test_plot_alignment_draws_saved_attention_as_its_run(
    call: Call, run: Path, tmp_path: Path, ending: str
) -> None:
    """A file holds white-space words and subwords: the subwords say where the punctuation is."""
    translation = Translator.load(run, device="cpu").score_targets(["the dog, sleeps"], ["le chien, dort,"])
    path = tmp_path / f"kept{ending}"
    with path.open("wb") as file, AttentionWriter(file, path) as writer:
        writer.add(0, translation)
    code, out, err = call("--from", path)
    assert (code, err) == (0, "")
    assert out == call(run, "--source", "the dog, sleeps", "--target", "le chien, dort,", "--quiet")[1]
    assert [line.split()[0] for line in out.splitlines()[5:11]] == ["le", "chien", ",", "dort", ",", "end"]


def test_plot_alignment_draws_heads_with_one_scale(call: Call, deep: Path, tmp_path: Path) -> None:
    code, _, err = call(deep, *FORCED, "--heads", "all", "-o", tmp_path / "a.svg")
    assert (code, err) == (0, "")
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert svg.count(">0</text>") == 1
    assert svg.count(">chien</text>") == 2  # at the left of each row of panels


def test_plot_alignment_takes_a_positional_text_as_the_source(call: Call, run: Path) -> None:
    assert call(run, SOURCE) == call(run, *SOURCE.split()) == call(run, "--source", SOURCE)
    code, out, err = call(run, SOURCE, "--source", SOURCE)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "leave one out" in err


def test_plot_alignment_separates_punctuation_and_rows_sum_to_one(
    call: Call, run: Path, tmp_path: Path
) -> None:
    code, _, err = call(
        run, "--source", "the dog, sleeps", "--target", "le chien dort,", "-o", tmp_path / "a.html"
    )
    assert code == 0, err
    [answer] = answers(tmp_path / "a.html")
    assert answer["source"]["words"] == ["the", "dog", ",", "sleeps", "\u23ce"]
    assert answer["target"]["words"] == ["le", "chien", "dort", ",", "\u23ce"]
    for side in ("source", "target"):
        assert set(answer[side]["word_of"]) == set(range(5))
        assert answer[side]["word_of"][-1] == 4
    [[rows]] = answer["attention"]["weights"]
    assert [sum(row) for row in rows] == pytest.approx([1.0] * len(rows), abs=5e-4)
    [forced] = Translator.load(run, device="cpu").score_targets(["the dog, sleeps"], ["le chien dort,"])
    np.testing.assert_allclose(rows, forced.subword_attention, atol=1e-4)
    assert answer["target"]["forced"] == len(answer["target"]["ids"])
    assert answer["target"]["log_probability"] == pytest.approx(forced.log_probability, abs=1e-3)
    assert answer["attribution"]["method"] == "integrated gradients"
    assert np.shape(answer["attribution"]["weights"]) == (5, 5)
    assert len(answer["candidates"]) == len(answer["target"]["ids"])
    assert answer["beam"]["nodes"]


def test_plot_alignment_marks_and_counts_weakly_attended_words(call: Call, tmp_path: Path) -> None:
    tree = {
        "source_words": ["the", "dog", "sleeps."],
        "target_words": ["dort."],
        "attention": [[0.05, 0.05, 0.9]],
    }
    (tmp_path / "kept.jsonl").write_text(json.dumps(tree) + "\n", encoding="utf-8")
    line = "2 of 3 source words were hardly read: weights that add up to less than 0.2"
    code, out, err = call("--from", tmp_path / "kept.jsonl")
    assert (code, err) == (0, "")
    assert [row.split()[-1] for row in out.splitlines()[:3]] == ["(the)", "(dog)", "sleeps."]
    assert out.splitlines()[-1] == "(word): 2 of 3 source words were hardly read"
    assert f"{line} (the dog)" in call("--from", tmp_path / "kept.jsonl", "-o", tmp_path / "a.svg")[2]
    assert "2 of 3 source words were hardly read" in (tmp_path / "a.svg").read_text(encoding="utf-8")


def test_plot_alignment_fits_a_terminal_of_24_lines(
    call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    words = [f"word{number}" for number in range(21)]
    tree = {"source_words": words, "target_words": words[:14], "attention": np.eye(14, 21).tolist()}
    (tmp_path / "kept.jsonl").write_text(json.dumps(tree) + "\n", encoding="utf-8")
    code, out, err = call("--from", tmp_path / "kept.jsonl", "--title", "What was read")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "What was read"
    assert len(out.splitlines()) < 24
    assert max(map(len, out.splitlines())) <= 80
    for narrow in ("20", "1"):
        monkeypatch.setenv("COLUMNS", narrow)
        assert call("--from", tmp_path / "kept.jsonl")[0] == 0


def test_plot_alignment_applies_title_and_size(call: Call, weights_file: Path, tmp_path: Path) -> None:
    from PIL import Image

    for size, dpi, dots in (
        ("8x4", 100, (800, 400)),
        ("20 x 10cm", 254, (2000, 1000)),
        ("100mmx5cm", 127, (500, 250)),
    ):
        code, _, err = call(
            "--from",
            weights_file,
            "-o",
            tmp_path / "a.png",
            "--size",
            size,
            "--dpi",
            dpi,
            "--title",
            "A <b>title</b>",
        )
        assert code == 0, err
        with Image.open(tmp_path / "a.png") as image:
            assert max(abs(side - length) for side, length in zip(image.size, dots, strict=True)) <= 1
    for name in ("a.svg", "a.html"):
        assert (
            call("--from", weights_file, "-o", tmp_path / name, "--title", "A <b>title</b> \x1b\u202e")[0]
            == 0
        )
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert ("A &lt;b&gt;title&lt;/b&gt;" if name == "a.svg" else "A \\u003cb>title") in text
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_plot_alignment_refuses_a_second_layer_of_a_recurrent_decoder(call: Call, run: Path) -> None:
    assert call(run, "--source", SOURCE, "--layer", 1, "--head", 1) == call(run, "--source", SOURCE)
    for wrong, words in (("--layer", "only one layer"), ("--head", "only one head")):
        code, out, err = call(run, "--source", SOURCE, wrong, 2)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert words in err


def test_plot_alignment_reports_characters_without_a_font_once(
    call: Call, weights_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seq2attn.plotting import fonts

    monkeypatch.setattr(fonts, "_installed", lambda: [fonts.FIRST])
    code, _, err = call("--from", weights_file, "--line", 3, "-o", tmp_path / "a.png", "--quiet")
    assert (code, err.count("\n")) == (0, 1)
    assert err.startswith("warning: no installed font has 京 北:")


def test_plot_alignment_draws_saved_attention_by_line(call: Call, weights_file: Path) -> None:
    code, out, err = call("--from", weights_file)
    assert (code, err) == (0, "")
    assert out.splitlines()[-2].split() == ["chat", "░░", "██"]
    assert "北京" in call("--from", weights_file, "--line", 3)[1]


def test_plot_alignment_puts_every_nonempty_line_on_a_page(
    call: Call, weights_file: Path, tmp_path: Path
) -> None:
    assert call("--from", weights_file, "-o", tmp_path / "a.html")[0] == 0
    assert call("--from", weights_file, "-o", tmp_path / "b.html", "--line", 3)[0] == 0
    every, one = (answers(tmp_path / name) for name in ("a.html", "b.html"))
    assert [answer["label"] for answer in every] == ["line 1: a cat", "line 3: <b> 北京"]
    assert one == every[1:]
    assert one[0]["attention"]["weights"] == [[[[0.5, 0.5]]]]
    assert "<b>" not in (tmp_path / "b.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "name a RUN"),
        (("run",), '--source "TEXT"'),
        (("run", "--source", " "), "--source is blank"),
        (("run", "--source", "a", "--target", ""), "--target is blank"),
        (("run", "--source", "a", "--target", "b", "--beam", "2"), "--target and --beam"),
        (("run", "--source", "a", "--line", "3"), "--line needs --from FILE"),
        (("run", "--source", "a", "-o", "image.jpg"), ".png, .svg, .pdf or .html"),
        (("run", "--from", "kept.jsonl"), "--from and RUN"),
        (("--from", "kept.jsonl", "--beam", "2"), "--from and --beam"),
        (("--from", "kept.jsonl", "--max-length", "2"), "--from and --max-length"),
        (("--from", "kept.jsonl", "--set", "search.beam=2"), "--from and --set"),
        (
            ("run", "--source", "a", "--set", "search.beam=2", "--beam", "2"),
            "--beam and --set search.beam: both are the same setting",
        ),
        (
            ("run", "--source", "a", "--target", "b", "--set", "search.max_length=2"),
            "--target and --set search.max_length",
        ),
        (
            ("run", "--source", "a", "--target", "b", "--set", "search.no_repeat_ngram=2"),
            "--target and --set search.no_repeat_ngram",
        ),
        (
            ("run", "--source", "a", "--set", "data.joint=true"),
            "--set data.joint=true: acts before or in training alone",
        ),
        (("--from", "kept.pkl"), "must end in .jsonl or .npz"),
        (("run", "--source", "a", "-o", "folder.png"), "a folder"),
        (("run", "--source", "a", "--layer", "0"), "--layer 0: give a number from 1, or all"),
        (("run", "--source", "a", "--head", "both"), "--head both: give a number from 1, or all"),
        (("--from", "kept.jsonl", "--attention-of", "encoder"), "--attention-of and --from"),
        (("run", "--source", "a", "--size", "8x5"), "--size is for an image file"),
        (("run", "--source", "a", "--size", "8x5", "-o", "a.html"), "--size is for an image file"),
        (("run", "--source", "a", "--size", "wide", "-o", "a.png"), "--size wide: write WxH"),
        (("run", "--source", "a", "--size", "8xnan", "-o", "a.png"), "--size 8xnan: write WxH"),
        (("run", "--source", "a", "--size", "900x5", "-o", "a.png"), "each side must be from 1 to 60 inches"),
        (("run", "--source", "a", "--size", "50x5", "--dpi", "1000", "-o", "a.png"), "lower --dpi"),
        (("run", "--source", "a", "--dpi", "100", "-o", "a.svg"), "--dpi is for a .png"),
        (("run", "--image", "a.png", "--heads", "all"), "--heads all is for texts"),
        (("run", "--image", "a.png", "--size", "5x5", "-o", "b.png"), "--size is for texts"),
        (("run", "some", "text", "--image", "a.png"), "leave one out"),
    ],
)
def test_plot_alignment_refuses_contradictory_options(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.png").mkdir()
    code, out, err = call(*arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err


def test_plot_alignment_refuses_contradictions_before_heavy_imports() -> None:
    script = (
        "import sys\nfrom seq2attn.cli.app import run\n"
        "code = run(['plot-alignment', 'run', '--source', 'a', '-o', 'a.bmp'])\n"
        "assert not {'torch', 'sacrebleu', 'numpy', 'matplotlib'} & set(sys.modules)\nsys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert done.returncode == 2, done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nowhere", "--source", "a"), "no such run directory"),
        (("run", "--source", "a", "-o", "none/a.png"), "there is no folder none"),
        (("--from", "gone.npz"), "gone.npz: no such file"),
        (("--from", "kept.jsonl", "--line", "2"), "the source is empty"),
        (("--from", "kept.jsonl", "--line", "9"), "has no line 9: its last is 3"),
        (("--from", "kept.jsonl", "--subwords"), "no attention between subwords"),
        (("--from", "empty.jsonl", "-o", "a.html"), "there is no attention in it"),
    ],
)
def test_plot_alignment_reports_missing_inputs_on_one_line(
    call: Call,
    run: Path,
    weights_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jsonl").write_bytes(b"")
    code, out, err = call(*arguments)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert words in err


def test_plot_alignment_refuses_a_model_with_a_fixed_context(call: Call, tmp_path: Path) -> None:
    code, out, err = call(
        save_run(tmp_path / "fixed", context_source="summary", context_to=["input"]), "--source", SOURCE
    )
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "no attention to draw: its decoder reads a fixed summary" in err


def test_plot_alignment_refuses_a_target_that_is_too_long(run: Path, call: Call) -> None:
    code, out, err = call(run, "--source", SOURCE, "--target", "le chat " * 4096)
    assert (code, out) == (2, "")
    assert "seq2attn: the text to force has more than 4,096 tokens: give a part of it" in err


# Heads of a file, and self-attention


@pytest.fixture
def heads_file(call: Call, deep: Path, tmp_path: Path) -> Path:
    """The attention of all heads of one translation."""
    (tmp_path / "text").write_text(f"{SOURCE}\n")
    path = tmp_path / "heads.npz"
    options = ("--attention", path, "--attention-heads", "all", "--quiet")
    assert application.run(["translate", *map(str, (deep, tmp_path / "text", *options))]) == 0
    return path


def test_plot_alignment_draws_heads_of_a_file_as_those_of_the_run(
    call: Call, deep: Path, heads_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for which in (("--layer", 2, "--head", 3), ("--head", 1), ("--heads", "all")):
        assert call("--from", heads_file, *which)[1] == call(deep, "--source", SOURCE, *which)[1]


def test_plot_alignment_names_heads_that_a_file_lacks(
    call: Call, weights_file: Path, heads_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    code, out, err = call("--from", heads_file, "--layer", 3)
    assert (code, out) == (2, "")
    assert "has 2 layers, numbered from 1" in err
    code, out, err = call("--from", weights_file, "--heads", "all")
    assert (code, out) == (2, "")
    assert "holds the mean over layers and heads only" in err


ENCODER = {"kind": "transformer", "size": 12, "heads": 2, "layers": 3, "feedforward": 8}


def test_self_attention_of_an_encoder_is_words_by_words(call: Call, tmp_path: Path) -> None:
    run = save_run(tmp_path / "run", encoder=ENCODER)
    code, out, err = call(run, "--source", "the small dog", "--attention-of", "encoder", "--layer", 3)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("Encoder self-attention of ")
    assert lines[1] == "layer 3, mean of 2 heads"
    assert [line.split()[0] for line in lines[6:10]] == ["the", "small", "dog", "end"]
    assert call(run, "--source", "the small dog", "--attention-of", "encoder", "--layer", 4)[0] == 2


def test_self_attention_of_a_decoder_begins_with_the_start_token(call: Call, deep: Path) -> None:
    code, out, _ = call(deep, *FORCED, "--attention-of", "decoder", "--layer", 1, "--head", 1)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("Decoder self-attention of ")
    assert lines[1] == "layer 1, head 1"
    rows = [line.split() for line in lines if line.split() and "┌" not in line][2:]
    assert [row[0] for row in rows[:6]] == ["start", "le", "petit", "chien", ",", "dort"]
    assert rows[0][1:] == ["██"]  # the first position attends to itself only


@pytest.mark.parametrize(
    ("side", "setting"), [("encoder", "model.encoder.kind"), ("decoder", "model.decoder.kind")]
)
def test_self_attention_refuses_a_model_without_it(call: Call, run: Path, side: str, setting: str) -> None:
    code, out, err = call(run, "--source", SOURCE, "--attention-of", side)
    assert (code, out) == (2, "")
    assert f"{setting} is rnn" in err
