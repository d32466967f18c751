"""Rows of a corpus on their way to be encoded: one Arrow file a split, written as a stream, so that no corpus
has to fit in memory.
"""

import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from seq2attn.data import splits
from seq2attn.data.corpus import Row, is_blank
from seq2attn.errors import UserError

SCHEMA = pa.schema([(name, pa.string()) for name in ("source", "target", "place", "alignment")])
UNDIVIDED = "undivided"
_BATCH = 8192  # rows
_BATCH_CHARACTERS = 1 << 23

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Raw:
    """One split: its Arrow stream and one key a row, equal for equal source sentences (NEVER where a side is
    empty).
    """

    path: Path
    keys: NDArray[np.uint64]

    def batches(self) -> Iterator[pa.RecordBatch]:
        with pa.memory_map(str(self.path)) as file:
            yield from pa.ipc.open_stream(file)

    def texts(self, columns: tuple[str, ...], most: int, seed: int) -> Iterator[str]:
        """The cells of `columns`, of all rows or of `most` drawn by `seed`."""
        rows = np.arange(len(self.keys))
        if len(rows) > most:
            rows = np.sort(np.random.default_rng(seed).choice(len(rows), most, replace=False))
        first = 0
        for batch in self.batches():
            end = first + batch.num_rows
            here = rows[np.searchsorted(rows, first) : np.searchsorted(rows, end)] - first
            for column in columns:
                yield from batch.column(column).take(pa.array(here)).to_pylist()
            first = end


class _Writer:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.keys = array.array("Q")
        self._rows: list[Row] = []
        self._characters = 0
        self._stream = pa.ipc.new_stream(str(path), SCHEMA)

    def write(self, row: Row) -> None:
        empty = is_blank(row.source) or is_blank(row.target)
        self.keys.append(splits.NEVER if empty else splits.key(row.source))
        self._rows.append(row)
        self._characters += len(row.source) + len(row.target)
        if len(self._rows) >= _BATCH or self._characters >= _BATCH_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        if self._rows:
            columns = [
                pa.array([getattr(row, name) for row in self._rows], pa.string()) for name in SCHEMA.names
            ]
            self._stream.write_batch(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))
            self._rows, self._characters = [], 0

    def close(self) -> Raw:
        self._flush()
        self._stream.close()
        return Raw(
            self.path, np.frombuffer(self.keys, dtype=np.uint64) if self.keys else np.empty(0, np.uint64)
        )


def write(rows: Iterable[Row], folder: Path, progress: Progress) -> dict[str, Raw]:
    """Every row into the Arrow file of its split; rows without one into UNDIVIDED."""
    writers: dict[str, _Writer] = {}
    number = 0
    for number, row in enumerate(rows, 1):
        split = row.split or UNDIVIDED
        if split not in writers:
            writers[split] = _Writer(folder / f"{len(writers)}.arrow")
        writers[split].write(row)
        if number % 20_000 == 0:
            progress("reading", number, None)
    progress("reading", number, number)
    return {split: writer.close() for split, writer in writers.items()}


def hold_out(raw: Raw, folder: Path, valid: int, test: int, seed: int) -> dict[str, Raw]:
    """A split divided in train, valid and test (those that get a pair), the order of the rows kept."""
    sides = splits.assign_splits(raw.keys, valid, test, seed)
    if valid + test and not (sides[raw.keys != splits.NEVER] == splits.TRAIN).any():
        raise UserError(
            f"{valid} pairs for validation and {test} for test leave nothing to train on: there are {len(raw.keys)}; ask for fewer with --valid and --test"
        )
    divided = {}
    for side, name in ((splits.TRAIN, "train"), (splits.VALID, "valid"), (splits.TEST, "test")):
        if not (sides == side).any():
            continue
        path = folder / f"divided-{name}.arrow"
        first = 0
        with pa.ipc.new_stream(str(path), SCHEMA) as stream:
            for batch in raw.batches():
                stream.write_batch(batch.filter(pa.array(sides[first : first + batch.num_rows] == side)))
                first += batch.num_rows
        divided[name] = Raw(path, raw.keys[sides == side])
    raw.path.unlink()
    return divided
