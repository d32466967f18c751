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
    reader = Reader(html_alignment.render(Alignment(HOSTILE, ["a", "b"], weights)))
    assert reader.words == [*HOSTILE, "a", "b"]
    np.testing.assert_allclose(json.loads(reader.data), weights, atol=1e-4)
    assert [tag for tag, _ in reader.tags].count("script") == 2


CONTROLS = "a\x00b\x1b[31mc\x7fd\x9be\u202ef\u2066g\u2069h\ufffei"


@pytest.mark.parametrize("place", ["word", "score"])
def test_render_escapes_control_characters(place):
    """Raw, they are invalid in HTML, and drive the terminal of whoever looks at the file; marks of direction
    would turn what follows."""
    one = Alignment(["a", CONTROLS if place == "word" else "b"], ["c"], np.ones((1, 2)), score="x")
    one = one._replace(score=CONTROLS) if place == "score" else one
    text = html_alignment.render(one)
    assert not {character for character in text if unicodedata.category(character) == "Cc"} - {"\n"}
    assert not set(text) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe")
    assert r"a\x00b\x1b[31mc\x7fd\x9be\u202ef\u2066g\u2069h\ufffei" in text


def test_render_makes_words_buttons_of_groups_with_one_tab_stop():
    tags = Reader(html_alignment.render(Alignment(["a", "b"], ["c", "d"], np.eye(2)))).tags
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
    text = html_alignment.render(one)
    kinds = [attributes["class"] for _, attributes in Reader(text).tags if "data-word" in attributes]
    assert kinds == ["word", "word hardly", "word hardly", "word end", "word", "word end"]
    assert "2 of 3 source words were hardly read" in text


def test_render_refers_to_no_other_files():
    text = html_alignment.render(Alignment(["a"], ["b"], np.ones((1, 1))))
    assert not any({"src", "href"} & set(attributes) for _, attributes in Reader(text).tags)
    assert "://" not in text
    assert "@import" not in text


def test_render_sets_arabic_from_right_to_left():
    text = html_alignment.render(Alignment(["12", "أنا", "x"], ["I", "أنا"], np.ones((2, 3))))
    assert [attributes["dir"] for _, attributes in Reader(text).tags if "dir" in attributes] == ["rtl", "ltr"]


def test_render_refuses_weights_that_do_not_fit_the_words():
    with pytest.raises(UsageError, match=r"shape \(2, 2\) for 1 target and 2 source words"):
        html_alignment.render(Alignment(["a", "b"], ["c"], np.ones((2, 2))))
