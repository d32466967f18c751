"""Training pairs with the links of their words, which an aligner gives. It knows no aligner."""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa

from seq2attn.data.spool import Spool
from seq2attn.errors import UserError
from seq2attn.progress import Progress

LINKS = "links"  # the column of the spool
# Of pairs that can be read more than once, a folder for temporary files, and a callback of progress. It gives
# a line of links i-j for each pair.
Linker = Callable[[Callable[[], Iterator[tuple[str, str]]], Path, Progress], Iterator[str]]


def with_links(spool: Spool[None], linker: Linker, work: Path, progress: Progress) -> Spool[None]:
    """The same rows with a column of links, in a new file that takes the place of the old one."""

    def pairs() -> Iterator[tuple[str, str]]:
        for batch in spool.batches():
            sides = (batch.column(side).to_pylist() for side in ("source", "target"))
            yield from zip(*sides, strict=True)

    lines, path, done = linker(pairs, work, progress), work / "linked.arrow", 0
    with pa.memory_map(str(spool.path)) as file:
        schema = pa.ipc.open_stream(file).schema.append(pa.field(LINKS, pa.string()))
    with pa.ipc.new_stream(str(path), schema) as stream:
        for batch in spool.batches():
            column = list(islice(lines, batch.num_rows))
            done += len(column)
            if len(column) < batch.num_rows:
                raise UserError(f"the aligner gave {done:,} lines for {len(spool.keys):,} pairs")
            stream.write_batch(
                pa.RecordBatch.from_arrays([*batch.columns, pa.array(column, pa.string())], schema=schema)
            )
            progress(done, len(spool.keys))
    spool.path.unlink()
    return Spool(path, spool.keys, spool.records)
