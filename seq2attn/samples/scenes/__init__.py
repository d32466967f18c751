"""`scenes`: small images of coloured shapes, each with five captions and the box of every thing that they
name, drawn by ourselves.

The same for the same seed. `splits` and `rows` make more.
"""

from seq2attn.samples.scenes.captions import captions
from seq2attn.samples.scenes.corpus import SIZES, rows, splits
from seq2attn.samples.scenes.drawing import render
from seq2attn.samples.scenes.scene import Scene, Thing

__all__ = ["SIZES", "Scene", "Thing", "captions", "render", "rows", "splits"]
