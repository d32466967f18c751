"""Heat maps: every format and script draws without a warning, the weights land in the right cells, and
nothing is left behind.
"""

import itertools
import re
import unicodedata
import xml.dom.minidom

import numpy as np
import pytest
from PIL import Image

from seq2attn.errors import UsageError
from seq2attn.plotting import IMAGES, fonts, heatmap
from seq2attn.plotting.alignment import Alignment

TEXTS = {
    "vietnamese": "Tôi yêu con mèo nhỏ",
    "chinese": "他 昨天 去 了 北京",
    "arabic": "أنا أحب القطط في البيت",
    "emoji": "I ❤️ my 🐶 👩‍👩‍👧 😀",
    "mathtext": r"$x_1$ \alpha ^ % # {} _",
    "control": "a\x07b \x1b[31m \ud800 \u202e",
}


def even(rows: int, columns: int) -> np.ndarray:
    return np.full((rows, columns), 1 / columns)


@pytest.mark.slow
@pytest.mark.parametrize("ending", IMAGES)
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_save_draws_any_script_in_any_format_without_a_warning(tmp_path, capfd, caplog, text, ending):
    words = text.split(" ")
    path = tmp_path / f"image{ending}"
    heatmap.save(even(len(words), 3), ["one", "two", "three"], words, path)
    heatmap.save(even(2, len(words)), words, ["un", "deux"], path)
    assert path.read_bytes().startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[ending])
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert capfd.readouterr() == ("", "")
    assert [record.message for record in caplog.records if record.levelname != "INFO"] == []


@pytest.mark.parametrize("ending", IMAGES)
def test_save_is_deterministic(tmp_path, ending):
    for name in ("a", "b"):
        heatmap.save(even(2, 2), ["x", "y"], ["u", "v"], tmp_path / (name + ending))
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_draw_puts_target_words_on_rows_and_source_words_on_columns():
    weights = np.array([[0.9, 0.1, 0.0], [0.0, 0.2, 0.8]])
    figure = heatmap.draw(weights, ["the", "small", "dog"], ["le", "chien"], [fonts.FIRST])
    axes = figure.axes[0]
    np.testing.assert_allclose(np.asarray(axes.collections[0].get_array()).reshape(2, 3), weights)
    assert axes.yaxis_inverted()
    places = {text.get_text(): text.get_position() for text in axes.texts}
    assert places["le"][1] < places["chien"][1]
    assert places["the"][0] < places["small"][0] < places["dog"][0]
    assert places["le"][0] < 0
    assert places["the"][1] < 0


def test_draw_scales_weak_attention_and_labels_the_scale():
    figure = heatmap.draw(np.full((1, 3), 0.15), list("abc"), ["x"], [fonts.FIRST])
    assert [label.get_text() for label in figure.axes[1].get_yticklabels()] == ["0", "0.2"]


def test_save_draws_the_scale_without_seams(tmp_path):
    heatmap.save(np.ones((1, 1)), ["a"], ["b"], tmp_path / "a.svg")
    svg = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert svg.count("<image ") == 1
    assert svg.count("<path ") < 20


def svg_of(path, alignments, **how):
    heatmap.save_alignments(alignments, path, **how)
    return path.read_text(encoding="utf-8")


def test_svg_keeps_text_and_names_a_generic_family(tmp_path):
    svg = svg_of(tmp_path / "a.svg", [Alignment(["a", "b<c>"], ["d & e"], even(1, 2))], title="A title")
    for text in ("a", "b&lt;c&gt;", "d &amp; e", "A title", "0.5"):
        assert f">{text}</text>" in svg
    families = re.findall("font-family: ([^;]*)", svg)
    assert {family.split(", ")[-1] for family in families} == {"sans-serif"}


@pytest.mark.parametrize("ending", IMAGES)
def test_save_alignments_writes_no_control_characters(tmp_path, ending):
    words = ["a\x1b[31m", "b\x00", "c\x9b", "d\x7f", "\u202ee", "\ufffe"]
    path = tmp_path / f"a{ending}"
    heatmap.save_alignments([Alignment(words, words, np.eye(6), title="\x1b")], path, title="\x1b\x07")
    if ending == ".svg":
        text = path.read_text(encoding="utf-8")
        assert not [
            character for character in text if unicodedata.category(character) == "Cc" and character != "\n"
        ]
        assert "\u202e" not in text
        xml.dom.minidom.parseString(text)


def test_heads_share_one_scale_and_have_titles(tmp_path):
    titles = [f"layer {layer}, head {head}" for layer in (1, 2) for head in (1, 2, 3)]
    heads = [
        Alignment(["un", "deux"], ["one", "two", "three"], np.full((3, 2), 0.1 + 0.1 * n), title=title)
        for n, title in enumerate(titles)
    ]
    svg = svg_of(tmp_path / "a.svg", heads)
    places = [svg.index(f">{title}</text>") for title in titles]
    assert places == sorted(places)
    # of the largest weight, 0.6, in whole steps
    assert (svg.count(">0</text>"), svg.count(">1</text>")) == (1, 1)
    # above the first row, and left of each
    assert (svg.count(">un</text>"), svg.count(">three</text>")) == (3, 2)


@pytest.mark.parametrize("heads", [1, 5, 12, pytest.param(48, marks=pytest.mark.slow)])
def test_heads_may_be_of_any_number(tmp_path, heads):
    panels = [
        Alignment(["a", "b"], ["c"], np.array([[0.5, 0.5]]), title=f"head {number}")
        for number in range(heads)
    ]
    svg = svg_of(tmp_path / "a.svg", panels)
    assert svg.count(">head ") == heads


@pytest.mark.parametrize(
    ("words", "size"),
    [
        (3, (8, 5)),
        (3, (2, 2)),
        (40, (6, 4)),
        pytest.param(40, (20, 12), marks=pytest.mark.slow),
        pytest.param(300, (10, 10), marks=pytest.mark.slow),
    ],
)
def test_save_alignments_applies_the_size(tmp_path, words, size):
    labels = [f"word{number}" for number in range(words)]
    heatmap.save_alignments(
        [Alignment(labels, labels, even(words, words))], tmp_path / "a.png", size=size, dpi=100, title="Title"
    )
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (100 * size[0], 100 * size[1])
        edges = np.asarray(image.convert("L"))
    # nothing is cut off
    assert min(edges[0].min(), edges[-1].min(), edges[:, 0].min(), edges[:, -1].min()) > 250


def test_save_alignments_wraps_a_long_title(tmp_path):
    """It makes no drawing wider than its words do, and none impossible at the size that is asked for."""
    title = "A title that is rather long for such a small drawing, is it not?"
    panels = [Alignment(["The", "dog"], ["Le", "chien"], even(2, 2))]
    for size in ((20 / 2.54, 12 / 2.54), (5, 5), (4, 4), (12, 3)):
        heatmap.save_alignments(panels, tmp_path / "asked.svg", size=size, title=title)
    for name, title_text in (("long", title), ("short", "A title that fits in a line")):
        heatmap.save_alignments(panels, tmp_path / f"{name}.png", title=title_text)
    with Image.open(tmp_path / "long.png") as long, Image.open(tmp_path / "short.png") as short:
        assert long.size[0] < 1.3 * short.size[0]
        assert long.size[1] > short.size[1]


def test_save_alignments_refuses_a_size_too_small_for_the_words(tmp_path):
    with pytest.raises(UsageError, match="too few for the words"):
        heatmap.save_alignments(
            [Alignment(["x" * 30], ["y" * 30] * 60, np.ones((60, 1)))], tmp_path / "a.png", size=(1, 1)
        )


def test_svg_marks_and_counts_weakly_attended_words(tmp_path):
    weights = np.array([[0.9, 0.05, 0.05, 0.0], [0.0, 0.0, 0.0, 1.0]])
    one = Alignment(["a", "b", "c", "end"], ["d", "end"], weights, ends=True)
    svg = svg_of(tmp_path / "a.svg", [one])
    assert "2 of 3 source words were hardly read" in svg
    colours = {
        word: re.findall(r"fill: (#\w+)[^>]*>" + word + "</text>", svg)[0] for word in ("a", "b", "c", "end")
    }
    assert colours["b"] == colours["c"] != colours["a"]
    assert colours["end"] not in (colours["a"], colours["b"])
    assert "stroke-dasharray" in svg
    assert "stroke-dasharray" not in svg_of(tmp_path / "b.svg", [one._replace(attention=even(2, 4) * 4)])


def test_draw_rotates_long_words_only():
    short = heatmap.draw(even(1, 2), ["a", "b"], ["x"], [fonts.FIRST])
    long = heatmap.draw(even(1, 2), ["a", "uncommonly"], ["x"], [fonts.FIRST])
    assert {text.get_rotation() for text in short.axes[0].texts} == {0}
    assert max(text.get_rotation() for text in long.axes[0].texts) > 30


def test_draw_bounds_a_very_long_pair_and_separates_its_labels(tmp_path):
    rows, columns = 400, 700
    figure = heatmap.draw(
        even(rows, columns), [f"w{i}" for i in range(columns)], [f"m{i}" for i in range(rows)], [fonts.FIRST]
    )
    assert max(figure.get_size_inches()) <= 22.1
    tops = [text.get_window_extent() for text in figure.axes[0].texts if text.get_text().startswith("w")]
    assert 50 < len(tops) < columns
    assert all(left.x1 <= right.x0 + 2 for left, right in itertools.pairwise(tops))


def test_draw_cuts_a_very_long_word():
    figure = heatmap.draw(even(1, 1), ["x" * 500], ["y" * 500], [fonts.FIRST])
    assert {len(text.get_text()) for text in figure.axes[0].texts} == {heatmap.LONGEST_LABEL}


@pytest.mark.parametrize("name", ["image.jpg", "image"])
def test_save_refuses_other_formats(tmp_path, name):
    with pytest.raises(UsageError, match=r"\.png, \.svg, \.pdf"):
        heatmap.save(even(1, 1), ["a"], ["b"], tmp_path / name)


@pytest.mark.parametrize("shape", [(1, 2), (2, 1), (2,), (0, 0)])
def test_draw_refuses_weights_that_do_not_fit_the_words(shape):
    with pytest.raises(UsageError, match="needs a row for each target word"):
        heatmap.draw(np.zeros(shape), ["a"], ["b"], [fonts.FIRST])
