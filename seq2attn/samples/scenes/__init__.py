"""`scenes`: small images of coloured shapes, each with five captions and the boxes of what they name.

The same seed gives the same images. `splits` and `rows` return more of them.
"""

from seq2attn.samples.scenes.captions import captions
from seq2attn.samples.scenes.corpus import SIZES, rows, splits
from seq2attn.samples.scenes.drawing import render
from seq2attn.samples.scenes.scene import Scene, Thing

__all__ = ["SIZES", "Scene", "Thing", "captions", "render", "rows", "splits"]
