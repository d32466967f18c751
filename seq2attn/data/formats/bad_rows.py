"""Rows of a table that cannot be read: they are left out and counted, and too many of them are refused.

This module knows no file format.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from seq2attn.errors import UserError

T = TypeVar("T")

SHARE = 0.01  # share of the rows that may be bad
ENOUGH = 10_000  # with more bad rows of one kind than this, and than good rows, reading ends
EXAMPLES = 10  # lines that are named, at most
BEGINNING = 60  # characters of a bad row in an error


class BadRow(NamedTuple):
    """A row that cannot be read."""

    file: str  # name for people
    number: int  # its line or row, from 1
    kind: str  # kind of the problem, as it follows "3 rows "
    problem: str  # problem of this row


def without_bad(rows: Iterator[T | BadRow], share: float, notes: list[str]) -> Iterator[T]:
    """The good rows. At the end, notes on the bad rows are added to `notes`.

    Raises UserError if the bad rows are a larger part of all rows than `share`.
    """
    bad: dict[tuple[str, str], list[int]] = {}
    counts: dict[tuple[str, str], int] = {}
    first: BadRow | None = None
    good = 0
    for row in rows:
        if not isinstance(row, BadRow):
            good += 1
            yield row
            continue
        first = first or row
        key = (row.file, row.kind)
        counts[key] = counts.get(key, 0) + 1
        if counts[key] <= EXAMPLES:
            bad.setdefault(key, []).append(row.number)
        elif counts[key] > max(ENOUGH, good) and share < 0.5:
            break  # probably the wrong file
    if first is None:
        return
    number = sum(counts.values())
    total = good + number
    if number > share * total:
        rest = f"{number:,} of {total:,} rows cannot be read, and {share:g} of them may be left out"
        place = f"{first.file}:{first.number}"
        raise UserError(f"{place}: {first.problem}; {rest}: mend them, or allow more with `max_bad`")
    for (file, kind), numbers in bad.items():
        count = counts[file, kind]
        lines = ", ".join(f"{place:,}" for place in numbers) + (", ..." if count > len(numbers) else "")
        one, line = ("row", "line") if count == 1 else ("rows", "lines")
        note = f"{Path(file).name}: {count:,} {one} {kind}, left out: {line} {lines}"
        if note not in notes:
            notes.append(note)


def beginning(text: str) -> str:
    """The first BEGINNING characters of a row, for an error."""
    return f'"{text[:BEGINNING]}{"..." if len(text) > BEGINNING else ""}"'
