"""Rows of a corpus before they are encoded: an Arrow file for each split.

The files are written as a stream, so that no corpus has to fit in memory. This module knows no text and no
image.
"""

import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seq2attn.data import splits
from seq2attn.errors import UserError

UNDIVIDED = "undivided"  # the split of rows that name none

T = TypeVar("T")


class Entry(NamedTuple, Generic[T]):
    """One row that is to be written to a spool."""

    split: str | None
    cells: tuple[Any, ...]  # of the Arrow file, in the order of its schema
    key: int  # rows of one key stay in one split; `splits.NEVER`: the row stays in train
    size: int  # of the cells, in the unit of `Format.max_size`
    record: T  # stays in memory


class Format(NamedTuple):
    """The columns of an Arrow file, and when a batch of it is written."""

    schema: pa.Schema
    max_rows: int
    max_size: int


@dataclass(frozen=True)
class Spool(Generic[T]):
    """One split: its Arrow file, a key for each row, and a record in memory for each row (or none)."""

    path: Path
    keys: NDArray[np.uint64]
    records: list[T]

    def batches(self) -> Iterator[pa.RecordBatch]:
        with pa.memory_map(str(self.path)) as file:
            yield from pa.ipc.open_stream(file)

    def sample(
        self, columns: tuple[str, ...], most: int, seed: int, change: Mapping[str, Callable[[str], str]] = {}
    ) -> Iterator[str]:
        """The cells of `columns`: of all rows, or of `most` rows sampled by `seed`.

        The function of a column in `change` is applied to each of its cells.
        """
        rows = np.arange(len(self.keys))
        if len(rows) > most:
            rows = np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))
        first = 0
        for batch in self.batches():
            end = first + batch.num_rows
            here = rows[np.searchsorted(rows, first) : np.searchsorted(rows, end)] - first
            for column in columns:
                cells = batch.column(column).take(pa.array(here)).to_pylist()
                yield from map(change[column], cells) if column in change else cells
            first = end

    def select(self, mask: NDArray[np.bool_], path: Path) -> "Spool[T]":
        """The rows for which `mask` (N,) is true, in a file of their own. Their order stays."""
        first = 0
        with pa.memory_map(str(self.path)) as file:
            batches = pa.ipc.open_stream(file)
            with pa.ipc.new_stream(str(path), batches.schema) as stream:
                for batch in batches:
                    stream.write_batch(batch.filter(pa.array(mask[first : first + batch.num_rows])))
                    first += batch.num_rows
        records = [record for record, selected in zip(self.records, mask.tolist(), strict=False) if selected]
        return Spool(path, self.keys[mask], records)


class _Writer(Generic[T]):
    def __init__(self, path: Path, form: Format) -> None:
        self.path, self.form = path, form
        self.keys = array.array("Q")
        self.records: list[T] = []
        self._rows: list[tuple[Any, ...]] = []
        self._size = 0
        self._stream = pa.ipc.new_stream(str(path), form.schema)

    def write(self, entry: Entry[T]) -> None:
        self.keys.append(entry.key)
        if entry.record is not None:
            self.records.append(entry.record)
        self._rows.append(entry.cells)
        self._size += entry.size
        if len(self._rows) >= self.form.max_rows or self._size >= self.form.max_size:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            schema = self.form.schema
            columns = zip(zip(*self._rows, strict=True), schema.types, strict=True)
            arrays = [pa.array(cells, kind) for cells, kind in columns]
            self._stream.write_batch(pa.RecordBatch.from_arrays(arrays, schema=schema))
            self._rows, self._size = [], 0

    def close(self) -> Spool[T]:
        self._flush()
        self._stream.close()
        keys = np.frombuffer(self.keys, dtype=np.uint64) if self.keys else np.empty(0, np.uint64)
        return Spool(self.path, keys, self.records)


def write_spools(entries: Iterable[Entry[T]], folder: Path, form: Format) -> dict[str, Spool[T]]:
    """Write every entry to the spool of its split; those without a split to UNDIVIDED."""
    writers: dict[str, _Writer[T]] = {}
    for entry in entries:
        split = entry.split or UNDIVIDED
        if split not in writers:
            writers[split] = _Writer(folder / f"{len(writers)}.arrow", form)
        writers[split].write(entry)
    return {split: writer.close() for split, writer in writers.items()}


def hold_out(
    spool: Spool[T], folder: Path, valid: int, test: int, seed: int, unit: str
) -> dict[str, Spool[T]]:
    """Divide a split into train, valid and test (those that get a row). The order of rows stays.

    `unit` names a row for people, such as "pair". Raises UserError if nothing is left to train on.
    """
    sides = splits.assign_splits(spool.keys, valid, test, seed)
    if valid + test and not (sides[spool.keys != splits.NEVER] == splits.TRAIN).any():
        problem = f"{valid} {unit}s for validation and {test} for test leave nothing to train on"
        raise UserError(f"{problem}: there are {len(spool.keys)}; ask for fewer with `valid` and `test`")
    divided = {}
    for side, name in ((splits.TRAIN, "train"), (splits.VALID, "valid"), (splits.TEST, "test")):
        mask = sides == side
        if mask.any():
            divided[name] = spool.select(mask, folder / f"divided-{name}.arrow")
    spool.path.unlink()
    return divided
