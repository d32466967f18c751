"""`clips`: short animations of coloured shapes, each with three captions that tell the events in order.

Shapes move, grow, change colour or vanish. The same seed gives the same clips. `splits` and `rows` return
more of them; `events` reads the events of a caption.
"""

from seq2attn.samples.clips.captions import captions, events
from seq2attn.samples.clips.clip import Clip, Event, Thing
from seq2attn.samples.clips.corpus import SIZES, rows, splits
from seq2attn.samples.clips.frames import render

__all__ = ["SIZES", "Clip", "Event", "Thing", "captions", "events", "render", "rows", "splits"]
