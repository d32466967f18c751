"""The page: complete in itself, every word as text, and weights that a browser reads back."""

import json
import unicodedata

import numpy as np
import pytest
from html_reader import HOSTILE, Reader

from seq2attn.errors import UsageError
from seq2attn.plotting import html_alignment
from seq2attn.plotting.alignment import Alignment


def test_render_writes_words_as_text_and_all_weights():
    weights = np.random.default_rng(1).random((2, len(HOSTILE)))
    reader = Reader(html_alignment.render([Alignment(HOSTILE, ["a", "b"], weights)], "<title>"))
    assert reader.words == [*HOSTILE, "a", "b"]
    np.testing.assert_allclose(json.loads(reader.data), [weights], atol=1e-4)
    assert [tag for tag, _ in reader.tags].count("script") == 2


CONTROLS = "a\x00b\x1b[31mc\x7fd\x9be\u202ef\u2066g\u2069h\ufffei"


@pytest.mark.parametrize("place", ["word", "title", "head", "score"])
def test_render_escapes_control_characters(place):
    """Raw, they are invalid in HTML, and drive the terminal of whoever looks at the file; marks of direction
    would turn what follows."""
    one = Alignment(
        ["a", CONTROLS if place == "word" else "b"],
        ["c"],
        np.ones((1, 2)),
        title=CONTROLS if place == "head" else "",
        score="x",
    )
    one = one._replace(score=CONTROLS) if place == "score" else one
    text = html_alignment.render([one], CONTROLS if place == "title" else "title")
    assert not {character for character in text if unicodedata.category(character) == "Cc"} - {"\n"}
    assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe")
    assert r"a\x00b\x1b[31mc\x7fd\x9be\u202ef\u2066g\u2069h\ufffei" in text


def test_render_makes_words_buttons_of_groups_with_one_tab_stop():
    tags = Reader(html_alignment.render([Alignment(["a", "b"], ["c", "d"], np.eye(2))])).tags
    words = [attributes for tag, attributes in tags if "data-word" in attributes]
    assert {attributes["role"] for attributes in words} == {"button"}
    assert [attributes["tabindex"] for attributes in words] == ["0", "-1", "-1", "-1"]
    assert [attributes["aria-label"] for _, attributes in tags if attributes.get("role") == "group"] == [
        "source",
        "target",
    ]
    assert [tag for tag, attributes in tags if attributes.get("aria-live") == "polite"] == ["p"]


def test_render_marks_weakly_attended_words_and_the_end():
    one = Alignment(
        ["a", "b", "c", "end"], ["d", "end"], np.array([[0.9, 0.05, 0, 0.05], [0, 0, 1, 0]]), ends=True
    )
    text = html_alignment.render([one])
    kinds = [attributes["class"] for _, attributes in Reader(text).tags if "data-word" in attributes]
    assert kinds == ["word", "word hardly", "word hardly", "word end", "word", "word end"]
    assert "2 of 3 source words were hardly read" in text


def test_render_writes_the_mean_and_then_every_head():
    heads = [
        Alignment(["a", "b"], ["c"], np.array([row]), title=f"head {number}")
        for number, row in enumerate(([1.0, 0.0], [0.0, 1.0]), 1)
    ]
    reader = Reader(html_alignment.render([heads]))
    np.testing.assert_allclose(json.loads(reader.data), [[[[0.5, 0.5]], [[1, 0]], [[0, 1]]]])
    buttons = [attributes for tag, attributes in reader.tags if tag == "button"]
    assert [button["aria-pressed"] for button in buttons] == ["true", "false", "false"]


def test_render_marks_weakly_attended_words_per_head():
    heads = [
        Alignment(["a", "b"], ["c"], np.array([[1.0, 0.0]]), title=f"head {number}") for number in (1, 2)
    ]
    assert "1 of 2 source words was hardly read:" in html_alignment.render([heads])
    assert "1 of 2 source words was hardly read by head 1:" in html_alignment.render([heads[:1]])


def test_render_numbers_empty_lines_too():
    pairs = [
        Alignment(["a"], ["b"], np.full((1, 1), weight), line=line) for line, weight in ((1, 0.25), (3, 0.75))
    ]
    text = html_alignment.render([pairs[0], Alignment([], [], np.zeros((0, 0)), line=2), pairs[1]])
    assert text.index("line 1") < text.index("line 2: empty") < text.index("line 3")
    reader = Reader(text)
    assert json.loads(reader.data) == [[[0.25]], [[0.75]]]
    assert [attributes["data-pair"] for tag, attributes in reader.tags if tag == "section"] == ["0", "1"]


def test_render_refers_to_no_other_files():
    text = html_alignment.render([Alignment(["a"], ["b"], np.ones((1, 1)))])
    assert not any({"src", "href"} & set(attributes) for _, attributes in Reader(text).tags)
    assert "://" not in text
    assert "@import" not in text


def test_render_sets_arabic_from_right_to_left():
    text = html_alignment.render([Alignment(["12", "أنا", "x"], ["I", "أنا"], np.ones((2, 3)))])
    assert [attributes["dir"] for _, attributes in Reader(text).tags if "dir" in attributes] == ["rtl", "ltr"]


def test_save_writes_several_pairs_to_one_page(tmp_path):
    pairs = [Alignment(["a"], ["b"], np.ones((1, 1))), Alignment(["c", "d"], ["\ud800"], np.ones((1, 2)))]
    html_alignment.save(pairs, tmp_path / "html_alignment.html")
    assert (tmp_path / "html_alignment.html").read_text(encoding="utf-8").count("<section") == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_render_refuses_weights_that_do_not_fit_the_words():
    with pytest.raises(UsageError, match=r"shape \(2, 2\) for 1 target and 2 source words"):
        html_alignment.render([Alignment(["a", "b"], ["c"], np.ones((2, 2)))])
