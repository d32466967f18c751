"""Records of one file: .tsv (and .txt with tabs), .csv, .jsonl, .json or .parquet, plain or packed.

They are read as a stream. The content decides on the format: JSON and Parquet are recognised by their first
bytes, whatever the file is called.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path

from seq2attn.data.formats import json_records, parquet
from seq2attn.data.formats.bad_rows import BadRow
from seq2attn.data.formats.cells import Dialect, cells, dialect_of
from seq2attn.data.formats.lines import opened
from seq2attn.data.formats.packed import PARQUET, PARQUET_MAGIC, bare
from seq2attn.errors import UserError

FORMATS = (".tsv", ".txt", ".csv", ".jsonl", ".json", ".parquet")
CELLS = (".tsv", ".txt", ".csv")  # those that have cells between delimiters
_OBJECT = re.compile(rb'\s*\{\s*"|\s*\{\s*\}')
_LIST = re.compile(rb'\s*\[\s*\{\s*["}]')

Records = Iterator[tuple[int, Mapping[str, object]]]  # line or row, counted from 1, and its cells by column
RecordsOrBad = Iterator[tuple[int, Mapping[str, object]] | BadRow]


class BadRowError(UserError):
    """A row cannot be read, and every row is needed."""


def ending(path: Path) -> str:
    """The ending that names the format, in lower case, without .gz and the like."""
    return Path(bare(path.name.lower())).suffix


def format_of(path: Path) -> str:
    """The format of a file by its content: one of FORMATS; "" if it is none of them."""
    suffix = ending(path)
    with opened(path, (PARQUET,)) as file:
        head = file.read1(1 << 12).removeprefix(b"\xef\xbb\xbf")  # type: ignore[attr-defined]
    if head.startswith(PARQUET_MAGIC):
        return ".parquet"
    if _LIST.match(head):
        return ".json"
    if _OBJECT.match(head):
        return suffix if suffix == ".json" else ".jsonl"
    return suffix if suffix in FORMATS else ""


def read_records(path: Path, key: str | None = None) -> Records:
    """The records of a file of any of FORMATS. Raises BadRowError at a bad row.

    The first line of .tsv and .csv names the columns; `key` is the name of the list in a .json, None if
    the list is at the top.
    """
    for record in _records(path, key):
        if isinstance(record, BadRow):
            raise BadRowError(f"{record.file}:{record.number}: {record.problem}")
        yield record


def _records(path: Path, key: str | None) -> RecordsOrBad:
    form = ".json" if key is not None else format_of(path)
    if form == ".json":
        yield from json_records.of_list(path, key)
    elif form == ".jsonl":
        yield from json_records.of_lines(path)
    elif form == ".parquet":
        yield from parquet.records(path)
    else:
        dialect = dialect_of_file(path)
        yield from named_cells(path, dialect, header(path, dialect), 1)


def dialect_of_file(path: Path) -> Dialect:
    return dialect_of(path, ",", True) if ending(path) == ".csv" else dialect_of(path, "\t", False)


def header(path: Path, dialect: Dialect) -> list[str]:
    """The cells of the first row, without spaces around the names."""
    row = next(cells(path, dialect), (0, []))
    if isinstance(row, BadRow):
        raise UserError(f"{path}:{row.number}: {row.problem}")
    return [cell.strip() for cell in row[1]]


def named_cells(path: Path, dialect: Dialect, names: list[str], header_rows: int) -> RecordsOrBad:
    """The rows after `header_rows` rows, with their cells by name."""
    for row in islice(cells(path, dialect), header_rows, None):
        yield row if isinstance(row, BadRow) else (row[0], dict(zip(names, row[1], strict=False)))
