"""Images to the size that a model takes."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seq2attn.data.images.augmentation import Change

FITS = ("stretch", "crop", "pad")
GREY = (124, 116, 104)  # the mean of ImageNet: zero, once colours are normalised
REDUCING_GAP = 2.0  # Pillow first reduces by whole factors, to at least this many times the final size

Pixels = NDArray[np.uint8]


def resize(image: Image.Image, side: int, fit: str, change: Change) -> Pixels:
    """The part of the image that `change` keeps, resized once: (y, x, 3), both at most `side`."""
    width, height = (min(image.size),) * 2 if fit == "crop" else image.size
    left, top = (image.width - width) / 2, (image.height - height) / 2
    left, top = left + width * (1 - change.keep) * change.x, top + height * (1 - change.keep) * change.y
    box = (
        left,
        top,
        min(left + width * change.keep, image.width),
        min(top + height * change.keep, image.height),
    )
    size = (side, side)
    if fit == "pad":
        scale = side / max(width, height)
        size = (max(1, int(width * scale + 0.5)), max(1, int(height * scale + 0.5)))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box, REDUCING_GAP))


def pad(pixels_YX3: Pixels, side: int) -> Pixels:
    """The pixels in the middle of a GREY square: (side, side, 3)."""
    height, width, _ = pixels_YX3.shape
    padded = np.empty((side, side, 3), np.uint8)
    padded[:] = GREY
    top, left = (side - height) // 2, (side - width) // 2
    padded[top : top + height, left : left + width] = pixels_YX3
    return padded
