"""The columns or keys of a table that hold the two sides. It knows their names, not their file."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from seq2attn.data.corpus import ALIGNMENT, LANGUAGE, NESTED, SPLIT, SPLIT_NAMES, Row, split_name
from seq2attn.data.formats.text import one_line
from seq2attn.data.languages import is_title
from seq2attn.errors import UsageError, UserError
from seq2attn.near import nearest

WITHOUT_TEXT = "without a text on both sides"  # the kind of rows that have a BadCell
_MOST_NAMES, _MOST_CHARACTERS = 20, 60  # columns that an error names, characters of each


class BadCell(UserError):
    """A row has no text in a column of one side; other rows may have."""


class Columns(NamedTuple):
    source: str
    target: str
    languages: tuple[str | None, str | None]
    nested: bool = False  # the sides are inside the column NESTED
    split: bool = False  # a column says which split a row is in
    alignment: bool = False  # a column has gold word alignments

    def row(self, record: Mapping[str, object], place: str, split: str | None = None) -> Row:
        """The two sides of one record.

        Raises BadCell, which does not name the place, if a side is missing or no text, and UserError for a
        name that no split can have.
        """
        sides = record
        if self.nested:
            inside = record.get(NESTED)
            if not isinstance(inside, Mapping):
                raise BadCell(f'no "{NESTED}" with both sides in it')
            sides = inside
        if self.split:
            cell = _text(record, SPLIT, place)
            split = split_name(cell)
            if split is None:
                raise UserError(f'{place}: the split is "{cell[:40]}"; {SPLIT_NAMES}')
        alignment = None
        if self.alignment:
            alignment = "" if record.get(ALIGNMENT, "") is None else _text(record, ALIGNMENT, place)
        return Row(
            _text(sides, self.source, place), _text(sides, self.target, place), place, split, alignment
        )


def choose_columns(
    names: Sequence[str], source: str | None, target: str | None, where: str, nested: Sequence[str] = ()
) -> Columns:
    """The columns called `source` and `target` among `names`.

    If there are `nested` names, those in the column NESTED, the columns are among these, unless `source` is
    among `names`. They are written NAME, or NAME:LANGUAGE to say which language the column holds. Without
    both: the only two that are codes or names of languages, or "source" and "target". Raises UserError, which
    names the columns that exist, and UsageError if the user must say which to use.
    """
    inside = bool(nested) and not (source and _find(names, source))
    there = nested if inside else names
    facts = {"nested": inside, "split": SPLIT in names, "alignment": ALIGNMENT in names}
    if source is None and target is None:
        codes = [name for name in there if (LANGUAGE.fullmatch(name) and name != "id") or is_title(name)]
        if len(codes) == 2:
            return Columns(codes[0], codes[1], (codes[0], codes[1]), **facts)
        if "source" in there and "target" in there:
            return Columns("source", "target", (None, None), **facts)
    if source is None or target is None:
        question = "say which column is which with `source` NAME and `target` NAME"
        raise UsageError(f"{where}: {question}; there are: {listed(there)}")
    source_column, source_language = _find_or_refuse(there, source, "source", where)
    target_column, target_language = _find_or_refuse(there, target, "target", where)
    if source_column == target_column:
        raise UsageError(f"`source` and `target` are both the column {source_column}", setting="source")
    return Columns(source_column, target_column, (source_language, target_language), **facts)


def _find_or_refuse(names: Sequence[str], name: str, setting: str, where: str) -> tuple[str, str | None]:
    column = _find(names, name)
    if column is None:
        near = nearest(name, names)
        hint = f" (did you mean {' or '.join(near)}?)" if near else ""
        problem = f"no column {name} for `{setting}`{hint}"
        raise UserError(f"{where}: {problem}; there are: {listed(names)}", setting=setting)
    return column


def _find(names: Sequence[str], name: str) -> tuple[str, str | None] | None:
    """(column, language): a column's name is its language unless it is a number or says nothing."""
    if name in names:
        return name, None if name.isdecimal() or name in ("source", "target") else name
    column, colon, language = name.rpartition(":")
    return (column, language) if colon and column in names else None


def listed(names: Iterable[object]) -> str:
    """The names of columns or keys for an error. Of many, only the first ones."""
    texts = [str(name)[:_MOST_CHARACTERS] for name in names]
    more = f" and {len(texts) - _MOST_NAMES:,} more" if len(texts) > _MOST_NAMES else ""
    return (", ".join(texts[:_MOST_NAMES]) or "nothing") + more


def _text(record: Mapping[str, object], column: str, place: str) -> str:
    value = record.get(column, _text)
    if isinstance(value, str):
        return one_line(value, place)
    if value is _text:
        raise BadCell(f"no {column}; it has: {listed(record)}")
    raise BadCell(
        f"{column} is empty" if value is None else f"{column} is no text but {type(value).__name__}"
    )
