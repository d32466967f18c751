"""Encoded images and clips to pixels, defensively: what is no image, cut off, damaged or too large is one
line that says so. The door to Pillow.

A still is its first frame; a clip is the frames of an animated file as they are shown, or one still a frame.
Orientation is that of a person who looks,
what is transparent is white. Nothing is decoded before its header has passed the bounds below. Safe in
several threads at once.
Knows no captions and no corpus: content is bytes, `where` their name for people.
"""

import io
import os
import re
import stat
import struct
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
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

from seq2attn.data.images.not_images import kind
from seq2attn.data.room import Room
from seq2attn.errors import UserError

MOST_BYTES = 64 << 20  # of one encoded file
MOST_PIXELS = 64_000_000  # of one image as it is encoded, and of all frames together as they are given back
MOST_FRAMES = 256  # of one clip
MOST_SCANS = 100  # of one JPEG: a progressive one has about ten, and a few bytes are enough for one more
FITS = ("stretch", "crop", "pad")
GREY = (124, 116, 104)  # the mean of ImageNet: nothing, once colours are normalised

_MOST_WORK = 8 * MOST_PIXELS  # of an animated file, all frames together as they are encoded
_GAP = 2.0  # reducing by whole numbers first keeps at least so many times the pixels that are wanted
# each registers itself
_PLUGINS = (
    PngImagePlugin,
    JpegImagePlugin,
    GifImagePlugin,
    WebPImagePlugin,
    BmpImagePlugin,
    TiffImagePlugin,
    PpmImagePlugin,
)
_CLEAR = ("LA", "PA", "La", "RGBA", "RGBa")  # modes of which parts may be transparent
_BITS, _SAMPLES, _ROWS, _TILE_WIDTH, _TILE_LENGTH = 258, 277, 278, 322, 323  # tags of TIFF
_DNG, _REDUCED, _FURTHER = 50706, 254, 330
_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM")
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION = 0x0112  # tag of EXIF

_ROOM = Room(1 << 30)  # bytes of pixels while they are decoded, of all threads together
_SMALL = 16 << 20  # bytes that no thread waits for
_MOST_EACH = 160  # bytes that a pixel takes of any format, of PPM as text
_MOST_AT_ONCE = 1 << 29  # bytes of a strip or tile of TIFF, which is unpacked as a whole
# samples; Pillow decodes these in Python
_MOST_SLOW = {"ppm": 8_000_000, "ppm_plain": 8_000_000, "bmp_rle": 32_000_000}
_TILE = 1 << 20  # pixels of grey that are brought to 8 bits at a time
# bytes of a pixel; of others 4
_WIDTHS = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2, "LA": 4}

Pixels = NDArray[np.uint8]
Sides = tuple[float, float, float, float]  # left, top, right, bottom


class Augment(NamedTuple):
    """How far an image of training may be changed: the same for every frame of a clip."""

    crop: float = 0  # the most that is cut off a side, as a fraction of it
    flip: bool = False  # left and right, every other time
    # brightness, contrast and saturation are multiplied by factors in [1 - colour, 1 + colour]
    colour: float = 0


class _Change(NamedTuple):
    """What one seed makes of an Augment."""

    keep: float = 1  # of each side
    x: float = 0.5  # where what is kept begins, as a fraction of what is cut off
    y: float = 0.5
    flip: bool = False
    brightness: float = 1
    contrast: float = 1
    saturation: float = 1


def decode(
    content: Sequence[bytes],
    where: str,
    side: int,
    fit: str = "stretch",
    *,
    clip: bool = False,
    frames: int = 1,
    augment: Augment | None = None,
    seed: int | None = None,
) -> Pixels:
    """(F, side, side, 3) RGB: F = 1 for a still, at most `frames` for a clip: evenly spaced, the first and
    the last among them.

    `fit`: "stretch" both sides to `side`, "crop" the middle once the shorter side is `side`, or "pad" with
    GREY once the longer one is. With `augment` the
    result is a function of `seed`. Raises UserError, one line that starts with `where`, when the content is
    no image that can be decoded.
    """
    if fit not in FITS:
        raise ValueError(fit)
    change = _drawn(augment, seed)
    enough = int(side * _GAP / max(change.keep, 0.1)) + 1
    fitted = []
    with closing(_shown(content, where, clip, frames if clip else 1, enough)) as shown:
        for image in shown:
            with _plainly(where):
                fitted.append(_padded(_recoloured(_fitted(image, side, fit, change), change), side))
    return np.stack(fitted)


def check(content: Sequence[bytes], where: str, *, clip: bool = False) -> tuple[int, int, int]:
    """(frames, width, height) of the first frame as a person sees it, after everything was decoded. Raises
    UserError as `decode` does.
    """
    with closing(_shown(content, where, clip, MOST_FRAMES if clip else 1)) as shown:
        sizes = [image.size for image in shown]
    return len(sizes), *sizes[0]


def turned(
    content: Sequence[bytes], where: str, sides: Sequence[Sides], size: tuple[int, int]
) -> list[Sides]:
    """Boxes (left, top, right, bottom) of the image as it lies on the disk, as a person sees them, to whom
    it is of `size` (width, height).
    """
    with _plainly(where):
        orientation = _orientation(_opened(content[0], where))
    (width, height), found = size, []
    for left, top, right, bottom in sides:
        if orientation in (5, 6, 7, 8):
            left, top, right, bottom = top, left, bottom, right
        if orientation in (2, 3, 6, 7):
            left, right = width - right, width - left
        if orientation in (3, 4, 7, 8):
            top, bottom = height - bottom, height - top
        found.append((left, top, right, bottom))
    return found


def pixels(content: Sequence[bytes], where: str, *, clip: bool = False, longest: int = 1024) -> Pixels:
    """(F, Y, X, 3) RGB as a person sees it, the longer side at most `longest`, less where many frames would
    be too many pixels together.

    Frames of another size than the first are stretched to it. Raises UserError as `decode` does.
    """
    scaled: list[Pixels] = []
    size = (0, 0)
    count = min(frames_in(content, where), MOST_FRAMES) if clip else 1
    with closing(_shown(content, where, clip, count, longest)) as shown:
        for image in shown:
            with _plainly(where):
                if not scaled:
                    scale = min(
                        1.0,
                        longest / max(image.size),
                        (MOST_PIXELS / count / (image.width * image.height)) ** 0.5,
                    )
                    size = (max(1, int(image.width * scale + 0.5)), max(1, int(image.height * scale + 0.5)))
                scaled.append(
                    np.asarray(
                        image.resize(size, Image.Resampling.BICUBIC, reducing_gap=_GAP)
                        if image.size != size
                        else image
                    )
                )
    return np.stack(scaled)


def frames_in(content: Sequence[bytes], where: str) -> int:
    """How many frames the content has, by its headers alone: several for an animated image, at most
    MOST_FRAMES + 1. Raises UserError as `decode` does.
    """
    if len(content) != 1:
        return len(content)
    with _plainly(where):
        return len(_numbers(_opened(content[0], where), content[0]))


def spaced(count: int, most: int) -> list[int]:
    """At most `most` of 0 .. count - 1, as evenly as can be, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / max(most - 1, 1)) for place in range(max(most, 1))]


def read_file(path: Path) -> bytes:
    """The bytes of a file of at most MOST_BYTES. Raises UserError naming the path when it is missing, too
    large or no file.
    """
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):  # a pipe would wait for ever
            raise UserError(
                f"{path}: {'a folder' if stat.S_ISDIR(kind) else 'not a file'} where an image is wanted"
            )
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        link = path.is_symlink()
        problem = f"a link to {os.readlink(path)}, which is not there" if link else "no such file"
        raise UserError(f"{path}: {problem}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MOST_BYTES:
        raise UserError(f"{path}: a file of more than {MOST_BYTES >> 20} MiB where an image is wanted")
    return data


# From bytes to frames


def _shown(
    content: Sequence[bytes], where: str, clip: bool, most: int, enough: int | None = None
) -> Generator[Image.Image]:
    """RGB images in order, upright: all frames or `most` evenly spaced ones. Photographs may come smaller
    where the shorter side stays >= `enough`.
    """
    if not content:
        raise UserError(f"{where}: no frames")
    if clip and len(content) == 1:
        yield from _animated(content[0], where, most, enough)
        return
    chosen = spaced(len(content), most) if clip else [0]
    for number in chosen:
        place = where if len(content) == 1 else f"{where}: frame {number + 1}"
        yield from _still(content[number], place, enough)


def _still(data: bytes, where: str, enough: int | None) -> Iterator[Image.Image]:
    """One image, which has room in memory until the next is asked for."""
    with _plainly(where):
        image = _opened(data, where)
        whole = image.width * image.height
        if enough is not None and isinstance(image, JpegImagePlugin.JpegImageFile):
            image.draft(None, (enough, enough))  # decodes to a half, a quarter or an eighth of each side
        room = _room(image, whole)
    with room:
        with _plainly(where):
            shown = _decoded(image)
        del image
        yield shown
        del shown  # before another has its room


def _decoded(image: Image.Image) -> Image.Image:
    image.load()
    return _rgb(_upright(image))


def _room(image: Image.Image, whole: int) -> AbstractContextManager[None]:
    size = _size(image, whole)
    return _ROOM.of(size) if size > _SMALL else nullcontext()


def _size(image: Image.Image, whole: int) -> int:
    """Bytes, about, that it takes to bring an image of `whole` pixels to RGB, upright and on white."""
    pieces = _at_once(image) if image.format == "TIFF" else 0
    if whole * _MOST_EACH < _SMALL:
        return pieces
    width = _WIDTHS.get(image.mode, 4)
    each = width if image.mode == "RGB" else width + 4
    if image.mode in _CLEAR or "transparency" in image.info:
        each += 5 if image.mode == "RGBA" else 9
    if image.format == "PNG" or _orientation(image) != 1:  # of a PNG, Pillow would decode it for an answer
        each += width
    match image.format:
        case "WEBP":
            each += 16
        case "GIF" | "PNG" if getattr(image, "is_animated", False):
            each += 12
        case "PPM" if _codec(image) in _MOST_SLOW:
            each += 40 * len(image.getbands())
        case "JPEG" if image.info.get("progressive"):  # all coefficients are kept until the last scan
            return image.width * image.height * each + whole * 2 * len(image.getbands())
    return image.width * image.height * each + pieces


def _codec(image: Image.Image) -> str:
    tiles = getattr(image, "tile", None)
    return str(tiles[0][0]) if tiles else ""


def _at_once(image: Image.Image) -> int:
    """Bytes of the largest piece of a TIFF that is unpacked as a whole."""
    tags = getattr(image, "tag_v2", {})

    def number(tag: int, default: int) -> int:
        value = tags.get(tag, default)
        value = max(value, default=default) if isinstance(value, tuple) else value
        return int(value) if isinstance(value, int | float) and 0 < value < 1 << 40 else default

    bits = number(_BITS, 8) * max(number(_SAMPLES, 1), len(image.getbands()))
    if _TILE_WIDTH in tags or _TILE_LENGTH in tags:
        return number(_TILE_WIDTH, image.width) * number(_TILE_LENGTH, image.height) * bits // 8
    return image.width * min(number(_ROWS, image.height), image.height) * bits // 8


def _animated(data: bytes, where: str, most: int, enough: int | None) -> Iterator[Image.Image]:
    with _plainly(where):
        image = _opened(data, where)
        numbers = _numbers(image, data)
        if len(numbers) > MOST_FRAMES:
            raise UserError(f"{where}: a clip of more than {MOST_FRAMES} frames")
        if len(numbers) * image.width * image.height > _MOST_WORK:
            facts = f"{len(numbers)} frames of {image.width:,} x {image.height:,} pixels"
            raise UserError(
                f"{where}: a clip of {facts}; {_MOST_WORK // 1_000_000} million pixels are the most"
            )
        alone = numbers == range(1)
    if alone:
        yield from _still(data, where, enough)
        return
    with _room(image, image.width * image.height):
        yield from _frames(image, numbers, where, most)


def _frames(image: Image.Image, numbers: range, where: str, most: int) -> Iterator[Image.Image]:
    wanted = {numbers[place] for place in spaced(len(numbers), most)}
    work = 0
    for number in range(max(wanted) + 1):  # none is left out: a frame is drawn over those before it
        frame = None
        with _plainly(f"{where}: frame {number + 1}"):
            image.seek(number)
            _bounded(image, where)
            work += image.width * image.height
            # the pages of a TIFF and the frames of a GIF may be larger than the first, by which they were
            # judged
            if work > _MOST_WORK:
                raise UserError(
                    f"{where}: a clip of more than {_MOST_WORK // 1_000_000} million pixels, all frames together"
                )
            if number in wanted:
                image.load()
                frame = _rgb(_upright(image))
        if frame is not None:
            yield frame


def _opened(data: bytes, where: str) -> Image.Image:
    """The image by its header, undecoded. Image.open would say, or raise, what it thinks of the size before
    we can.
    """
    if not data:
        raise UserError(f"{where}: empty file")
    if len(data) > MOST_BYTES:
        raise UserError(f"{where}: a file of more than {MOST_BYTES >> 20} MiB")
    for name in _FORMATS:
        factory, accept = Image.OPEN[name]
        try:
            mine = accept is None or accept(data[:16])
        except IndexError:
            mine = False
        if mine is True:
            image = factory(io.BytesIO(data), "")
            _bounded(image, where)
            if name == "TIFF" and _is_raw(image, data):
                raise UserError(
                    f"{where}: not an image that is read, but a RAW photograph ({', '.join(_FORMATS)} are read)"
                )
            if name == "TIFF" and (size := _at_once(image)) > _MOST_AT_ONCE:
                raise UserError(
                    f"{where}: a TIFF in pieces of {size >> 20:,} MiB; {_MOST_AT_ONCE >> 20} MiB are the most"
                )
            if isinstance(image, JpegImagePlugin.JpegImageFile) and _scans(data, MOST_SCANS + 1) > MOST_SCANS:
                raise UserError(
                    f"{where}: a JPEG of more than {MOST_SCANS} scans, each of which takes as long as an image"
                )
            return image
    what, formats = kind(data), ", ".join(_FORMATS)
    if what is not None:
        raise UserError(f"{where}: not an image that is read, but {what} ({formats} are read)")
    raise UserError(f"{where}: not an image ({formats} are read)")


def _is_raw(image: Image.Image, data: bytes) -> bool:
    """Whether a TIFF holds what a camera's sensor gave; the image in front of it is a thumbnail."""
    tags = getattr(image, "tag_v2", {})
    return data[8:10] == b"CR" or _DNG in tags or (tags.get(_REDUCED) == 1 and _FURTHER in tags)


def _bounded(image: Image.Image, where: str) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise UserError(
            f"{where}: an image of {image.width:,} x {image.height:,} pixels; {MOST_PIXELS // 1_000_000} million are the most"
        )
    codec = _codec(image)
    samples = image.width * image.height * len(image.getbands())
    if samples > _MOST_SLOW.get(codec, samples):
        forms = "a run-length BMP" if codec == "bmp_rle" else "a PPM as text or of an odd range"
        raise UserError(
            f"{where}: {forms} of {samples:,} values; {_MOST_SLOW[codec] // 1_000_000} million are the most"
        )
    if not image.width or not image.height:
        raise UserError(f"{where}: an image without pixels")


def _numbers(image: Image.Image, data: bytes) -> range:
    """Of the frames that are shown, MOST_FRAMES + 1 where there are more: those of a hostile file are not
    worth counting.
    """
    most = MOST_FRAMES + 1
    match image.format:
        case "GIF":
            count = _images_of_gif(data, most)
        case "TIFF":
            count = _pages(image, most)
        case "WEBP" | "PNG":
            count = getattr(image, "n_frames", 1)
        case _:
            count = 1  # a photograph's second image is no frame
    # an animated PNG's first image may be for those alone who cannot show the others
    first = int(getattr(image, "default_image", False))
    return range(first, min(count, first + most)) or range(1)


def _images_of_gif(data: bytes, most: int) -> int:
    """How many images a GIF says that it has, at most `most`: its blocks are stepped over."""
    count, place = 0, 13 + _palette(data[10])
    while count < most and place < len(data) and data[place] in (0x2C, 0x21):  # an image, an extension
        if data[place] == 0x2C:
            count += 1
            place += 11 + _palette(data[place + 9])
        else:
            place += 2
        while data[place]:
            place += 1 + data[place]
        place += 1
    return count


_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # of JPEG, but for those that stand within a scan


def _scans(data: bytes, most: int) -> int:
    """How many scans a JPEG has, at most `most`: its segments are stepped over. What lies behind its end, as
    a film behind a photograph, does not count.
    """
    count, place = 0, 2
    while count < most and (marker := _MARKER.search(data, place)) is not None and marker[0] != b"\xff\xd9":
        count += marker[0] == b"\xff\xda"
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    return count


def _palette(flags: int) -> int:
    return 6 << (flags & 7) if flags & 0x80 else 0


def _pages(image: Image.Image, most: int) -> int:
    count = 1
    with suppress(EOFError):
        while count < most:
            image.seek(count)
            count += 1
    image.seek(0)
    return count


def _upright(image: Image.Image) -> Image.Image:
    turn = _UPRIGHT.get(_orientation(image))
    return image.transpose(turn) if turn is not None else image


def _orientation(image: Image.Image) -> int:
    """As EXIF numbers it: 1 where the image is upright as it lies."""
    with suppress(Exception):  # damaged EXIF beside a sound image: as it lies
        orientation = image.getexif().get(_ORIENTATION)
        return orientation if orientation in _UPRIGHT else 1
    return 1


def _rgb(image: Image.Image) -> Image.Image:
    """The image as RGB on white. Grey of more than 8 bits is brought to 8: of 16 by its upper ones, others by
    their range.
    """
    if image.mode.startswith("I;16"):
        return _grey(image, lambda values: values.astype(np.int64) >> 8)
    if image.mode in ("I", "F"):
        low, high = _range(image)
        if image.mode == "I" and low >= 0 and high <= 0xFFFF:  # 8 or 16 bits in a wider frame
            shift = 8 if high > 0xFF or image.format == "PPM" else 0
            return _grey(image, lambda values: values.astype(np.int64) >> shift)

        def bounded(values: NDArray[Any]) -> NDArray[Any]:
            values = values.astype(np.float64)
            if high > low:
                values = (values - low) * (255 / (high - low))
            return np.nan_to_num(values, nan=0, posinf=255, neginf=0).round()

        return _grey(image, bounded)
    if image.mode in _CLEAR or "transparency" in image.info:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey(image: Image.Image, bounded: Callable[[NDArray[Any]], NDArray[Any]]) -> Image.Image:
    """Grey of 8 bits, as RGB: what `bounded` makes of the values, cut to 0..255.

    Piece by piece: numbers of 64 bits take eight times the room.
    """
    grey = Image.new("L", image.size)
    for box, values in _pieces(image):
        grey.paste(Image.fromarray(np.clip(bounded(values), 0, 255).astype(np.uint8)), box)
    return grey.convert("RGB")


def _range(image: Image.Image) -> tuple[float, float]:
    """The least and the largest of the values that are numbers; zeros where there are none."""
    lows, highs = [], []
    for _, values in _pieces(image):
        finite = values[np.isfinite(values)]
        if finite.size:
            lows.append(float(finite.min()))
            highs.append(float(finite.max()))
    return (min(lows), max(highs)) if lows else (0.0, 0.0)


def _pieces(image: Image.Image) -> Iterator[tuple[tuple[int, int], NDArray[Any]]]:
    """The values of an image (y, x), about _TILE of them at a time, and the corner where they lie."""
    wide = min(image.width, _TILE)
    high = max(1, _TILE // wide)
    for top in range(0, image.height, high):
        for left in range(0, image.width, wide):
            box = (left, top, min(left + wide, image.width), min(top + high, image.height))
            yield (
                (left, top),
                np.asarray(image if box[2:] == image.size and not (left or top) else image.crop(box)),
            )


# From frames to what a model is given


def _drawn(augment: Augment | None, seed: int | None) -> _Change:
    if augment is None:
        return _Change()
    chance = np.random.default_rng(seed)
    # always all of them: no setting changes what another draws
    keep, x, y, flip, *factors = chance.random(7).tolist()
    brightness, contrast, saturation = (1 + augment.colour * (2 * factor - 1) for factor in factors)
    return _Change(
        1 - augment.crop * keep, x, y, augment.flip and flip < 0.5, brightness, contrast, saturation
    )


def _fitted(image: Image.Image, side: int, fit: str, change: _Change) -> Pixels:
    """(y, x, 3), both at most `side`: the part of the image that is kept, resized once."""
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
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box, _GAP))


def _recoloured(pixels_YX3: Pixels, change: _Change) -> Pixels:
    if change.flip:
        pixels_YX3 = pixels_YX3[:, ::-1]
    if (change.brightness, change.contrast, change.saturation) == (1, 1, 1):
        return pixels_YX3
    values = pixels_YX3.astype(np.float32) * np.float32(change.brightness)
    values = 128 + (values - 128) * np.float32(change.contrast)  # around the same grey in every frame
    luma = (values @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]  # ITU-R BT.601
    values = luma + (values - luma) * np.float32(change.saturation)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _padded(pixels_YX3: Pixels, side: int) -> Pixels:
    height, width, _ = pixels_YX3.shape
    padded = np.empty((side, side, 3), np.uint8)
    padded[:] = GREY
    top, left = (side - height) // 2, (side - width) // 2
    padded[top : top + height, left : left + width] = pixels_YX3
    return padded


# What Pillow says


@contextmanager
def _plainly(where: str) -> Iterator[None]:
    """Whatever goes wrong inside is one line; what Pillow has to remark about a file is nobody's concern."""
    _quiet()
    try:
        yield
    except UserError:
        raise
    except MemoryError:
        raise UserError(f"{where}: not enough memory for this image") from None
    except Exception as error:  # any, as Pillow says of its plugins
        raise UserError(f"{where}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    message = " ".join(str(error).split())
    if isinstance(error, (EOFError, struct.error, IndexError)) or "truncated" in message.lower():
        return "the image is cut off"
    return f"the image is damaged or cut off ({message[:100] or type(error).__name__})"


_SILENCE = ("ignore", None, Warning, re.compile(r"PIL\."), 0)  # as `warnings` notes it down


def _quiet() -> None:
    """One filter that stays: setting and taking it back again around each call would not be safe with
    threads.
    """
    if _SILENCE not in warnings.filters:
        warnings.filterwarnings("ignore", category=Warning, module=r"PIL\.")
