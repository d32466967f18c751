"""How many images the headers of a file announce, without decoding any: hostile files announce millions."""

import re
from contextlib import suppress

from PIL import Image


def count_gif_images(data: bytes, most: int) -> int:
    """How many images a GIF announces, at most `most`. It skips the content of blocks."""
    count, place = 0, 13 + _palette_size(data[10])
    while count < most and place < len(data) and data[place] in (0x2C, 0x21):  # an image, an extension
        if data[place] == 0x2C:
            count += 1
            place += 11 + _palette_size(data[place + 9])
        else:
            place += 2
        while data[place]:
            place += 1 + data[place]
        place += 1
    return count


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # a marker of JPEG, except those inside a scan


def count_jpeg_scans(data: bytes, most: int) -> int:
    """How many scans a JPEG has, at most `most`. It skips the content of segments.

    Data after its end, such as the film of a live photograph, do not count.
    """
    count, place = 0, 2
    while count < most and (marker := _MARKER.search(data, place)) is not None and marker[0] != b"\xff\xd9":
        count += marker[0] == b"\xff\xda"
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return count


def _palette_size(flags: int) -> int:
    return 6 << (flags & 7) if flags & 0x80 else 0


def count_tiff_pages(image: Image.Image, most: int) -> int:
    count = 1
    with suppress(EOFError):
        while count < most:
            image.seek(count)
            count += 1
    image.seek(0)
    return count
