"""Rows of text divided into cells by tabs, commas, semicolons or bars, with the quotes of CSV or without.

There are no rules for quotes between tabs. They are read as quotes if the cells show that a spreadsheet
program wrote the file. Otherwise a quote is text, as in files of sentences.
"""

import csv
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from seq2attn.data.formats.bad_rows import BadRow, beginning
from seq2attn.data.formats.lines import opened, read_lines
from seq2attn.data.formats.packed import BLOCK
from seq2attn.data.formats.text import MAX_LENGTH
from seq2attn.errors import UserError

DELIMITERS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}
_SAMPLE = 200  # lines that decide on the delimiter
_QUOTE_SAMPLE = 10_000  # lines that decide on quotes
_FITTING = 0.95  # share of rows that must have as many cells as the header, for an unusual delimiter
_COMMAS = 3  # cells in quotes that are a sign of a spreadsheet, if all cells with commas are in quotes
_OFTEN = 20  # signs of a spreadsheet for each sign of plain text
_RETRIES = 16 * MAX_LENGTH  # characters that may be read again because of quotes that do not close
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # the line that a spreadsheet program puts first


class Dialect(NamedTuple):
    """The delimiter and the quotes of a file."""

    delimiter: str
    quoted: bool  # whether a cell may stand in quotes
    skip: int = 0  # lines before the first row
    notes: tuple[str, ...] = ()


def dialect_of(path: Path, usual: str, quoted: bool) -> Dialect:
    """The dialect of a file, by its first lines.

    `usual` is the usual delimiter of such files. `quoted` says whether they usually have quotes.
    """
    lines = list(islice(read_lines(path), _SAMPLE))
    skip, delimiter, notes = 0, usual, list[str]()
    if lines and (match := _SEPARATOR.fullmatch(lines[0])):
        skip, delimiter = 1, match[1]
    elif lines and len(_first(lines, path, usual)) < 2:
        shares = {other: _fitting(lines, path, other) for other in DELIMITERS if other != usual}
        best = max(shares, key=lambda other: shares[other])
        delimiter = best if shares[best] else usual
    if delimiter != usual:
        notes.append(f"{path.name}: cells are divided by {DELIMITERS.get(delimiter, repr(delimiter))}")
    if not quoted and delimiter == usual:
        quoted, note = _spreadsheet(path, delimiter, skip)
        notes += [f"{path.name}: {note}"] if note else []
    else:
        quoted = True
    return Dialect(delimiter, quoted, skip, tuple(notes))


def cells(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]] | BadRow]:
    """(line, cells) of every row, or a bad row.

    The first row gives the number of cells. Empty cells beyond it are dropped. An empty line is no row.
    """
    lines = islice(read_lines(path), dialect.skip, None)
    width: int | None = None
    delimiter, skip = dialect.delimiter, dialect.skip
    rows: Iterator[tuple[int, list[str]] | BadRow] = _plain(lines, delimiter, skip)
    if dialect.quoted:
        rows = _Records(lines, delimiter, path, skip)
    for row in rows:
        if isinstance(row, BadRow):
            yield row
            continue
        number, parts = row
        if width is None:
            while len(parts) > 2 and not parts[-1].strip():
                parts.pop()
            width = len(parts)
        elif len(parts) != width:
            if len(parts) < width or any(map(str.strip, parts[width:])):
                yield _misfit(path, number, parts, width)
                continue
            del parts[width:]
        yield row


def _misfit(path: Path, number: int, parts: list[str], width: int) -> BadRow:
    columns = f"{len(parts)} column{'' if len(parts) == 1 else 's'} where the first line has {width}"
    why = " (a cell with a line break?)" if len(parts) < width else ""
    problem = f"{columns}: {beginning(' '.join(parts))}{why}"
    return BadRow(str(path), number, "with another number of columns", problem)


def _plain(lines: Iterator[str], delimiter: str, skip: int) -> Iterator[tuple[int, list[str]]]:
    return ((number, line.split(delimiter)) for number, line in enumerate(lines, skip + 1) if line)


def _first(lines: list[str], path: Path, delimiter: str) -> list[str]:
    row = next(_Records(iter(lines), delimiter, path, cut=True), None)
    return [] if row is None or isinstance(row, BadRow) else row[1]


class _Records(Iterator[tuple[int, list[str]] | BadRow]):
    """Rows by the rules of CSV.

    If a quote does not close, or closes where no cell can end, only the first line of the row is a bad row.
    """

    def __init__(
        self, lines: Iterator[str], delimiter: str, path: Path, skip: int = 0, cut: bool = False
    ) -> None:
        """With `cut`, `lines` are the beginning of a file, and a row that goes on after them is left out."""
        csv.field_size_limit(MAX_LENGTH)
        self._lines, self._delimiter, self._path, self._cut = lines, delimiter, path, cut
        self._back: list[str] = []  # lines to be read again, the next one last
        self._number = skip
        self._width = 0
        self.row_lines: list[str] = []  # lines of the last row
        self._retries = _RETRIES

    def __next__(self) -> tuple[int, list[str]] | BadRow:
        while not (line := self._line()):
            pass
        number = self._number
        row_lines = self.row_lines = [line]
        parts = self._quoted(row_lines) if '"' in line else line.split(self._delimiter)
        if (
            not isinstance(parts, str)
            and len(row_lines) > 1
            and len(_trimmed(parts, self._width)) != self._width
        ):
            # A quote closes where it should not.
            parts = f"{len(parts)} columns where the first line has {self._width}"
        if not isinstance(parts, str):
            self._width = self._width or len(parts)
            return number, parts
        if self._cut and parts is _OPEN:
            raise StopIteration
        self._back += reversed(row_lines[1:])
        self._number = number
        self._spend(sum(map(len, row_lines[1:])), number)
        return BadRow(
            str(self._path),
            number,
            "against the rules of CSV",
            f"not a row of CSV: {parts}: {beginning(line)}",
        )

    def _line(self) -> str:
        self._number += 1
        return self._back.pop() if self._back else next(self._lines)

    def _quoted(self, row_lines: list[str]) -> list[str] | str:
        """The cells of the row that begins with `row_lines`, or the problem.

        The other lines of the row are added to `row_lines`.
        """
        size = len(row_lines[0])
        while True:
            try:
                lines = [f"{part}\n" for part in row_lines]
                return next(csv.reader(lines, delimiter=self._delimiter, strict=True))
            except csv.Error as error:
                if "unexpected end" not in str(error):
                    return str(error)
            self._spend(size + 8 * len(row_lines) if len(row_lines) > 1 else 0, self._number)
            quotes = sum(part.count('"') for part in row_lines)
            while True:  # until the number of quotes is even
                if size > MAX_LENGTH:
                    return _OPEN
                try:
                    row_lines.append(self._line())
                except StopIteration:
                    return _OPEN
                size += len(row_lines[-1]) + 1
                quotes += row_lines[-1].count('"')
                if '"' in row_lines[-1] and quotes % 2 == 0:
                    break

    def _spend(self, characters: int, number: int) -> None:
        self._retries -= characters
        if self._retries < 0:
            problem = "too many quotes that do not close; save the table as CSV anew"
            raise UserError(f"{self._path}:{number}: {problem}")


_OPEN = f"a quote that does not close within {MAX_LENGTH:,} characters"


def _trimmed(parts: list[str], width: int) -> list[str]:
    """The cells up to `width`, if the others are empty."""
    return parts[:width] if len(parts) > width and not any(map(str.strip, parts[width:])) else parts


def _fitting(lines: list[str], path: Path, delimiter: str) -> float:
    """The share of rows with as many cells as the first row.

    It is 0 if this share is below _FITTING, or if the first row has one cell.
    """
    rows = _Records(iter(lines), delimiter, path, cut=True)
    widths = [0 if isinstance(row, BadRow) else len(row[1]) for row in rows]
    share = widths.count(widths[0]) / len(widths) if widths and widths[0] > 1 else 0
    return share if share >= _FITTING else 0


def _spreadsheet(path: Path, delimiter: str, skip: int) -> tuple[bool, str]:
    """Whether a spreadsheet program wrote the quotes around cells between tabs, and a note for the user.

    Such a program doubles a quote inside quotes, and puts quotes around every cell with a quote. Only in
    quotes does a cell continue on the next line.
    """
    if not _has_quotes(path):
        return False, ""
    wrapped = doubled = several = loose = plain = commas = 0
    rows = _Records(islice(read_lines(path), skip, _QUOTE_SAMPLE), delimiter, path, skip, cut=True)
    for row in rows:
        if isinstance(row, BadRow):
            loose += 1
            continue
        cells = row[1]
        if not any('"' in line for line in rows.row_lines):
            plain += any("," in cell for cell in cells)
            continue
        raw = rows.row_lines[0].split(delimiter)
        if len(rows.row_lines) > 1 or len(raw) != len(cells):
            fits = all(len(line.split(delimiter)) == len(cells) for line in rows.row_lines)
            # As plain text, lines that fit would be good rows, too.
            several, loose = several + (not fits), loose + fits
            continue
        for bare, cell in zip(raw, cells, strict=True):
            if bare == cell:
                loose, plain = loose + ('"' in cell), plain + ("," in cell)
            else:
                wrapped, doubled, commas = wrapped + 1, doubled + ('"' in cell), commas + ("," in cell)
    signs = doubled + several
    if wrapped == commas and wrapped >= _COMMAS and not plain:
        signs += wrapped  # some programs put quotes around all cells with commas
    if signs and loose * _OFTEN <= signs:
        return True, "cells in quotes are read as CSV has them"
    return False, f"quotes around {wrapped:,} cells are kept as text" if wrapped >= _COMMAS else ""


def _has_quotes(path: Path) -> bool:
    with opened(path) as file:
        return any(b'"' in file.read(BLOCK) for _ in range(32))
