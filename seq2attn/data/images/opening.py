"""An encoded image by its header, undecoded, and the bounds that the header must keep.

Content that is no image, that is cut off, damaged or too large raises a UserError of one line, which begins
with `where`, a name for people. Safe in several threads at once.
"""

import io
import re
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from seq2attn.data.images.foreign_formats import format_name
from seq2attn.data.images.headers import count_jpeg_scans
from seq2attn.errors import UserError

MOST_BYTES = 64 << 20  # bytes of one encoded file, at most
MOST_PIXELS = 64_000_000  # pixels of an image as it is stored, and of all frames together in a result
MOST_SCANS = 100  # scans of a JPEG; a progressive one has about ten, and few bytes are enough for another
# Values (pixels times channels) at most. Pillow decodes these codecs in Python.
MOST_SLOW = {"ppm": 8_000_000, "ppm_plain": 8_000_000, "bmp_rle": 32_000_000}

_MOST_TIFF_BLOCK = 1 << 29  # bytes of a strip or tile of TIFF, which is unpacked as a whole
# Each plugin registers itself.
_PLUGINS = (
    PngImagePlugin,
    JpegImagePlugin,
    GifImagePlugin,
    WebPImagePlugin,
    BmpImagePlugin,
    TiffImagePlugin,
    PpmImagePlugin,
)
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
_BITS, _SAMPLES, _ROWS, _TILE_WIDTH, _TILE_LENGTH = 258, 277, 278, 322, 323  # tags of TIFF
_DNG, _REDUCED, _FURTHER = 50706, 254, 330
_SILENCE = ("ignore", None, Warning, re.compile(r"PIL\."), 0)  # as an entry of `warnings.filters`


def open_image(data: bytes, where: str) -> Image.Image:
    """The image, by its header. `Image.open` is not used, because it checks the size before these bounds."""
    if not data:
        raise UserError(f"{where}: empty file")
    if len(data) > MOST_BYTES:
        raise UserError(f"{where}: a file of more than {MOST_BYTES >> 20} MiB")
    for name in _FORMATS:
        factory, accept = Image.OPEN[name]
        try:
            accepted = accept is None or accept(data[:16])
        except IndexError:
            accepted = False
        if accepted is True:
            image = factory(io.BytesIO(data), "")
            refuse_large(image, where)
            if name == "TIFF":
                _refuse_tiff(image, data, where)
            if name == "JPEG" and count_jpeg_scans(data, MOST_SCANS + 1) > MOST_SCANS:
                scans = f"a JPEG of more than {MOST_SCANS} scans"
                raise UserError(f"{where}: {scans}, each of which takes as long as an image")
            return image
    formats, foreign = ", ".join(_FORMATS), format_name(data)
    if foreign is not None:
        raise UserError(f"{where}: not an image that is read, but {foreign} ({formats} are read)")
    raise UserError(f"{where}: not an image ({formats} are read)")


def refuse_large(image: Image.Image, where: str) -> None:
    """Raise UserError for an image of too many pixels or values, or of none."""
    pixels = image.width * image.height
    if pixels > MOST_PIXELS:
        size = f"{image.width:,} x {image.height:,} pixels"
        raise UserError(f"{where}: an image of {size}; {MOST_PIXELS // 1_000_000} million are the most")
    codec = codec_of(image)
    values = pixels * len(image.getbands())
    if values > MOST_SLOW.get(codec, values):
        form = "a run-length BMP" if codec == "bmp_rle" else "a PPM as text or of an odd range"
        most = f"{MOST_SLOW[codec] // 1_000_000} million are the most"
        raise UserError(f"{where}: {form} of {values:,} values; {most}")
    if not pixels:
        raise UserError(f"{where}: an image without pixels")


def codec_of(image: Image.Image) -> str:
    """Pillow's name of the codec that will decode the image."""
    tiles = getattr(image, "tile", None)
    return str(tiles[0][0]) if tiles else ""


def tiff_block_bytes(image: Image.Image) -> int:
    """The bytes of the largest strip or tile of a TIFF. A strip or tile is unpacked as a whole."""
    tags = getattr(image, "tag_v2", {})

    def number(tag: int, default: int) -> int:
        value = tags.get(tag, default)
        value = max(value, default=default) if isinstance(value, tuple) else value
        return int(value) if isinstance(value, int | float) and 0 < value < 1 << 40 else default

    bits = number(_BITS, 8) * max(number(_SAMPLES, 1), len(image.getbands()))
    if _TILE_WIDTH in tags or _TILE_LENGTH in tags:
        return number(_TILE_WIDTH, image.width) * number(_TILE_LENGTH, image.height) * bits // 8
    return image.width * min(number(_ROWS, image.height), image.height) * bits // 8


def _refuse_tiff(image: Image.Image, data: bytes, where: str) -> None:
    tags = getattr(image, "tag_v2", {})
    # The first image of a RAW photograph is a thumbnail.
    if data[8:10] == b"CR" or _DNG in tags or (tags.get(_REDUCED) == 1 and _FURTHER in tags):
        formats = ", ".join(_FORMATS)
        raise UserError(f"{where}: not an image that is read, but a RAW photograph ({formats} are read)")
    if (size := tiff_block_bytes(image)) > _MOST_TIFF_BLOCK:
        most = f"{_MOST_TIFF_BLOCK >> 20} MiB are the most"
        raise UserError(f"{where}: a TIFF in pieces of {size >> 20:,} MiB; {most}")


@contextmanager
def one_line_errors(where: str) -> Iterator[None]:
    """Turn every Exception of the body into a UserError of one line, and show no warnings of Pillow."""
    _silence_pillow()
    try:
        yield
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{where}: not enough memory for this image") from None
    except Exception as error:  # plugins of Pillow raise anything
        raise UserError(f"{where}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    message = " ".join(str(error).split())
    if isinstance(error, (EOFError, struct.error, IndexError)) or "truncated" in message.lower():
        return "the image is cut off"
    return f"the image is damaged or cut off ({message[:100] or type(error).__name__})"


def _silence_pillow() -> None:
    """Put a filter of warnings first, where it stays: one around each call would not be thread-safe."""
    if warnings.filters[:1] != [_SILENCE]:
        warnings.filterwarnings("ignore", category=Warning, module=r"PIL\.")
