"""`clips`: short animations of coloured shapes that move, grow, turn colour or vanish, each with three
captions that tell the events in order.

The same for the same seed. `splits` and `rows` make more; `events`
reads a caption's events.
"""

from seq2attn.samples.clips.captions import captions, events
from seq2attn.samples.clips.clip import Clip, Event, Thing
from seq2attn.samples.clips.corpus import SIZES, rows, splits
from seq2attn.samples.clips.frames import render

__all__ = ["SIZES", "Clip", "Event", "Thing", "captions", "events", "render", "rows", "splits"]
