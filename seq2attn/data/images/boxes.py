"""Boxes of an image as it is stored, moved to the place in which a person sees them."""

from collections.abc import Sequence

from seq2attn.data.images.corpus import Box
from seq2attn.data.images.opening import one_line_errors, open_image
from seq2attn.data.images.orientation import exif_orientation


def apply_exif_to_boxes(
    content: Sequence[bytes], where: str, boxes: Sequence[Box], size: tuple[int, int]
) -> list[Box]:
    """The boxes in the image as a person sees it, who sees `size` (width, height) pixels."""
    with one_line_errors(where):
        orientation = exif_orientation(open_image(content[0], where))
    width, height = size
    moved = []
    for word, left, top, right, bottom in boxes:
        if orientation in (5, 6, 7, 8):
            left, top, right, bottom = top, left, bottom, right
        if orientation in (2, 3, 6, 7):
            left, right = width - right, width - left
        if orientation in (3, 4, 7, 8):
            top, bottom = height - bottom, height - top
        moved.append(Box(word, left, top, right, bottom))
    return moved
