"""The pixels of a scene: a pale ground, plain or gently patterned, and the things upon it.

It knows a scene's looks and places, nothing of words.
"""

import random

import numpy as np

from seq2attn.data.samples.scenes.scene import SIDE, Scene
from seq2attn.data.samples.shapes import COLOURS, Pixels, paint

STEP = 6  # of 255, between one tone of a ground and the next


def ground(scene: Scene) -> Pixels:
    """(Y, X, 3): tones of one tint, too near each other to be taken for a thing."""
    y, x = np.indices((SIDE, SIDE))
    rng = random.Random(f"ground {scene.number}")
    start = int(rng.random() * 12)
    match scene.pattern:
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
            tone = np.zeros((SIDE, SIDE), dtype=np.int64)
    return (np.array(scene.ground)[None, None, :] - STEP * tone[:, :, None]).astype(np.uint8)


def render(scene: Scene) -> Pixels:
    """(Y, X, 3)."""
    canvas = ground(scene)
    for thing in scene.things:
        paint(canvas, thing.shape, COLOURS[thing.colour], thing.side, thing.left, thing.top, thing.texture)
    return canvas
