"""The rows of a corpus after cleaning, with their splits, as a table that is a corpus again."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from seq2attn import files
from seq2attn.data.corpus import ALIGNMENT, SPLIT
from seq2attn.data.spool import Spool
from seq2attn.errors import UsageError, UserError

ENDING = ".csv"


def refuse(path: Path, inputs: list[Path], force: bool) -> None:
    """Raise UsageError or UserError if `path` cannot be the table."""
    if path.suffix.lower() != ENDING:
        problem = f"the cleaned pairs are written as CSV: choose a name that ends in {ENDING}"
        raise UsageError(f"clean_table {path}: {problem}", setting="clean_table")
    if path.is_dir():
        raise UsageError(f"clean_table {path}: a folder; name a file", setting="clean_table")
    if path.exists():
        if any(path.samefile(one) for one in inputs if one.exists()):
            raise UsageError(
                f"clean_table {path}: a file of the corpus; choose another name", setting="clean_table"
            )
        if not force:
            raise UserError(f"{path} exists: choose another name, or replace it with `force`")


def write(path: Path, spools: Mapping[str, Spool[None]], languages: tuple[str | None, str | None]) -> None:
    """Write the table, completely or not at all.

    Its columns are called after the languages, if both are known and differ. Raises UserError if it cannot be
    written.
    """
    first, second = languages
    names = [first, second] if first and second and first != second else ["source", "target"]
    batches = (batch for spool in spools.values() for batch in spool.batches())
    gold = any(batch.column(ALIGNMENT).null_count < len(batch) for batch in batches)
    with files.replace_file(path) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        table = csv.writer(text, lineterminator="\n")
        table.writerow([*names, SPLIT, *([ALIGNMENT] if gold else [])])
        for name, spool in spools.items():
            for batch in spool.batches():
                columns = [batch.column(side).to_pylist() for side in ("source", "target")]
                columns.append([name] * len(batch))
                columns += [batch.column(ALIGNMENT).to_pylist()] if gold else []
                table.writerows(zip(*columns, strict=True))
        text.detach()  # without closing the file
