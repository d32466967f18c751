"""One file of pairs as a corpus: .tsv (and .txt with tabs), .csv, .jsonl, .json, .parquet, plain or packed.

Read as a stream.

What a file holds decides: JSON and Parquet are known by their first bytes, whatever they are called.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from seq2attn.data.columns import ALIGNMENT, LANGUAGE, NESTED, SPLIT, WITHOUT_TEXT, BadCell, Columns, choose
from seq2attn.data.corpus import Corpus, Row, shown
from seq2attn.data.formats import json_records, parquet
from seq2attn.data.formats.bad_rows import SHARE, BadRow, without_bad
from seq2attn.data.formats.cells import Dialect, cells, dialect_of
from seq2attn.data.formats.lines import opened
from seq2attn.data.formats.packed import PARQUET, PARQUET_MAGIC, bare
from seq2attn.errors import UserError

KINDS = (".tsv", ".txt", ".csv", ".jsonl", ".json", ".parquet")
_CELLS = (".tsv", ".txt", ".csv")
_OBJECT = re.compile(rb'\s*\{\s*"|\s*\{\s*\}')
_LIST = re.compile(rb'\s*\[\s*\{\s*["}]')

Records = Iterator[tuple[int, Mapping[str, object]]]  # line or row, counted from 1, and its cells by column
RecordsOrBad = Iterator[tuple[int, Mapping[str, object]] | BadRow]


def kind(path: Path) -> str:
    """The ending that says the format, in lower case, without .gz and the like."""
    return Path(bare(path.name.lower())).suffix


def content(path: Path) -> str:
    """The format of a file by what it holds: the one of KINDS that is its ending or should be; "" for none."""
    named = kind(path)
    with opened(path, (PARQUET,)) as file:
        head = file.read1(1 << 12).removeprefix(b"\xef\xbb\xbf")  # type: ignore[attr-defined]
    if head.startswith(PARQUET_MAGIC):
        return ".parquet"
    if _LIST.match(head):
        return ".json"
    if _OBJECT.match(head):
        return named if named == ".json" else ".jsonl"
    return named if named in KINDS else ""


class BadRowMet(UserError):
    """A row cannot be read, where every row is wanted."""


class Table(NamedTuple):
    """A table and which of its columns are the two sides; None where it is empty."""

    path: Path
    columns: Columns | None
    records: Callable[[], RecordsOrBad]
    notes: list[str]

    def rows(self, split: str | None = None) -> Iterator[Row | BadRow]:
        if self.columns is None:
            return
        columns, file, name = self.columns, str(self.path), shown(self.path.name)
        for record in self.records():
            if isinstance(record, BadRow):
                yield record
                continue
            try:
                yield columns.row(record[1], f"{name}:{record[0]}", split)
            except BadCell as error:
                yield BadRow(file, record[0], WITHOUT_TEXT, str(error))


def open_table(path: Path, source: str | None, target: str | None, max_bad: float = SHARE) -> Corpus:
    """Raises UserError when a column does not exist (naming those that do), UsageError when it is not clear
    which.

    Columns of a .tsv or .csv are addressed by the names in its first line, or by number from 1. Without a
    header, a file of two columns is source and target, and `source` and `target` name their languages. Of the
    rows, `max_bad` may be bad, and are left out.
    """
    table = of_pairs(path, source, target)
    languages = table.columns.languages if table.columns else (None, None)
    rows = partial(_good_rows, table, max_bad)
    return Corpus(str(path), languages, rows, [path], table.notes)


def read_records(path: Path, key: str | None = None) -> Records:
    """The records of a file of any of KINDS. Raises BadRowMet at a bad row.

    The first line of .tsv and .csv names the columns; `key` is where a .json keeps its list, if not at the
    top.
    """
    for record in _records(path, key):
        if isinstance(record, BadRow):
            raise BadRowMet(f"{record.file}:{record.number}: {record.problem}")
        yield record


def _records(path: Path, key: str | None) -> RecordsOrBad:
    form = ".json" if key is not None else content(path)
    if form == ".json":
        yield from json_records.of_list(path, key)
    elif form == ".jsonl":
        yield from json_records.of_lines(path)
    elif form == ".parquet":
        yield from parquet.records(path)
    else:
        dialect = _dialect(path)
        yield from _named(path, dialect, _header(path, dialect), 1)


def of_pairs(path: Path, source: str | None, target: str | None) -> Table:
    """The table of a file of any of KINDS; raises what `open_table` does."""
    form = content(path)
    if form == ".parquet":
        return _open_parquet(path, source, target)
    if form in _CELLS:
        return _open_cells(path, source, target)
    read = json_records.of_list if form == ".json" else json_records.of_lines
    record = _first(read(path))
    if record is None:
        return Table(path, None, lambda: read(path), [])
    inside = record.get(NESTED)
    nested = list(inside) if isinstance(inside, Mapping) else ()
    columns = choose(list(record), source, target, str(path), nested)
    return Table(path, columns, lambda: read(path), [])


def _first(records: RecordsOrBad) -> Mapping[str, object] | None:
    """The first good record. Raises UserError where there are bad ones alone."""
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
    columns = choose(list(kinds), source, target, str(path), list(inside))
    sides = inside if columns.nested else kinds
    wanted = [NESTED] if columns.nested else [columns.source, columns.target]
    facts = [name for name, there in ((SPLIT, columns.split), (ALIGNMENT, columns.alignment)) if there]
    for name, kind in [(name, sides[name]) for name in columns[:2]] + [(name, kinds[name]) for name in facts]:
        if not parquet.is_text(kind):
            raise UserError(f"{path}: {name} is no text but {str(kind)[:60]}")
    return Table(path, columns, lambda: parquet.records(path, [*wanted, *facts]), [])


def _open_cells(path: Path, source: str | None, target: str | None) -> Table:
    dialect = _dialect(path)
    first = _header(path, dialect)
    headerless = _headerless(first, source, target) if first else None
    if headerless and kind(path) == ".txt" and dialect.delimiter != "\t":
        dialect = Dialect("\t", False)  # sentences with a comma each
        first = _header(path, dialect)
        headerless = _headerless(first, source, target) if first else None
    notes = list(dialect.notes)
    if not first:
        return Table(path, None, lambda: iter(()), notes)
    if headerless is None:
        columns = choose(first, source, target, str(path))
        for name in (columns.source, columns.target):
            if first.count(name) > 1:
                places = " and ".join(str(place) for place, cell in enumerate(first, 1) if cell == name)
                raise UserError(
                    f"{path}: columns {places} have one name, {name}: rename those that are not meant"
                )
        return Table(path, columns, lambda: _named(path, dialect, first, 1), notes)
    numbers = [str(number) for number in range(1, len(first) + 1)]
    columns = headerless
    sides = f"column {columns.source} is the source, column {columns.target} the target"
    notes.append(f"{path.name} has no header: {sides}")
    return Table(path, headerless, lambda: _named(path, dialect, numbers, 0), notes)


def _header(path: Path, dialect: Dialect) -> list[str]:
    """The cells of the first row, without the spaces that people put around names."""
    row = next(cells(path, dialect), (0, []))
    if isinstance(row, BadRow):
        raise UserError(f"{path}:{row.number}: {row.problem}")
    return [cell.strip() for cell in row[1]]


def _named(path: Path, dialect: Dialect, names: list[str], header: int) -> RecordsOrBad:
    """The rows behind the header, their cells by name."""
    for row in islice(cells(path, dialect), header, None):
        yield row if isinstance(row, BadRow) else (row[0], dict(zip(names, row[1], strict=False)))


def _dialect(path: Path) -> Dialect:
    return dialect_of(path, ",", True) if kind(path) == ".csv" else dialect_of(path, "\t", False)


def _headerless(first: list[str], source: str | None, target: str | None) -> Columns | None:
    """The columns of a file whose first line is a pair already; None where it is a header."""
    numbers = [str(number) for number in range(1, len(first) + 1)]
    sides = [side for side in (source, target) if side is not None]
    if any(side in first or side.rpartition(":")[0] in first for side in sides):
        return None
    if sides and all(re.fullmatch(r"\d+(:.*)?", side) for side in sides):
        return choose(numbers, source, target, "the file")
    if len(first) != 2:
        return None
    if not sides and (all(LANGUAGE.fullmatch(cell) for cell in first) or set(first) == {"source", "target"}):
        return None
    if any(side.lower() == cell.lower() for side in sides for cell in first):
        return None  # a header in other letters: better a question than a wrong pair
    return Columns("1", "2", (source, target))


def _good_rows(table: Table, max_bad: float) -> Iterator[Row]:
    return without_bad(table.rows(), max_bad, table.notes)
