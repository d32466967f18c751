"""Tables of captions beside a folder of images, a row for each caption.

Examples are captions.txt of Flickr8k and results.csv of Flickr30k.

The first line names the columns: "image,caption", "image_name| comment_number| comment" and the like. Between
commas, semicolons and tabs cells may be quoted by the rules of CSV; between bars they may not. A row that
does not fit is repaired if its caption is clear, and otherwise left out and counted.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from seq2attn.data.formats.lines import opened, read_lines
from seq2attn.data.formats.text import MAX_LENGTH, one_line
from seq2attn.errors import UserError

MOST_BAD = 0.05  # of the rows, that do not fit
EXAMPLES = 3  # of them are named

_IMAGES = ("image", "image_name", "image_id", "image_path", "img", "file", "file_name", "filename")
_CAPTIONS = ("caption", "comment", "captions", "text", "description", "sentence")
_DELIMITERS = "|\t;,"
_BEGINNING = 4096  # bytes of the first line, at most
_MOST_LINES = 100  # lines of one quoted cell, at most
_ROW = re.compile(
    r"\"?[^\"]+\.(?:jpe?g|png|gif|webp|bmp|tiff?)\"?\s*[,;\t]", re.IGNORECASE
)  # the beginning of a row
_MERGED = re.compile(r"\d+\s+(?=\S)")  # a number and the caption, if the bar between them is missing


class Form(NamedTuple):
    """The delimiter and the columns of a table."""

    delimiter: str
    columns: int
    image: int
    caption: int


class Caption(NamedTuple):
    line: int
    image: str
    text: str


def form_of(path: Path) -> Form | None:
    """The form that the first line gives; None if it names no columns of images and captions."""
    try:
        with opened(path) as file:
            first = file.readline(_BEGINNING)
    except UserError:
        return None
    names = first.decode("utf-8-sig", "replace").strip().lower()
    delimiter = next((mark for mark in _DELIMITERS if mark in names), None)
    if delimiter is None or not first.endswith(b"\n"):
        return None
    cells = [cell.strip().strip('"').strip() for cell in names.split(delimiter)]
    image = next((cells.index(name) for name in _IMAGES if name in cells), None)
    caption = next((cells.index(name) for name in _CAPTIONS if name in cells), None)
    return None if image is None or caption is None else Form(delimiter, len(cells), image, caption)


def captions_of(path: Path, form: Form, notes: list[str]) -> Iterator[Caption]:
    """The captions of the rows that fit the columns.

    At the end, a note on the number of the other rows is added to `notes`. Raises UserError if they are more
    than the share MOST_BAD.
    """
    rows, bad = 0, list[int]()
    for number, cells in _bars(path) if form.delimiter == "|" else _quoted(path, form.delimiter):
        rows += 1
        fitted = _fitted(cells, form)
        if fitted is None or not fitted[form.image].strip():
            bad.append(number)
            continue
        image, text = (fitted[column].strip() for column in (form.image, form.caption))
        if form.delimiter == "|":
            image, text = _bare(image), _bare(text).strip()
        yield Caption(number, image, one_line(text, f"{path}:{number}"))
    if not bad:
        return
    lines = ", ".join(map(str, bad[:EXAMPLES])) + (", ..." if len(bad) > EXAMPLES else "")
    does = "row does" if len(bad) == 1 else "rows do"
    fact = f"{len(bad):,} {does} not fit the {form.columns} columns of the first line: line {lines}"
    if len(bad) > MOST_BAD * rows:
        raise UserError(f"{path}: {fact}; {MOST_BAD:.0%} are left out at most: mend them")
    if (note := f"{path.name}: {fact}; left out") not in notes:
        notes.append(note)


def _fitted(cells: list[str], form: Form) -> list[str] | None:
    """As many cells as there are columns; None if they cannot be assigned."""
    last = form.columns - 1
    if len(cells) == form.columns:
        return cells
    if form.caption != last:
        return None
    if len(cells) > form.columns:  # the caption has the delimiter in it, and is not quoted
        return [*cells[:last], form.delimiter.join(cells[last:])]
    if len(cells) == last and (merged := _MERGED.match(cells[-1].strip())):
        return [*cells[:-1], merged[0], cells[-1].strip()[merged.end() :]]
    return None


def _bars(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_lines(path), 1):
        if number > 1 and line.strip():
            yield number, line.split("|")


def _bare(cell: str) -> str:
    """A cell without the quotes that CSV puts around it."""
    inside = cell[1:-1].replace('""', "")
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inside
    return cell[1:-1].replace('""', '"') if quoted else cell


def _quoted(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of CSV. A line whose quotes do not close before the next row is split at every delimiter."""
    csv.field_size_limit(MAX_LENGTH)
    lines = enumerate(read_lines(path), 1)
    next(lines, None)
    ahead: list[tuple[int, str]] = []
    while ahead or (following := next(lines, None)):
        if not ahead:
            assert following is not None
            ahead.append(following)
        number, text = ahead[0]
        if not text.strip():
            del ahead[0]
            continue
        cells, count = _cells(text, delimiter), 1
        while cells is None and count < _MOST_LINES and len(text) < MAX_LENGTH:
            if count == len(ahead):
                if (more := next(lines, None)) is None:
                    break
                ahead.append(more)
            if _ROW.match(ahead[count][1]):
                break
            text += "\n" + ahead[count][1]
            cells, count = _cells(text, delimiter), count + 1
        yield number, ahead[0][1].split(delimiter) if cells is None else cells
        del ahead[: 1 if cells is None else count]


def _cells(text: str, delimiter: str) -> list[str] | None:
    """The cells of one row; None if a quote is open, or closed within a cell."""
    try:
        rows = list(csv.reader((f"{line}\n" for line in text.split("\n")), delimiter=delimiter, strict=True))
    except csv.Error:
        return None
    return rows[0] if len(rows) == 1 else None
