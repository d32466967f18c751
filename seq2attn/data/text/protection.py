"""What must come out of a translation as it went in: placeholders, URLs, e-mail addresses, numbers, tags.

A marker, one character that no text has, stands for such an item. A model that was trained on pairs with
markers copies them. This module knows no model and no tokenizer.
"""

import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

MARKERS = "".join(map(chr, range(0xFDD1, 0xFDD9)))  # noncharacters, which Unicode leaves to programs

_TAG = (
    r"""</?[A-Za-z][\w.:-]*+(?:\s++[\w.:-]++(?:\s*+=\s*+(?:"[^"<>]*+"|'[^'<>]*+'|[^\s"'<>=]++))?+)*+\s*+/?>"""
)
_ENTITY = r"&(?:[A-Za-z][A-Za-z0-9]{1,31}|\#[0-9]{1,7}|\#x[0-9A-Fa-f]{1,6});"
_URL = r"""(?:(?:https?|ftp)://|(?<![\w@.])www\.)[^\s<>"“”«»]*[^\s<>"“”«».,;:!?)\]}'’…]"""
_ADDRESS = r"(?<![\w.+-])[\w.+-]{1,64}+@[A-Za-z0-9-]++(?:\.[A-Za-z0-9-]++)++"
_BRACES = r"\$?\{\{?[\w.:!,#% -]{0,64}\}?\}"  # {name}, ${name}, {{name}}, {0:.2f}
_PERCENT = (  # %s, %(name)d, %1$s, %-5.2f and %name%
    r"%(?:(?:\([\w.-]{1,64}\)|[0-9]{1,2}\$)?[-+#0]?[0-9]{0,3}(?:\.[0-9]{1,2})?(?:ll?|h)?[sdifgexXc@u](?![A-Za-z])"
    r"|[A-Za-z_]\w{0,63}%)"
)
_DOLLAR = r"(?<![\w$])\$[A-Za-z0-9_]\w*"  # $1, $name
_NUMBER = r"(?<![\w.,:/-])[-+]?[0-9]++(?:[.,:/-][0-9]++)*+(?!\w)"
_KINDS = (_TAG, _ENTITY, _URL, _ADDRESS, _BRACES, _PERCENT, _DOLLAR, _NUMBER)
_ITEM = re.compile("|".join(_KINDS))
_MARKER = re.compile(f"[{MARKERS}]")


class Item(NamedTuple):
    """An item of a text: its place among the characters, and itself."""

    start: int
    stop: int
    text: str


class Marked(NamedTuple):
    """A text with a marker for each item, and the items of each marker, in their order."""

    text: str
    items: Mapping[str, Sequence[str]]


def find_items(text: str) -> list[Item]:
    """The items of a text, in order."""
    return [Item(match.start(), match.end(), match[0]) for match in _ITEM.finditer(text)]


def mark(text: str) -> Marked:
    """The text with a marker for each item, and the same one for equal items.

    Which markers these are depends on the text alone, so that each is as frequent as the others. Where there
    are more items than markers, one stands for several. A marker that the text has already stays.
    """
    items = find_items(text)
    if not items:
        return Marked(text, {})
    free = _markers_for(text, text)
    distinct = dict.fromkeys(item.text for item in items)
    markers = {item: free[number % len(free)] for number, item in enumerate(distinct)}
    return _replace(text, items, markers)


def mark_as(text: str, marked: Marked) -> str:
    """The text with the markers of another one for the items that both have."""
    markers = {item: marker for marker, items in marked.items.items() for item in items}
    return _replace(text, find_items(text), markers).text


def mark_pair(source: str, target: str, whole: bool = True) -> tuple[Marked, Marked]:
    """Source and target with the same marker for an item that both have equally often; other items stay.

    Without `whole`, so do items that white space divides: the number of words does not change then.
    """
    sides = [
        [item for item in find_items(text) if whole or len(item.text.split()) == 1]
        for text in (source, target)
    ]
    counts = [Counter(item.text for item in side) for side in sides]
    shared = [text for text, count in counts[0].items() if count == counts[1][text]]
    if not shared:
        return Marked(source, {}), Marked(target, {})
    free = _markers_for(source, source + target)
    markers = dict(zip(shared, free, strict=False))  # more items than markers stay as they are
    return _replace(source, sides[0], markers), _replace(target, sides[1], markers)


class Restorer:
    """Puts the items back into parts of a text, from its beginning to its end.

    A marker that comes more often than its items is the last of them again, and one without items is left
    out, unless the marked text has it as its own.
    """

    def __init__(self, marked: Marked) -> None:
        self._marked = marked
        self._count: Counter[str] = Counter()

    def __call__(self, part: str) -> str:
        return _MARKER.sub(self._item, part)

    def all(self, parts: Sequence[str]) -> list[str]:
        return [self(part) for part in parts]

    def _item(self, match: re.Match[str]) -> str:
        marker = match[0]
        items = self._marked.items.get(marker)
        if items is None:
            return marker if marker in self._marked.text else ""
        self._count[marker] += 1
        return items[min(self._count[marker], len(items)) - 1]


def markers_in(text: str) -> Counter[str]:
    """How often the text has each marker."""
    return Counter(_MARKER.findall(text))


def _replace(text: str, items: Sequence[Item], markers: Mapping[str, str]) -> Marked:
    parts, start = [], 0
    by_marker: dict[str, list[str]] = {}
    for item in items:
        if item.text in markers:
            parts += [text[start : item.start], markers[item.text]]
            start = item.stop
            by_marker.setdefault(markers[item.text], []).append(item.text)
    return Marked("".join([*parts, text[start:]]), by_marker)


def _markers_for(seed: str, texts: str) -> str:
    """The markers that `texts` do not have, beginning with one that depends on `seed`; all of them if none
    is free.
    """
    first = zlib.crc32(seed.encode("utf-8", "surrogatepass")) % len(MARKERS)
    order = MARKERS[first:] + MARKERS[:first]
    return "".join(marker for marker in order if marker not in texts) or order
