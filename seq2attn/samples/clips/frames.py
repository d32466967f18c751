"""The pixels of a clip: the things of each frame on one background. It knows no words."""

import numpy as np

from seq2attn.samples.backgrounds import ground
from seq2attn.samples.clips.clip import SIDE, Clip, looks
from seq2attn.samples.shapes import Pixels, paint

BEAT, REST = 160, 800  # milliseconds of a frame, and of the last


def render(clip: Clip) -> Pixels:
    """(F, Y, X, 3). No two frames in a row are equal."""
    bare = ground(clip.ground, clip.pattern, clip.number, SIDE)
    frames = []
    for frame in looks(clip):
        canvas = bare.copy()
        for thing, look in zip(clip.things, frame, strict=True):
            opaque = canvas.copy()
            left, top, _, _ = look.square
            paint(opaque, thing.shape, look.colour, look.side, left, top)
            canvas = (
                (opaque.astype(np.int64) * look.opacity + canvas.astype(np.int64) * (100 - look.opacity))
                // 100
            ).astype(np.uint8)
        frames.append(canvas)
    return np.stack(frames)


def durations(frames: int) -> list[int]:
    """Milliseconds for which each frame is shown."""
    return [BEAT] * (frames - 1) + [REST]
