"""Flat shapes as small rasters: which pixel is outside, half covered, rim or inside.

They are the same on every machine, because the arithmetic is only addition, multiplication and comparison,
and no library draws. This module knows no scenes, clips or files.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Places = npt.NDArray[np.float64]
Colour = tuple[int, int, int]

COLOURS: dict[str, Colour] = {
    "red": (220, 36, 40),
    "orange": (255, 136, 18),
    "yellow": (250, 214, 0),
    "green": (34, 150, 66),
    "blue": (36, 88, 214),
    "purple": (128, 50, 172),
    "pink": (255, 128, 190),
    "black": (44, 44, 48),
}
TEXTURES = ("plain", "striped", "dotted", "checked")

OUTSIDE, EDGE, RIM, INSIDE = range(4)  # an edge pixel is half covered
FINENESS = 4  # points across a pixel

# Corners of a five-pointed star in the square from -1 to 1, y downwards.
STAR = (
    *((0.0, -1.0), (0.27, -0.36), (1.0, -0.27), (0.46, 0.19), (0.62, 0.95)),
    *((0.0, 0.55), (-0.62, 0.95), (-0.46, 0.19), (-1.0, -0.27), (-0.27, -0.36)),
)


def _polygon(x: Places, y: Places, corners: tuple[tuple[float, float], ...]) -> Mask:
    """Points inside, by the parity of the sides that a ray to the right crosses."""
    inside = np.zeros(np.broadcast_shapes(x.shape, y.shape), dtype=np.bool_)
    for (x0, y0), (x1, y1) in zip(corners, (*corners[1:], corners[0]), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) * ((x1 - x0) / (y1 - y0)))
    return inside


def _heart(x: Places, y: Places) -> Mask:
    """Two discs over a wedge that touches both."""
    lobes = (abs(x) - 0.48) * (abs(x) - 0.48) + (y + 0.4) * (y + 0.4) < 0.52 * 0.52
    return lobes | ((y > -0.4) & (abs(x) < 0.93 * (0.98 - y) / 1.17) & (abs(x) < 0.98 - 0.02 * y))


SHAPES: dict[str, Callable[[Places, Places], Mask]] = {
    "circle": lambda x, y: x * x + y * y < 1,
    "square": lambda x, y: np.maximum(abs(x), abs(y)) < 0.9,
    "triangle": lambda x, y: (abs(x) * 2 < y + 1) & (y < 0.85),
    "star": lambda x, y: _polygon(x, y, STAR),
    "diamond": lambda x, y: abs(x) * 1.25 + abs(y) < 1,
    "ring": lambda x, y: (x * x + y * y < 1) & (x * x + y * y > 0.42 * 0.42),
    "cross": lambda x, y: (np.minimum(abs(x), abs(y)) < 0.36) & (np.maximum(abs(x), abs(y)) < 0.96),
    "heart": _heart,
}


@lru_cache(maxsize=1024)
def raster(shape: str, side: int) -> Pixels:
    """The raster (side, side) of a shape that fills a square of `side` pixels.

    Each pixel is OUTSIDE, EDGE, RIM or INSIDE. The array is read-only.
    """
    fine = side * FINENESS
    middle: Places = (np.arange(fine, dtype=np.float64) + 0.5) * (2 / fine) - 1
    mask = SHAPES[shape](middle[None, :], middle[:, None])
    core = np.pad(mask, FINENESS)
    for _ in range(FINENESS + 1):  # the rim is a little more than a pixel wide
        core = core & np.roll(core, 1, 0) & np.roll(core, -1, 0) & np.roll(core, 1, 1) & np.roll(core, -1, 1)

    def covered(points: Mask) -> npt.NDArray[np.int64]:
        counts: npt.NDArray[np.int64] = points.reshape(side, FINENESS, side, FINENESS).sum((1, 3))
        return counts

    whole, part = FINENESS * FINENESS, covered(mask)
    coverage = np.where(part * 4 < whole, OUTSIDE, np.where(part * 4 < 3 * whole, EDGE, RIM)).astype(np.uint8)
    coverage[covered(core[FINENESS:-FINENESS, FINENESS:-FINENESS]) * 2 > whole] = INSIDE
    coverage.flags.writeable = False
    return coverage


def box(shape: str, side: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (outside) of the pixels that a shape touches, within its square."""
    touched = raster(shape, side) != OUTSIDE
    rows, columns = np.flatnonzero(touched.any(1)), np.flatnonzero(touched.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@lru_cache(maxsize=256)
def light(texture: str, side: int) -> Mask:
    """The pixels (side, side) in which a texture shows white instead of the colour."""
    y, x = np.indices((side, side))
    white = np.zeros((side, side), dtype=np.bool_)
    if texture == "striped":
        white = (x + y) % 6 < 3
    elif texture == "dotted":
        # discs of twelve pixels
        white = (abs(2 * (x % 6) - 3) + abs(2 * (y % 6) - 3) < 6) & (x % 6 < 4) & (y % 6 < 4)
    elif texture == "checked":
        white = (x // 4 + y // 4) % 2 == 1
    return white


def mixed(first: Colour, second: Colour, share: int) -> Colour:
    """`share` percent of the first colour, the rest of the second."""
    red, green, blue = ((share * a + (100 - share) * b) // 100 for a, b in zip(first, second, strict=True))
    return red, green, blue


def paint(
    canvas: Pixels, shape: str, colour: Colour, side: int, left: int, top: int, texture: str = "plain"
) -> None:
    """Draws a shape into (Y, X, 3), over what is there; what lies outside the canvas is cut off."""
    height, width, _ = canvas.shape
    up, down, start, end = max(0, -top), min(side, height - top), max(0, -left), min(side, width - left)
    if up >= down or start >= end:
        return
    kinds = raster(shape, side)[up:down, start:end]
    there = canvas[top + up : top + down, left + start : left + end]
    rim = np.array(mixed(colour, (0, 0, 0), 62), dtype=np.uint8)
    there[kinds == EDGE] = ((there.astype(np.int64) + rim) // 2).astype(np.uint8)[kinds == EDGE]
    there[kinds == RIM] = rim
    there[kinds == INSIDE] = colour
    there[(kinds == INSIDE) & light(texture, side)[up:down, start:end]] = mixed((255, 255, 255), colour, 90)
