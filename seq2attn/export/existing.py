"""Whether an exported model may replace a folder that exists: only by `force`, and only such a model."""

import os
from pathlib import Path
from typing import NamedTuple

from seq2attn.errors import UserError


class Marks(NamedTuple):
    """How a folder of one engine is recognised."""

    other: str  # what a folder without the file is, in words
    file: str  # is in each such folder
    names: frozenset[str]  # of all files that such a folder may hold


def refuse(out: Path, force: bool, marks: Marks) -> None:
    """Raise UserError if `out` exists, unless it is empty, or it has the marks and `force` replaces it."""
    if not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise UserError(f"{out} exists: choose another name, or replace it with `force`")
    if not (out / marks.file).is_file():
        reason = marks.other
    elif others := sorted({file.name for file in out.iterdir()} - marks.names):
        reason = f"holds {others[0]} too"
    else:
        return
    raise UserError(
        f"{out} {reason}, so `force` does not replace it: choose another name, or remove it yourself"
    )
