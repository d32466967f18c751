"""The orientation that EXIF gives an image: which way up a person sees it. It knows no boxes."""

from contextlib import suppress

from PIL import Image

_ORIENTATION = 0x0112  # tag of EXIF
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def exif_orientation(image: Image.Image) -> int:
    """The orientation number of EXIF, 1 to 8; 1 if the image is stored upright, or the number is unknown."""
    with suppress(Exception):  # damaged EXIF in an undamaged image counts as none
        orientation = image.getexif().get(_ORIENTATION)
        return orientation if orientation in _TRANSPOSE else 1
    return 1


def upright(image: Image.Image) -> Image.Image:
    """The image as a person sees it."""
    transpose = _TRANSPOSE.get(exif_orientation(image))
    return image.transpose(transpose) if transpose is not None else image
