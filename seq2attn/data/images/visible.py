"""The part of an image that a model sees, for drawings: in the image's own proportions and colours."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seq2attn.data.images.corpus import Box
from seq2attn.data.images.decoding import evenly_spaced
from seq2attn.data.images.pixels import display_pixels
from seq2attn.data.images.resizing import GREY, Pixels


class View(NamedTuple):
    """How a model reads an image, as far as its drawing needs it."""

    fit: str  # one of resizing.FITS
    frames: int  # frames of a clip, at most; 1: stills


class Part(NamedTuple):
    """The part of an image that a model sees, in the image's own proportions."""

    pixels_FYX3: Pixels  # the frames that the model reads
    corner: tuple[int, int]  # left and top of the part in the whole image, in these pixels
    width: int  # width of the whole image, in these pixels

    def boxes(self, boxes: Sequence[Box], width: int) -> list[Box]:
        """The boxes that lie in the part at least partly, in its pixels.

        The given boxes are in pixels of an image of that `width`.
        """
        scale, (left, top) = self.width / width, self.corner
        moved = [
            Box(
                box.word,
                box.left * scale - left,
                box.top * scale - top,
                box.right * scale - left,
                box.bottom * scale - top,
            )
            for box in boxes
        ]
        _, high, wide, _ = self.pixels_FYX3.shape
        return [
            box for box in moved if box.left < wide and box.right > 0 and box.top < high and box.bottom > 0
        ]


def visible_part(content: Sequence[bytes], where: str, view: View) -> Part:
    """The part of an image that a model with this `view` sees.

    For "crop" it is the middle square, for "pad" the image with grey around it. Raises UserError, which names
    `where`, if the content is no image.
    """
    pixels_FYX3 = display_pixels(content, where, clip=view.frames > 1)
    return part_of(pixels_FYX3, view)


def part_of(pixels_FYX3: Pixels, view: View) -> Part:
    """The part of the frames (F, Y, X, 3), uint8, that a model with this `view` sees."""
    pixels_FYX3 = pixels_FYX3[evenly_spaced(len(pixels_FYX3), view.frames)]
    frames, high, wide, _ = pixels_FYX3.shape
    if view.fit == "stretch":
        return Part(pixels_FYX3, (0, 0), wide)
    side = min(high, wide) if view.fit == "crop" else max(high, wide)
    left, top = (wide - side) // 2, (high - side) // 2  # below 0 if grey is added
    if view.fit == "crop":
        return Part(pixels_FYX3[:, top : top + side, left : left + side], (left, top), wide)
    padded = np.empty((frames, side, side, 3), np.uint8)
    padded[:] = GREY
    padded[:, -top : high - top, -left : wide - left] = pixels_FYX3
    return Part(padded, (left, top), wide)
