"""An image of any mode of Pillow as RGB of 8 bits."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

TRANSPARENT_MODES = ("LA", "PA", "La", "RGBA", "RGBa")
_TILE = 1 << 20  # pixels of grey that are brought to 8 bits at a time


def to_rgb(image: Image.Image) -> Image.Image:
    """The image as RGB, with transparent parts on white.

    Grey of 16 bits keeps its upper 8 bits. Grey of other widths is scaled from its range of values.
    """
    if image.mode.startswith("I;16"):
        return _grey(image, lambda values: values.astype(np.int64) >> 8)
    if image.mode in ("I", "F"):
        low, high = _value_range(image)
        if image.mode == "I" and low >= 0 and high <= 0xFFFF:  # 8 or 16 bits in wider numbers
            shift = 8 if high > 0xFF or image.format == "PPM" else 0
            return _grey(image, lambda values: values.astype(np.int64) >> shift)

        def scaled(values: NDArray[Any]) -> NDArray[Any]:
            values = values.astype(np.float64)
            if high > low:
                values = (values - low) * (255 / (high - low))
            return np.nan_to_num(values, nan=0, posinf=255, neginf=0).round()

        return _grey(image, scaled)
    if image.mode in TRANSPARENT_MODES or "transparency" in image.info:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey(image: Image.Image, to_8_bits: Callable[[NDArray[Any]], NDArray[Any]]) -> Image.Image:
    """Grey of 8 bits, as RGB: `to_8_bits(values)`, clipped to 0..255.

    It works tile by tile, because numbers of 64 bits take eight times the memory.
    """
    grey = Image.new("L", image.size)
    for box, values in _tiles(image):
        grey.paste(Image.fromarray(np.clip(to_8_bits(values), 0, 255).astype(np.uint8)), box)
    return grey.convert("RGB")


def _value_range(image: Image.Image) -> tuple[float, float]:
    """The least and the largest of the finite values; zeros if there are none."""
    lows, highs = [], []
    for _, values in _tiles(image):
        finite = values[np.isfinite(values)]
        if finite.size:
            lows.append(float(finite.min()))
            highs.append(float(finite.max()))
    return (min(lows), max(highs)) if lows else (0.0, 0.0)


def _tiles(image: Image.Image) -> Iterator[tuple[tuple[int, int], NDArray[Any]]]:
    """The tiles of an image: the left and top corner of each, and its values (y, x), at most _TILE."""
    wide = min(image.width, _TILE)
    high = max(1, _TILE // wide)
    for top in range(0, image.height, high):
        for left in range(0, image.width, wide):
            box = (left, top, min(left + wide, image.width), min(top + high, image.height))
            yield (
                (left, top),
                np.asarray(image if box[2:] == image.size and not (left or top) else image.crop(box)),
            )
