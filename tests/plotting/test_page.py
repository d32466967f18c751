"""The page: complete in itself, every word as text, and weights that a browser reads back."""

import html.parser
import json

import numpy as np
import pytest

from seq2attn.errors import UsageError
from seq2attn.plotting import page


class Reader(html.parser.HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.inside = "weights" if dict(attrs).get("id") == "weights" else tag
        if tag == "bdi":
            self.words.append("")

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside == "bdi":
            self.words[-1] += data
        if self.inside == "weights":
            self.data += data


HOSTILE = ["<script>alert(1)</script>", "</script>", "&amp;", "\"'", "{x}", "北京", "القطط", "\ud800"]


def test_words_are_text_and_weights_are_read_back():
    weights = np.random.default_rng(1).random((2, len(HOSTILE)))
    reader = Reader(page.render([page.Alignment(HOSTILE, ["a", "b"], weights)], "<title>"))
    assert reader.words == [*HOSTILE, "a", "b"]
    np.testing.assert_allclose(json.loads(reader.data), [weights], atol=1e-4)
    assert [tag for tag, _ in reader.tags].count("script") == 2


def test_nothing_is_fetched_from_elsewhere():
    text = page.render([page.Alignment(["a"], ["b"], np.ones((1, 1)))])
    assert not any({"src", "href"} & set(attributes) for _, attributes in Reader(text).tags)
    assert "://" not in text
    assert "@import" not in text


def test_a_line_of_arabic_runs_from_right_to_left():
    text = page.render([page.Alignment(["12", "أنا", "x"], ["I", "أنا"], np.ones((2, 3)))])
    assert [attributes["dir"] for _, attributes in Reader(text).tags if "dir" in attributes] == ["rtl", "ltr"]


def test_several_pairs_are_one_page(tmp_path):
    pairs = [page.Alignment(["a"], ["b"], np.ones((1, 1))), page.Alignment(["c", "d"], ["\ud800"], np.ones((1, 2)))]
    page.save(pairs, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8").count("<section") == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_weights_that_do_not_fit_the_words_are_refused():
    with pytest.raises(UsageError, match=r"shape \(2, 2\) for 1 target and 2 source words"):
        page.render([page.Alignment(["a", "b"], ["c"], np.ones((2, 2)))])
