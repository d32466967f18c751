"""The pixels of a scene: its background, and the things on it.

This module knows looks and places, and no words.
"""

from seq2attn.samples.backgrounds import ground
from seq2attn.samples.scenes.scene import SIDE, Scene
from seq2attn.samples.shapes import COLOURS, Pixels, paint


def render(scene: Scene) -> Pixels:
    """The pixels (Y, X, 3) of a scene."""
    canvas = ground(scene.ground, scene.pattern, scene.number, SIDE)
    for thing in scene.things:
        paint(canvas, thing.shape, COLOURS[thing.colour], thing.side, thing.left, thing.top, thing.texture)
    return canvas
