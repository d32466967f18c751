"""Which columns or keys of a table are the two sides. Knows their names, never their file."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from seq2attn.data.corpus import SPLIT_NAMES, Row, one_line, split_name
from seq2attn.errors import UsageError, UserError
from seq2attn.near import nearest

LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z]{2,4})?")
# one column that holds both sides by language, as translation corpora of the Hugging Face hub have it
NESTED = "translation"
SPLIT, ALIGNMENT = "split", "alignment"
WITHOUT_TEXT = "without a text on both sides"  # what is wrong with rows that have a BadCell
_SHOWN, _SHOWN_CHARACTERS = 20, 60  # columns that an error names, and how much of each


class BadCell(UserError):
    """A row has no text where one is wanted; the rows beside it may have."""


class Columns(NamedTuple):
    source: str
    target: str
    languages: tuple[str | None, str | None]
    nested: bool = False  # the sides are inside the column NESTED
    split: bool = False  # a column says which split a row is in
    alignment: bool = False  # a column has gold word alignments

    def row(self, record: Mapping[str, object], place: str, split: str | None = None) -> Row:
        """The two sides of one record.

        Raises BadCell, which does not name the place, where one is missing or no text; UserError for a split
        that cannot be.
        """
        sides = record
        if self.nested:
            inside = record.get(NESTED)
            if not isinstance(inside, Mapping):
                raise BadCell(f'no "{NESTED}" with both sides in it')
            sides = inside
        if self.split:
            named = _text(record, SPLIT, place)
            split = split_name(named)
            if split is None:
                raise UserError(f'{place}: the split is "{named[:40]}"; {SPLIT_NAMES}')
        alignment = None
        if self.alignment:
            alignment = "" if record.get(ALIGNMENT, "") is None else _text(record, ALIGNMENT, place)
        return Row(
            _text(sides, self.source, place), _text(sides, self.target, place), place, split, alignment
        )


def choose(
    names: Sequence[str], source: str | None, target: str | None, where: str, nested: Sequence[str] = ()
) -> Columns:
    """The columns called `source` and `target` (written NAME, or NAME:LANGUAGE to say which language it is)
    among `names`, or among
    `nested`, the names inside the column NESTED. Without both: the only two that look like languages, or
    "source" and "target".
    Raises UserError naming the columns that exist, UsageError when it takes the user to say which.
    """
    inside = bool(nested) and not (source and _find(names, source))
    there = nested if inside else names
    facts = {"nested": inside, "split": SPLIT in names, "alignment": ALIGNMENT in names}
    if source is None and target is None:
        codes = [name for name in there if LANGUAGE.fullmatch(name) and name != "id"]
        if len(codes) == 2:
            return Columns(codes[0], codes[1], (codes[0], codes[1]), **facts)
        if "source" in there and "target" in there:
            return Columns("source", "target", (None, None), **facts)
    if source is None or target is None:
        raise UsageError(
            f"{where}: say which column is which with --source NAME --target NAME; there are: {listed(there)}"
        )
    found = []
    for option, asked in (("--source", source), ("--target", target)):
        match = _find(there, asked)
        if match is None:
            near = nearest(asked, there)
            hint = f" (did you mean {' or '.join(near)}?)" if near else ""
            raise UserError(f"{where}: no column {asked} for {option}{hint}; there are: {listed(there)}")
        found.append(match)
    (source_column, source_language), (target_column, target_language) = found
    if source_column == target_column:
        raise UsageError(f"--source and --target are both the column {source_column}")
    return Columns(source_column, target_column, (source_language, target_language), **facts)


def _find(names: Sequence[str], asked: str) -> tuple[str, str | None] | None:
    """(column, language): a column's name is its language unless it is a number or says nothing."""
    if asked in names:
        return asked, None if asked.isdecimal() or asked in ("source", "target") else asked
    column, colon, language = asked.rpartition(":")
    return (column, language) if colon and column in names else None


def listed(names: Iterable[object]) -> str:
    """The names of columns or keys in an error, of many the first ones."""
    texts = [str(name)[:_SHOWN_CHARACTERS] for name in names]
    more = f" and {len(texts) - _SHOWN:,} more" if len(texts) > _SHOWN else ""
    return (", ".join(texts[:_SHOWN]) or "nothing") + more


def _text(record: Mapping[str, object], column: str, place: str) -> str:
    value = record.get(column, _text)
    if isinstance(value, str):
        return one_line(value, place)
    if value is _text:
        raise BadCell(f"no {column}; it has: {listed(record)}")
    raise BadCell(
        f"{column} is empty" if value is None else f"{column} is no text but {type(value).__name__}"
    )
