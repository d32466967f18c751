"""`clips`: short animations of coloured shapes that move, grow, turn colour or vanish, each with three
captions that tell the events in order.

The same for the same seed. `folder()` finds the committed corpus; `splits` and `rows` make more; `events`
reads a caption's events.
"""

from pathlib import Path

from seq2attn.errors import UserError
from seq2attn.samples.clips.captions import captions, events
from seq2attn.samples.clips.clip import Clip, Event, Thing
from seq2attn.samples.clips.corpus import SIZES, rows, splits
from seq2attn.samples.clips.frames import render

__all__ = ["SIZES", "Clip", "Event", "Thing", "captions", "events", "folder", "render", "rows", "splits"]


def folder() -> Path:
    """The folder of the bundled corpus: in the installed package, or data/clips of a checkout."""
    here = Path(__file__).resolve()
    for candidate in (here.parents[1] / "bundled" / "clips", here.parents[3] / "data" / "clips"):
        if (candidate / "train.parquet").is_file():
            return candidate
    raise UserError(
        "the bundled corpus `clips` is missing from this installation: make it with `python -m seq2attn.samples.clips OUT`"
    )
