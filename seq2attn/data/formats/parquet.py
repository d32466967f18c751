"""Rows of a Parquet file, or of some of its columns, in bounded memory.

Sizes are checked before anything is unpacked. A page may hold a long text once and name it in a million rows,
so the number of rows at a time is bounded too.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet

from seq2attn.data.formats import parquet_pages
from seq2attn.data.formats.bad_rows import BadRow
from seq2attn.data.formats.lines import seekable
from seq2attn.data.formats.packed import PARQUET
from seq2attn.errors import UserError

_ROWS = 1024  # rows that are unpacked at once, at most
_BYTES = 8 << 20  # bytes of these rows, about
_MOST = 128 << 20  # bytes of these rows, at most
_PAGE = 256 << 20  # bytes of a page, at most; writers use a few MiB
_KIND = "with bytes that are not UTF-8"


def schema(path: Path) -> pa.Schema:
    """The columns and their types. Raises UserError for a file that is not Parquet."""
    with seekable(path, (PARQUET,)) as file:
        table = _opened(file, path)
        try:
            return table.schema_arrow
        except Exception as error:  # noqa: BLE001 - as below
            raise _damaged(path, error) from None


RowOrBad = tuple[int, dict[str, Any]] | BadRow


def records(path: Path, columns: Sequence[str] | None = None) -> Iterator[RowOrBad]:
    """(row, cells by column) of `columns`; None: of those that can hold texts, numbers or images."""
    with seekable(path, (PARQUET,)) as file:
        table = _opened(file, path)
        plain = [column.name for column in table.schema_arrow if _is_plain(column.type)]
        names = list(columns) if columns is not None else plain
        if not names:
            return
        number = 0
        try:
            rows = _rows(table, names, _largest_page(table, file, path, names))
            for batch in table.iter_batches(batch_size=rows, columns=names):
                for record in _dicts(batch):
                    number += 1
                    if record is not None:
                        yield number, record
                    else:
                        yield BadRow(str(path), number, _KIND, "not UTF-8 in this row")
        except UserError:
            raise
        except Exception as error:  # noqa: BLE001 - a foreign reader raises anything
            raise _damaged(path, error) from None


def _opened(file: BinaryIO, path: Path) -> Any:
    try:
        return pa.parquet.ParquetFile(file, pre_buffer=False, buffer_size=1 << 16)
    except Exception as error:  # noqa: BLE001 - as above
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> UserError:
    message = " ".join(str(error).split())[:200] or type(error).__name__
    return UserError(f"{path}: not a Parquet file, or damaged: {message}")


def _is_plain(kind: pa.DataType) -> bool:
    """Whether values of this type can be read as Python values without errors.

    Times and decimals may cause errors, and are not needed.
    """
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _is_plain(kind.value_type)
    if pa.types.is_struct(kind):
        return all(_is_plain(kind.field(place).type) for place in range(kind.num_fields))
    if pa.types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    tests = (
        pa.types.is_integer,
        pa.types.is_floating,
        pa.types.is_boolean,
        pa.types.is_null,
        is_text,
        _is_bytes,
    )
    return any(test(kind) for test in tests)


def fields(kind: pa.DataType | None) -> dict[str, pa.DataType]:
    """The fields of a struct; none for other types."""
    if kind is None or not pa.types.is_struct(kind):
        return {}
    return {kind.field(place).name: kind.field(place).type for place in range(kind.num_fields)}


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of that type holds texts."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    types = pa.types
    tests = (types.is_string, types.is_large_string, types.is_string_view, types.is_null)
    return any(test(kind) for test in tests)


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return any(test(kind) for test in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary))


def _leaves(table: Any, names: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """(index, column) of all leaves below the columns `names`."""
    for place in range(len(table.schema)):
        column = table.schema.column(place)
        if column.path.partition(".")[0] in names or column.path in names:
            yield place, column


def _rows(table: Any, names: Sequence[str], largest_page: int) -> int:
    """The number of rows to unpack at once.

    Each row may hold a text as long as a page, because pages may refer to texts of a dictionary or of the row
    before.
    """
    groups = [table.metadata.row_group(group) for group in range(table.num_row_groups)]
    places = [place for place, _ in _leaves(table, names)]
    size = sum(group.column(place).total_uncompressed_size for group in groups for place in places)
    usual = _BYTES * table.metadata.num_rows // max(size, 1)
    return int(max(1, min(_ROWS, usual, _MOST // max(largest_page, 1))))


def _dicts(part: pa.RecordBatch) -> Iterator[dict[str, Any] | None]:
    """Each row; None if a text is not UTF-8."""
    try:
        yield from part.to_pylist()
        return
    except UnicodeDecodeError:
        pass
    for place in range(part.num_rows):
        try:
            yield part.slice(place, 1).to_pylist()[0]
        except UnicodeDecodeError:
            yield None


def _largest_page(table: Any, file: BinaryIO, path: Path, names: Sequence[str]) -> int:
    """The unpacked bytes of the largest page of the columns `names`.

    Raises UserError for a page of more than _PAGE.
    """
    largest = 0
    for group in range(table.num_row_groups):
        for place, _ in _leaves(table, names):
            chunk = table.metadata.row_group(group).column(place)
            offsets = (chunk.data_page_offset, chunk.dictionary_page_offset)
            start = min(offset for offset in offsets if offset is not None)
            for size in parquet_pages.sizes(file, start, start + chunk.total_compressed_size):
                largest = max(largest, size)
                if size > _PAGE:
                    page = f"a page of {size:,} bytes in {chunk.path_in_schema}"
                    raise UserError(f"{path}: {page}; {_PAGE:,} is the most: write it in smaller pages")
    return largest
