"""One file of pairs as a corpus, in any format of `formats.records`; read as a stream."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from seq2attn.data.corpus import ALIGNMENT, LANGUAGE, NESTED, SPLIT, Row
from seq2attn.data.formats import json_records, parquet
from seq2attn.data.formats.bad_rows import SHARE, BadRow, without_bad
from seq2attn.data.formats.cells import Dialect
from seq2attn.data.formats.records import (
    CELLS,
    RecordsOrBad,
    dialect_of_file,
    ending,
    format_of,
    header,
    named_cells,
)
from seq2attn.data.formats.text import printable
from seq2attn.data.languages import is_title
from seq2attn.data.text.columns import WITHOUT_TEXT, BadCell, Columns, choose_columns
from seq2attn.data.text.corpus import Corpus
from seq2attn.errors import UserError


class Table(NamedTuple):
    """A table and the columns of its two sides; None if it is empty."""

    path: Path
    columns: Columns | None
    records: Callable[[], RecordsOrBad]
    notes: list[str]

    def rows(self, split: str | None = None) -> Iterator[Row | BadRow]:
        if self.columns is None:
            return
        columns, file, name = self.columns, str(self.path), printable(self.path.name)
        for record in self.records():
            if isinstance(record, BadRow):
                yield record
                continue
            try:
                yield columns.row(record[1], f"{name}:{record[0]}", split)
            except BadCell as error:
                yield BadRow(file, record[0], WITHOUT_TEXT, str(error))


def open_table(path: Path, source: str | None, target: str | None, max_bad: float = SHARE) -> Corpus:
    """A table of pairs as a corpus.

    Raises UserError if a column does not exist, and UsageError if `source` and `target` must say which to
    use. Columns of a .tsv or .csv are addressed by the names in its first line, or by number from 1. Without
    a header, a file of two columns is source and target, and `source` and `target` name their languages. The
    share `max_bad` of the rows may be bad, and is left out.
    """
    table = read_pairs(path, source, target)
    languages = table.columns.languages if table.columns else (None, None)
    rows = partial(_good_rows, table, max_bad)
    return Corpus(str(path), languages, rows, [path], table.notes)


def read_pairs(path: Path, source: str | None, target: str | None) -> Table:
    """The table of a file of any of FORMATS. Raises the errors of `open_table`."""
    form = format_of(path)
    if form == ".parquet":
        return _open_parquet(path, source, target)
    if form in CELLS:
        return _open_cells(path, source, target)
    read = json_records.of_list if form == ".json" else json_records.of_lines
    record = _first(read(path))
    if record is None:
        return Table(path, None, lambda: read(path), [])
    inside = record.get(NESTED)
    nested = list(inside) if isinstance(inside, Mapping) else ()
    columns = choose_columns(list(record), source, target, str(path), nested)
    return Table(path, columns, lambda: read(path), [])


def _first(records: RecordsOrBad) -> Mapping[str, object] | None:
    """The first good record; None without records. Raises UserError if all are bad."""
    bad: BadRow | None = None
    for record in records:
        if not isinstance(record, BadRow):
            return record[1]
        bad = bad or record
    if bad is not None:
        raise UserError(f"{bad.file}:{bad.number}: {bad.problem}")
    return None


def _open_parquet(path: Path, source: str | None, target: str | None) -> Table:
    schema = parquet.schema(path)
    kinds = {column.name: column.type for column in schema}
    inside = parquet.fields(kinds.get(NESTED))
    columns = choose_columns(list(kinds), source, target, str(path), list(inside))
    sides = inside if columns.nested else kinds
    columns_to_read = [NESTED] if columns.nested else [columns.source, columns.target]
    facts = [name for name, there in ((SPLIT, columns.split), (ALIGNMENT, columns.alignment)) if there]
    for name, kind in [(name, sides[name]) for name in columns[:2]] + [(name, kinds[name]) for name in facts]:
        if not parquet.is_text(kind):
            raise UserError(f"{path}: {name} is no text but {str(kind)[:60]}")
    return Table(path, columns, lambda: parquet.records(path, [*columns_to_read, *facts]), [])


def _open_cells(path: Path, source: str | None, target: str | None) -> Table:
    dialect = dialect_of_file(path)
    first = header(path, dialect)
    headerless = _headerless(first, source, target) if first else None
    if headerless and ending(path) == ".txt" and dialect.delimiter != "\t":
        dialect = Dialect("\t", False)  # sentences with a comma each
        first = header(path, dialect)
        headerless = _headerless(first, source, target) if first else None
    notes = list(dialect.notes)
    if not first:
        return Table(path, None, lambda: iter(()), notes)
    if headerless is None:
        columns = choose_columns(first, source, target, str(path))
        if source is None and target is None:
            sides = f"{columns.source} is the source, {columns.target} the target"
            notes.append(f"{path.name}: the first line is the header: {sides}")
        for name in (columns.source, columns.target):
            if first.count(name) > 1:
                places = " and ".join(str(place) for place, cell in enumerate(first, 1) if cell == name)
                raise UserError(
                    f"{path}: columns {places} have one name, {name}: rename those that are not meant"
                )
        return Table(path, columns, lambda: named_cells(path, dialect, first, 1), notes)
    numbers = [str(number) for number in range(1, len(first) + 1)]
    columns = headerless
    sides = f"column {columns.source} is the source, column {columns.target} the target"
    notes.append(f"{path.name} has no header: {sides}")
    return Table(path, headerless, lambda: named_cells(path, dialect, numbers, 0), notes)


def _headerless(first: list[str], source: str | None, target: str | None) -> Columns | None:
    """The columns of a file whose first line is a pair; None if it is a header."""
    numbers = [str(number) for number in range(1, len(first) + 1)]
    sides = [side for side in (source, target) if side is not None]
    if any(side in first or side.rpartition(":")[0] in first for side in sides):
        return None
    if sides and all(re.fullmatch(r"\d+(:.*)?", side) for side in sides):
        return choose_columns(numbers, source, target, "the file")
    filled = [number for number, cell in zip(numbers, first, strict=True) if cell]  # the others are empty
    titles = [cell for cell in first if cell]
    if len(filled) != 2:
        return None
    if not sides and (
        all(LANGUAGE.fullmatch(cell) or is_title(cell) for cell in titles)
        or set(titles) == {"source", "target"}
    ):
        return None
    if any(side.lower() == cell.lower() for side in sides for cell in titles):
        return None  # a header in other letters: better a question than a wrong pair
    first_side, second_side = filled
    return Columns(first_side, second_side, (source, target))


def _good_rows(table: Table, max_bad: float) -> Iterator[Row]:
    return without_bad(table.rows(), max_bad, table.notes)
