"""One HTML page that explores attention, with words to point at.

`web/` holds the style and the scripts. The page is a single file. It works without a network, with the
keyboard, in light and dark mode, and in any script that the browser can draw. This module knows no weights:
`html_alignment`, `html_overlay` and `html_film` supply them.
"""

import html
import json
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from seq2attn import files
from seq2attn.plotting.alignment import HARDLY

_WEB = Path(__file__).parent / "web"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
_HARDLY = f' title="hardly read: its weights add up to less than {HARDLY:g}"'


def page(
    title: str,
    how: str,
    sections: Sequence[str],
    weights: object,
    kind: str,
    *,
    images: bool = False,
    values: Mapping[str, object] | None = None,
    small: bool = False,
    charts: bool = False,
) -> str:
    """The page as text. A `small` one is for the cell of a notebook: it has no heading. With `charts` it has
    the style of charts.

    `kind` names the style and the script in `web/`. `values` replace {names} in the script. `how` tells the
    reader what to do. `weights` are nested lists of numbers, which the script reads.
    """
    script = _web(f"{kind}.js")
    for name, value in (values or {}).items():
        script = script.replace(f"{{{name}}}", str(value))
    styles = ["page.css", *(["charts.css"] if charts else []), f"{kind}.css"]
    styles += ["small.css"] if small else []
    header = "" if small else f'<h1>{text(title)}</h1>\n<p class="how">{how}</p>\n'
    return _web("page.html").format(
        title=text(title),
        header=header,
        policy=_POLICY + ("; img-src data:" if images else ""),
        style="".join(map(_web, styles)),
        sections="\n".join(sections),
        # Numbers and brackets only, so nothing can end the script element.
        data=json.dumps(weights, separators=(",", ":"), allow_nan=False),
        script=_web("pointing.js") + script,
    )


def write(page: str, path: Path) -> None:
    """Write the page to `path`, whole or not at all."""
    files.write(path, page.encode("utf-8", "replace"))


def text(value: str) -> str:
    """`value` as HTML text.

    Characters that must not stand in a page are escaped: control characters, characters that change the
    direction of the text after them, and non-characters.
    """
    return html.escape("".join(c.encode("unicode_escape").decode("ascii") if _harms(c) else c for c in value))


def line(
    side: str,
    words: Sequence[str],
    ends: bool = False,
    hardly: Collection[int] = (),
    first: bool = True,
    confidence: Sequence[float] = (),
) -> str:
    """A line of words to point at; `side` is its name. The Tab key stops at the `first` line of a section.

    Words are shaded by their `confidence`, if there is any.
    """
    notes = [_HARDLY if index in hardly else _sure(index, confidence) for index in range(len(words))]
    spans = " ".join(
        f'<span class="{_classes(index, len(words), ends, hardly)}" role="button" aria-pressed="false"'
        f' tabindex="{"-1" if index or not first else "0"}"{notes[index]}'
        f' data-word="{index}"><bdi>{text(word) or "&nbsp;"}</bdi><small></small></span>'
        for index, word in enumerate(words)
    )
    group = f'<span role="group" aria-label="{side}" dir="{_direction(words)}">{spans}</span>'
    return f'<p class="{side}"><b>{side}</b>{group}</p>'


def _web(name: str) -> str:
    return (_WEB / name).read_text(encoding="utf-8")


def _harms(character: str) -> bool:
    code = ord(character)
    turns = 0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069
    no_character = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return turns or no_character or unicodedata.category(character) == "Cc"


def _classes(index: int, count: int, ends: bool, hardly: Collection[int]) -> str:
    return "word" + (" hardly" if index in hardly else "") + (" end" if ends and index == count - 1 else "")


def _sure(index: int, confidence: Sequence[float]) -> str:
    if index >= len(confidence):
        return ""
    value = f"{confidence[index]:.2f}"
    return f' title="confidence {value}" style="--P: {value}"'


def _direction(words: Sequence[str]) -> str:
    """The direction of a line: that of its first letter with one, as in Unicode's bidirectional algorithm."""
    strong = (unicodedata.bidirectional(character) for word in words for character in word)
    return "rtl" if next((kind for kind in strong if kind in ("L", "R", "AL")), "L") != "L" else "ltr"
