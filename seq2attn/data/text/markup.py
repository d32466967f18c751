"""HTML as pieces that are text and pieces that are not: tags, comments, declarations, scripts and styles.

The pieces joined are the input again, character by character. Nothing is repaired: a tag without an end
makes the rest of the input markup, as it does in a browser. It takes time in proportion to the length.
"""

import re
from typing import NamedTuple

RAW = (
    "script",
    "style",
    "textarea",
    "template",
    "noscript",
    "iframe",
    "xmp",
)  # left alone with their content
_TAG = re.compile(r"</?([a-zA-Z][^\s/>]*+)(?:[^>\"']|\"[^\"]*+\"|'[^']*+')*+>")
_OTHER = re.compile(r"<!--(?:-?>|.*?--!?>)|<[!?][^>]*+>|</[^a-zA-Z][^>]*+>", re.DOTALL)
_BEGIN = re.compile(r"<(?=[a-zA-Z/!?])")


class Piece(NamedTuple):
    """A part of the input."""

    content: str
    text: bool  # whether it is text, with entities
    lines: bool  # whether its line breaks count, as in <pre>


def split_markup(html: str) -> list[Piece]:
    """The pieces of the input, none of them empty."""
    pieces: list[Piece] = []
    place, lines = 0, 0
    while place < len(html):
        match = _BEGIN.search(html, place)
        start = len(html) if match is None else match.start()
        if start > place:
            pieces.append(Piece(html[place:start], True, lines > 0))
        if match is None:
            break
        tag = _TAG.match(html, start)
        end = tag or _OTHER.match(html, start)
        place = len(html) if end is None else end.end()
        if tag is not None:
            name, closes = tag[1].lower(), html[start + 1] == "/"
            if name == "pre":
                lines = max(0, lines - 1) if closes else lines + 1
            if name in RAW and not closes:
                place = _end_of_raw(html, name, place)
        pieces.append(Piece(html[start:place], False, False))
    return pieces


def _end_of_raw(html: str, name: str, place: int) -> int:
    """Where the content of such an element ends: at its end tag, or with the input."""
    match = re.compile(rf"</{name}(?=[\s/>])", re.IGNORECASE).search(html, place)
    return len(html) if match is None else match.start()
