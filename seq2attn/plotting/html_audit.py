"""The table of an audit as one HTML page, which works without a network, in light and dark mode.

It knows cells of text, and neither runs nor attention. The best number of a column is marked.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from seq2attn.plotting import html_page

LOWER = ("AER", "only", "entropy", "end", "punct.")  # beginnings of columns in which less is better
NO_BEST = ("links", "entropy", "end", "punct.", "permuted")  # columns without a best

_TEXT = ' class="text"'  # of a cell in a column that has words


class Cells(Protocol):
    """A table: names of its columns, and cells in rows."""

    @property
    def headers(self) -> tuple[str, ...]: ...

    @property
    def rows(self) -> tuple[tuple[str, ...], ...]: ...


def save(table: Cells, path: Path, title: str, sentences: Sequence[str], legend: Sequence[str]) -> None:
    """Write the page to `path`, whole or not at all."""
    html_page.write(render(table, title, sentences, legend), path)


def render(table: Cells, title: str, sentences: Sequence[str], legend: Sequence[str]) -> str:
    """The page as text: what was found, the table, and what its columns mean."""
    best = [_best(name, [row[column] for row in table.rows]) for column, name in enumerate(table.headers)]
    words = [any(map(_is_text, column)) for column in zip(*table.rows, strict=True)]
    head = "".join(
        f'<th scope="col"{_TEXT if text else ""}>{html_page.text(name)}</th>'
        for name, text in zip(table.headers, words, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + f'<th scope="row">{html_page.text(row[0])}</th>'
        + "".join(
            _cell(cell, cell in best[column], words[column]) for column, cell in enumerate(row) if column
        )
        + "</tr>"
        for row in table.rows
    )
    sections = [
        *(f'<p class="finding">{html_page.text(sentence)}</p>' for sentence in sentences),
        f"<main><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></main>",
        *(f'<p class="legend">{html_page.text(line)}</p>' for line in legend),
    ]
    return html_page.page(title, "The best of each column is marked.", sections, [], "audit")


def _best(name: str, cells: Sequence[str]) -> set[str]:
    """The cells with the best number of a column."""
    numbers = {cell: number for cell in cells if (number := _number(cell)) is not None}
    if not numbers or name.startswith(NO_BEST):
        return set()
    best = (min if name.startswith(LOWER) else max)(numbers.values())
    return {cell for cell, number in numbers.items() if number == best}


def _cell(cell: str, best: bool, text: bool) -> str:
    kind = ' class="best"' if best else _TEXT if text else ""
    return f"<td{kind}>{html_page.text(cell)}</td>"


def _is_text(cell: str) -> bool:
    return _number(cell) is None and cell not in "–-"


def _number(cell: str) -> float | None:
    match = re.fullmatch(r"(-?[0-9.]+)%?", cell)
    return float(match[1]) if match else None
