"""Parts of HTML that a notebook shows in a cell: a page in a frame of its own, and a plain table.

Neither changes the notebook around it: a frame has its own style, and a table has its style in its elements.
All text is escaped.
"""

import html
from collections.abc import Sequence

from seq2attn.plotting.html_page import text

_WIDE = 860  # dots of a notebook's cell, about
_MOST_HIGH = 640  # dots; a higher page scrolls
_CELL = "text-align: {align}; padding: .15rem .6rem; vertical-align: top"


def frame(page: str, height: int) -> str:
    """The page in a frame of `height` dots that scrolls if it is too small.

    The page may run its own script, and cannot reach the notebook.
    """
    return (
        f'<iframe srcdoc="{html.escape(page)}" sandbox="allow-scripts" loading="lazy" '
        f'style="width: 100%; height: {min(height, _MOST_HIGH)}px; border: 0; color-scheme: auto"></iframe>'
    )


def lines_of(words: Sequence[str]) -> int:
    """About how many lines these words take in a frame."""
    dots = sum(8 * min(len(word), 90) + 16 for word in words)
    return 1 + dots // (_WIDE - 80)


def table(rows: Sequence[Sequence[object]], headers: Sequence[str] | None = None) -> str:
    """A table of rows of cells, in which numbers are aligned to the right.

    Without `headers`, the first cell of each row is its name.
    """
    head = (
        []
        if headers is None
        else ["<thead><tr>" + "".join(_cell(header, "th") for header in headers) + "</tr></thead>"]
    )
    body = [
        "<tr>"
        + "".join(
            _cell(cell, "th" if headers is None and not column else "td") for column, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    ]
    return "\n".join(["<table>", *head, "<tbody>", *body, "</tbody>", "</table>"])


def _cell(value: object, tag: str) -> str:
    align = "right" if isinstance(value, int | float) and not isinstance(value, bool) else "left"
    scope = ' scope="row"' if tag == "th" else ""
    return f'<{tag}{scope} style="{_CELL.format(align=align)}"><bdi>{text(str(value))}</bdi></{tag}>'
