"""What is in a scene: two to four things of different looks, their places, and the background.

They are chosen at random. A scene is used if its longer axis is clear and every thing is visible. This module
knows no pixels of the image, and no words except the names of looks. It defines which relations are clear.
"""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from seq2attn.samples.backgrounds import PATTERNS, TINTS
from seq2attn.samples.portable_random import pick
from seq2attn.samples.shapes import COLOURS, SHAPES, TEXTURES, Colour, box, raster

SIDE = 96  # pixels of an image
SIDES = {"small": range(20, 24), "large": range(32, 39)}  # pixels of a thing's square
MARGIN = 2  # pixels between a thing's square and the image's rim
CLEAR = 28  # pixels, at least, between two centres along the axis on which a caption compares them
LEADS = 16  # pixels, at least, by which a scene is longer along its main axis
# Pixels, at least, from the centre of the first thing along an axis to the next, and from the last but one
# to the last.
APART = 7
VISIBLE = 0.75  # share of a thing's pixels that must be visible
TRIES = 200  # attempts to place things, before others are chosen, because four large ones may not fit


class Thing(NamedTuple):
    size: str
    colour: str
    texture: str
    shape: str
    side: int  # pixels of a side of the square that the shape fills
    left: int
    top: int

    @property
    def looks(self) -> tuple[str, str, str, str]:
        return self[:4]

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, top, right and bottom (outside), in pixels of the image."""
        left, top, right, bottom = box(self.shape, self.side)
        return self.left + left, self.top + top, self.left + right, self.top + bottom


class Scene(NamedTuple):
    ground: Colour
    pattern: str
    number: int  # seed of the pattern
    things: tuple[Thing, ...]  # later things lie over earlier ones

    @property
    def looks(self) -> tuple[tuple[str, str, str, str], ...]:
        """The looks of the things, wherever they are. No two scenes of a corpus have the same."""
        return tuple(sorted(thing.looks for thing in self.things))


def along(things: Sequence[Thing], axis: str) -> list[Thing]:
    """The things from left to right (axis "x") or from top to bottom ("y"), by their centres."""
    return sorted(things, key=lambda thing: 2 * (thing.left if axis == "x" else thing.top) + thing.side)


def centre(thing: Thing, axis: str) -> float:
    return (thing.left if axis == "x" else thing.top) + thing.side / 2


def extent(things: Sequence[Thing], axis: str) -> float:
    """The pixels between the centres of the first and the last thing along an axis."""
    ordered = along(things, axis)
    return centre(ordered[-1], axis) - centre(ordered[0], axis)


def ends_are_clear(things: Sequence[Thing], axis: str) -> bool:
    """Whether it is clear which thing is the first along an axis and which the last.

    The two must also be at least as far apart along this axis as along the other.
    """
    at = [centre(thing, axis) for thing in along(things, axis)]
    across = "y" if axis == "x" else "x"
    first, *_, last = along(things, axis)
    return (
        at[-1] - at[0] >= max(CLEAR, abs(centre(last, across) - centre(first, across)))
        and at[1] - at[0] >= APART
        and at[-1] - at[-2] >= APART
    )


def main_axis(things: Sequence[Thing]) -> str:
    """The axis along which the scene is longer."""
    return "x" if extent(things, "x") > extent(things, "y") else "y"


def visible(things: Sequence[Thing]) -> list[float]:
    """The share of each thing's pixels that no later thing covers."""
    owner = np.full((SIDE, SIDE), -1)
    masks = []
    for number, thing in enumerate(things):
        mask = np.zeros((SIDE, SIDE), dtype=np.bool_)
        mask[thing.top : thing.top + thing.side, thing.left : thing.left + thing.side] = (
            raster(thing.shape, thing.side) > 0
        )
        masks.append(mask)
        owner[mask] = number
    return [float((owner == number).sum() / mask.sum()) for number, mask in enumerate(masks)]


def touches(first: Thing, second: Thing) -> bool:
    """Whether two squares overlap, or are less than two pixels apart."""
    return abs(2 * (first.left - second.left) + first.side - second.side) < first.side + second.side + 4 and (
        abs(2 * (first.top - second.top) + first.side - second.side) < first.side + second.side + 4
    )


def far_enough(first: Thing, second: Thing) -> bool:
    """Whether the centres of two things are so far apart that no centre lies in the other thing."""
    x, y = centre(first, "x") - centre(second, "x"), centre(first, "y") - centre(second, "y")
    least = 0.4 * (first.side + second.side)
    return x * x + y * y >= least * least


def _looks(rng: random.Random, count: int) -> list[tuple[str, str, str, str]]:
    """Different looks. Most share a colour or a shape with another; no two share size, colour and shape."""
    result: list[tuple[str, str, str, str]] = []
    while len(result) < count:
        size, colour, texture, shape = (
            pick(rng, list(SIDES)),
            pick(rng, list(COLOURS)),
            pick(rng, TEXTURES),
            pick(rng, list(SHAPES)),
        )
        if result and rng.random() < 0.6:
            other = pick(rng, result)
            colour, shape = (other[1], shape) if rng.random() < 0.5 else (colour, other[3])
        if (size, colour, shape) not in {(looks[0], looks[1], looks[3]) for looks in result}:
            result.append((size, colour, texture, shape))
    return result


def _places(rng: random.Random, looks: Sequence[tuple[str, str, str, str]]) -> tuple[Thing, ...]:
    """Things of these looks, anywhere in the image."""
    things = []
    for size, colour, texture, shape in looks:
        side = pick(rng, SIDES[size])
        left, top = (MARGIN + int(rng.random() * (SIDE - side - 2 * MARGIN + 1)) for _ in "xy")
        things.append(Thing(size, colour, texture, shape, side, left, top))
    return tuple(things)


def _is_clear(things: Sequence[Thing], overlapping: bool) -> bool:
    """Whether the longer axis and its ends are clear, and at least VISIBLE of every thing is visible."""
    if abs(extent(things, "x") - extent(things, "y")) < LEADS or not ends_are_clear(
        things, main_axis(things)
    ):
        return False
    pairs = [(a, b) for number, a in enumerate(things) for b in things[:number]]
    if not all(far_enough(a, b) if overlapping else not touches(a, b) for a, b in pairs):
        return False
    return min(visible(things)) >= VISIBLE


def _scene(rng: random.Random) -> Scene:
    while True:
        looks, overlapping = _looks(rng, pick(rng, (2, 3, 3, 4, 4, 4))), rng.random() < 0.3
        for _ in range(TRIES):
            things = _places(rng, looks)
            if _is_clear(things, overlapping):
                return Scene(pick(rng, TINTS), pick(rng, PATTERNS), int(rng.random() * 2**31), things)


def stream(seed: int) -> Iterator[Scene]:
    """An endless stream of scenes. No two have things of the same looks. Equal seeds give equal scenes."""
    rng = random.Random(f"scenes {seed}")
    earlier = set()
    while True:
        scene = _scene(rng)
        if scene.looks not in earlier:
            earlier.add(scene.looks)
            yield scene
