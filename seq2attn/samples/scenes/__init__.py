"""`scenes`: small images of coloured shapes, each with five captions and the box of every thing that they
name, drawn by ourselves.

The same for the same seed. `folder()` finds the committed corpus; `splits` and `rows` make more.
"""

from pathlib import Path

from seq2attn.errors import UserError
from seq2attn.samples.scenes.captions import captions
from seq2attn.samples.scenes.corpus import SIZES, rows, splits
from seq2attn.samples.scenes.drawing import render
from seq2attn.samples.scenes.scene import Scene, Thing

__all__ = ["SIZES", "Scene", "Thing", "captions", "folder", "render", "rows", "splits"]


def folder() -> Path:
    """The folder of the bundled corpus: in the installed package, or data/scenes of a checkout."""
    here = Path(__file__).resolve()
    for candidate in (here.parents[1] / "bundled" / "scenes", here.parents[3] / "data" / "scenes"):
        if (candidate / "train.parquet").is_file():
            return candidate
    raise UserError(
        "the bundled corpus `scenes` is missing from this installation: make it with `python -m seq2attn.samples.scenes OUT`"
    )
