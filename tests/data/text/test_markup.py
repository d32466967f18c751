"""HTML in pieces: nothing is lost, and the text is that of Python's own parser."""

import time
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2attn.data.text.markup import split_markup

WELL_FORMED = [
    "a plain text",
    '<p>The dog.</p><p class="x>y">The <b>cat</b></p>',
    "<a href='a>b' title=\"it's\">link</a> after",
    "<!-- <b>not text</b> -->text<!-- - -->more",
    "<!DOCTYPE html><html lang=en><body>1 < 2 and 3 &gt; 2</body></html>",
    "<script>if (a < b) { x = '</b>'; }</script>text<style>p > b {}</style>",
    "<SCRIPT>x</SCRIPT>text",
    "<br/>a<br>b<hr />c",
    "<?xml version='1.0'?>text",
    "a < b <c",
]


class Reader(HTMLParser):
    """Python's parser, for the text outside of scripts and styles."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.text, self.raw = "", False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.raw = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.raw = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self.raw else data

    def handle_entityref(self, name: str) -> None:
        self.text += f"&{name};"


@pytest.mark.parametrize("html", WELL_FORMED[:-1])
def test_split_markup_has_the_text_of_pythons_parser(html: str) -> None:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert "".join(piece.content for piece in split_markup(html) if piece.text) == reader.text


@pytest.mark.parametrize(
    "html", [*WELL_FORMED, "a<!-->b<!---->c", "<b", "a <!-- b", "<script>a", "<a href='x>y", "</", "<"]
)
def test_split_markup_loses_nothing(html: str) -> None:
    pieces = split_markup(html)
    assert "".join(piece.content for piece in pieces) == html
    assert all(piece.content for piece in pieces)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(["<", ">", "/", "b", "script", " ", '"', "'", "!", "--", "&amp;", "x="])))
def test_split_markup_loses_nothing_of_any_input(parts: list[str]) -> None:
    html = "".join(parts)
    assert "".join(piece.content for piece in split_markup(html)) == html


def test_split_markup_keeps_lines_in_pre_alone() -> None:
    pieces = split_markup("a<pre>b<b>c</b></pre>d")
    assert [(piece.content, piece.lines) for piece in pieces if piece.text] == [
        ("a", False),
        ("b", True),
        ("c", True),
        ("d", False),
    ]


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<a '", '<a "', "<!--", "<!", "</", "<script>", "<b>", "<a b='c'>"]
)
def test_split_markup_takes_time_in_proportion_to_the_length(piece: str) -> None:
    before = time.process_time()
    split_markup(piece * (200_000 // len(piece)))
    assert time.process_time() - before < 5  # what grows with the square would take minutes
