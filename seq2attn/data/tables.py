"""One file of pairs as a corpus: .tsv (and .txt with tabs), .csv, .jsonl, .json, .parquet, each plain or .gz. Read as a stream."""

import codecs
import csv
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from seq2attn.data.columns import LANGUAGE, NESTED, Columns, choose
from seq2attn.data.corpus import LIMIT, Corpus, Row
from seq2attn.data.lines import opened, read_lines, seekable
from seq2attn.data.packed import PARQUET
from seq2attn.errors import UserError

KINDS = (".tsv", ".txt", ".csv", ".jsonl", ".json", ".parquet")
_CHUNK = 1 << 16
_BATCH_BYTES = 8 << 20  # of Parquet that are unpacked at once

Records = Iterator[tuple[int, Mapping[str, object]]]  # line or row, counted from 1, and its cells by column


def kind(path: Path) -> str:
    """The ending that says the format, in lower case, without .gz."""
    return Path(path.name.lower().removesuffix(".gz")).suffix


def open_table(path: Path, source: str | None, target: str | None) -> Corpus:
    """Raises UserError when a column does not exist (naming those that do), UsageError when it is not clear which are meant.

    Columns of a .tsv or .csv are addressed by the names in its first line, or by number from 1. Without a header, a file of two columns is
    source and target, and `source` and `target` name their languages.
    """
    form = kind(path)
    if form in (".tsv", ".txt", ".csv"):
        return _open_cells(path, source, target)
    records = {".jsonl": _jsonl, ".json": _json, ".parquet": _parquet}[form]
    first = next(records(path), None)
    if first is None:
        return Corpus(str(path), (None, None), lambda: iter(()), [path])
    inside = first[1].get(NESTED)
    columns = choose(list(first[1]), source, target, str(path), list(inside) if isinstance(inside, Mapping) else ())

    def rows() -> Iterator[Row]:
        for number, record in records(path):
            yield columns.row(record, f"{path.name}:{number}")

    return Corpus(str(path), columns.languages, rows, [path])


def read_records(path: Path, key: str | None = None) -> Records:
    """The records of a file of any of KINDS. The first line of .tsv and .csv names the columns; `key` is where a .json keeps its list, if not at the top."""
    form = kind(path)
    if form == ".json":
        yield from _json(path, key)
    elif form in (".jsonl", ".parquet"):
        yield from {".jsonl": _jsonl, ".parquet": _parquet}[form](path)
    else:
        names: list[str] = []
        for number, cells in _cells(path):
            if names and len(cells) != len(names):
                raise UserError(f"{path}:{number}: {len(cells)} columns where the first line has {len(names)}")
            if names:
                yield number, dict(zip(names, cells, strict=True))
            names = names or cells


def _open_cells(path: Path, source: str | None, target: str | None) -> Corpus:
    first = next(_cells(path), (0, []))[1]
    if not first:
        return Corpus(str(path), (None, None), lambda: iter(()), [path])
    columns = _headerless(first, source, target)
    header = columns is None
    notes = [] if header else [f"{path.name} has no header: column {columns.source} is the source, column {columns.target} the target"] if columns else []
    names = first if header else [str(number) for number in range(1, len(first) + 1)]
    if columns is None:
        columns = choose(first, source, target, str(path))
    chosen = columns

    def rows() -> Iterator[Row]:
        for index, (number, cells) in enumerate(_cells(path)):
            if header and index == 0:
                continue
            if len(cells) != len(names):
                raise UserError(f"{path}:{number}: {len(cells)} columns where the first line has {len(names)}")
            yield chosen.row(dict(zip(names, cells, strict=True)), f"{path.name}:{number}")

    return Corpus(str(path), columns.languages, rows, [path], notes)


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


def _cells(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, cells). Cells of .tsv are as they stand, cells of .csv may be quoted; a line with nothing on it is no row."""
    if kind(path) != ".csv":
        yield from ((number, line.split("\t")) for number, line in enumerate(read_lines(path), 1) if line)
        return
    csv.field_size_limit(LIMIT)
    reader = csv.reader((line + "\n" for line in read_lines(path)), strict=True)
    begin = 1
    try:
        for cells in reader:
            if cells:
                yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise UserError(f"{path}:{begin}: not a row of CSV: {error}") from None


def _jsonl(path: Path) -> Records:
    for number, line in enumerate(read_lines(path), 1):
        if line and not line.isspace():
            yield number, _record(line, f"{path}:{number}")


def _record(text: str, place: str) -> Mapping[str, object]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{place}: not JSON: {error}") from None
    if not isinstance(record, dict):
        raise UserError(f'{place}: not an object with keys, as in {{"en": "...", "fr": "..."}}')
    return record


def _json(path: Path, key: str | None = None) -> Records:
    """The objects of a list, or objects one after another, read piece by piece. With `key`, of the list that an object at the top has under it."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    scan = json.JSONDecoder()
    buffer, line, listed, wanted, ended = "", 1, None, _CHUNK, False
    with opened(path) as file:
        while key is not None and (match := re.search(rf'"{key}"\s*:\s*(?=\[)', buffer)) is None:
            data = file.read(_CHUNK)
            if not data or len(buffer) > LIMIT:
                raise UserError(f'{path}: no list "{key}" in it')
            buffer += _decoded(decoder, data, f"{path}:{line}")
        if key is not None and match is not None:
            line += buffer.count("\n", 0, match.end())
            buffer = buffer[match.end() :]
        while True:
            stripped = buffer.lstrip(" \t\r\n,")
            line += buffer.count("\n", 0, len(buffer) - len(stripped))
            buffer = stripped
            if listed is None and buffer:
                listed = buffer.startswith("[")
                if listed:
                    buffer = buffer[1:]
                    continue
            if listed and buffer.startswith("]"):
                return
            if buffer and not buffer.startswith("{"):
                raise UserError(f'{path}:{line}: not a list of objects, as in [{{"en": "...", "fr": "..."}}]')
            try:
                record, end = scan.raw_decode(buffer) if buffer else ({}, 0)
            except (ValueError, RecursionError) as error:
                if ended or len(buffer) > LIMIT:
                    problem = str(error) if ended else f"a record of more than {LIMIT:,} characters"
                    raise UserError(f"{path}:{line}: not a list of objects: {problem}") from None
                end = 0
            if end:
                yield line, record
                line += buffer.count("\n", 0, end)
                buffer, wanted = buffer[end:], _CHUNK
                continue
            if ended:
                if listed:
                    raise UserError(f"{path}: the list of objects does not end: the file is cut off")
                return
            data = file.read(wanted)
            wanted, ended = wanted * 2, not data  # twice as much each time, or a long record would be read anew too often
            buffer += _decoded(decoder, data, f"{path}:{line}", ended)


def _decoded(decoder: codecs.IncrementalDecoder, data: bytes, place: str, ended: bool = False) -> str:
    try:
        return decoder.decode(data, final=ended)
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: not UTF-8 in this record or a later one: {error.reason}") from None


def _parquet(path: Path) -> Records:
    number = 0
    with seekable(path, (PARQUET,)) as file:
        try:
            table = pa.parquet.ParquetFile(file)
            size = sum(table.metadata.row_group(group).total_byte_size for group in range(table.num_row_groups))
            rows = max(1, min(1024, _BATCH_BYTES * table.metadata.num_rows // max(size, 1)))  # images stand in a table too
            for batch in table.iter_batches(batch_size=rows):
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
        except pa.ArrowException as error:
            raise UserError(f"{path}: not a Parquet file, or damaged: {str(error).splitlines()[0]}") from None
