"""The pixels of a scene: its ground, and the things upon it. It knows a scene's looks and places, nothing of
words.
"""

from seq2attn.samples.backgrounds import ground
from seq2attn.samples.scenes.scene import SIDE, Scene
from seq2attn.samples.shapes import COLOURS, Pixels, paint


def render(scene: Scene) -> Pixels:
    """(Y, X, 3)."""
    canvas = ground(scene.ground, scene.pattern, scene.number, SIDE)
    for thing in scene.things:
        paint(canvas, thing.shape, COLOURS[thing.colour], thing.side, thing.left, thing.top, thing.texture)
    return canvas
