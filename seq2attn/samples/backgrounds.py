"""Backgrounds on which things are drawn: pale tints, plain or with a pattern of similar tones.

The tones are too similar to look like a thing. This module does not know what is drawn on them.
"""

import random

import numpy as np

from seq2attn.samples.shapes import Colour, Pixels

TINTS: tuple[Colour, ...] = (
    *((240, 236, 226), (222, 232, 242), (224, 238, 226), (242, 228, 234)),
    *((232, 228, 244), (226, 226, 228), (206, 212, 216), (220, 210, 196)),
)
PATTERNS = ("plain", "plain", "downwards", "sideways", "patches", "tiles", "lines")
STEP = 6  # difference between one tone and the next, of 255


def ground(tint: Colour, pattern: str, number: int, side: int) -> Pixels:
    """The pixels (side, side, 3) of a background. `number` seeds the pattern."""
    y, x = np.indices((side, side))
    rng = random.Random(f"ground {number}")
    start = int(rng.random() * 12)
    match pattern:
        case "downwards":
            tone = y // 16
        case "sideways":
            tone = x // 16
        case "patches":
            tone = np.array([[int(rng.random() * 3) for _ in range(8)] for _ in range(8)])[y // 12, x // 12]
        case "tiles":
            tone = 2 * (((x + start) // 12 + (y + start) // 12) % 2)
        case "lines":
            tone = 2 * ((y + start) % 12 < 2)
        case _:
            tone = np.zeros((side, side), dtype=np.int64)
    return (np.array(tint)[None, None, :] - STEP * tone[:, :, None]).astype(np.uint8)
