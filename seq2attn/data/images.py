"""Encoded images and clips to pixels, defensively: what is no image, cut off, damaged or too large is one line that says so. The door to Pillow.

A still is its first frame; a clip is the frames of an animated file as they are shown, or one still a frame. Orientation is that of a person who looks,
what is transparent is white. Nothing is decoded before its header has passed the bounds below. Safe in several threads at once.
Knows no captions and no corpus: content is bytes, `where` their name for people.
"""

import io
import re
import stat
import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, PpmImagePlugin, TiffImagePlugin, WebPImagePlugin

from seq2attn.errors import UserError

MOST_BYTES = 64 << 20  # of one encoded file
MOST_PIXELS = 64_000_000  # of one picture as it is encoded, and of all frames together as they are given back
MOST_FRAMES = 256  # of one clip
MOST_SCANS = 100  # of one JPEG: a progressive one has about ten, and a few bytes are enough for one more
FITS = ("stretch", "crop", "pad")
GREY = (124, 116, 104)  # the mean of ImageNet: nothing, once colours are normalised

_MOST_WORK = 8 * MOST_PIXELS  # of an animated file, all frames together as they are encoded
_GAP = 2.0  # reducing by whole numbers first keeps at least so many times the pixels that are wanted
_PLUGINS = (PngImagePlugin, JpegImagePlugin, GifImagePlugin, WebPImagePlugin, BmpImagePlugin, TiffImagePlugin, PpmImagePlugin)  # each registers itself
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

Pixels = NDArray[np.uint8]
Sides = tuple[float, float, float, float]  # left, top, right, bottom


class Augment(NamedTuple):
    """How far a picture of training may be changed: the same for every frame of a clip."""

    crop: float = 0  # the most that is cut off a side, as a fraction of it
    flip: bool = False  # left and right, every other time
    colour: float = 0  # brightness, contrast and saturation are multiplied by factors in [1 - colour, 1 + colour]


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
    """(F, side, side, 3) RGB: F = 1 for a still, at most `frames` for a clip: evenly spaced, the first and the last among them.

    `fit`: "stretch" both sides to `side`, "crop" the middle once the shorter side is `side`, or "pad" with GREY once the longer one is. With `augment` the
    result is a function of `seed`. Raises UserError, one line that starts with `where`, when the content is no image that can be decoded.
    """
    if fit not in FITS:
        raise ValueError(fit)
    change = _drawn(augment, seed)
    enough = int(side * _GAP / max(change.keep, 0.1)) + 1
    fitted = []
    for image in _shown(content, where, clip, frames if clip else 1, enough):
        with _plainly(where):
            fitted.append(_padded(_recoloured(_fitted(image, side, fit, change), change), side))
    return np.stack(fitted)


def check(content: Sequence[bytes], where: str, *, clip: bool = False) -> tuple[int, int, int]:
    """(frames, width, height) of the first frame as a person sees it, after everything was decoded. Raises UserError as `decode` does."""
    sizes = [image.size for image in _shown(content, where, clip, MOST_FRAMES if clip else 1)]
    return len(sizes), *sizes[0]


def turned(content: Sequence[bytes], where: str, sides: Sequence[Sides], size: tuple[int, int]) -> list[Sides]:
    """Boxes (left, top, right, bottom) of the picture as it lies on the disk, as a person sees them, to whom it is of `size` (width, height)."""
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
    """(F, Y, X, 3) RGB as a person sees it, the longer side at most `longest`, less where many frames would be too many pixels together.

    Frames of another size than the first are stretched to it. Raises UserError as `decode` does.
    """
    scaled: list[Pixels] = []
    size = (0, 0)
    count = min(frames_in(content, where), MOST_FRAMES) if clip else 1
    for image in _shown(content, where, clip, count, longest):
        with _plainly(where):
            if not scaled:
                scale = min(1.0, longest / max(image.size), (MOST_PIXELS / count / (image.width * image.height)) ** 0.5)
                size = (max(1, int(image.width * scale + 0.5)), max(1, int(image.height * scale + 0.5)))
            scaled.append(np.asarray(image.resize(size, Image.Resampling.BICUBIC, reducing_gap=_GAP) if image.size != size else image))
    return np.stack(scaled)


def frames_in(content: Sequence[bytes], where: str) -> int:
    """How many frames the content has, by its headers alone: several for an animated image, at most MOST_FRAMES + 1. Raises UserError as `decode` does."""
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
    """The bytes of a file of at most MOST_BYTES. Raises UserError naming the path when it is missing, too large or no file."""
    try:
        kind = path.stat().st_mode
        if not stat.S_ISREG(kind):  # a pipe would wait for ever
            raise UserError(f"{path}: {'a folder' if stat.S_ISDIR(kind) else 'not a file'} where an image is wanted")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MOST_BYTES:
        raise UserError(f"{path}: a file of more than {MOST_BYTES >> 20} MiB where an image is wanted")
    return data


# From bytes to frames


def _shown(content: Sequence[bytes], where: str, clip: bool, most: int, enough: int | None = None) -> Iterator[Image.Image]:
    """RGB images in order, upright: all frames or `most` evenly spaced ones. Photographs may come smaller where the shorter side stays >= `enough`."""
    if not content:
        raise UserError(f"{where}: no frames")
    if clip and len(content) == 1:
        yield from _animated(content[0], where, most, enough)
        return
    chosen = spaced(len(content), most) if clip else [0]
    for number in chosen:
        place = where if len(content) == 1 else f"{where}: frame {number + 1}"
        with _plainly(place):
            image = _still(content[number], place, enough)
        yield image


def _still(data: bytes, where: str, enough: int | None) -> Image.Image:
    image = _opened(data, where)
    if enough is not None and isinstance(image, JpegImagePlugin.JpegImageFile):
        image.draft(None, (enough, enough))  # decodes to a half, a quarter or an eighth of each side
    image.load()
    return _rgb(_upright(image))


def _animated(data: bytes, where: str, most: int, enough: int | None) -> Iterator[Image.Image]:
    with _plainly(where):
        image = _opened(data, where)
        numbers = _numbers(image, data)
        if len(numbers) > MOST_FRAMES:
            raise UserError(f"{where}: a clip of more than {MOST_FRAMES} frames")
        if len(numbers) * image.width * image.height > _MOST_WORK:
            facts = f"{len(numbers)} frames of {image.width:,} x {image.height:,} pixels"
            raise UserError(f"{where}: a clip of {facts}; {_MOST_WORK // 1_000_000} million pixels are the most")
        still = _still(data, where, enough) if numbers == range(1) else None
    if still is not None:
        yield still
        return
    wanted = {numbers[place] for place in spaced(len(numbers), most)}
    work = 0
    for number in range(max(wanted) + 1):  # none is left out: a frame is drawn over those before it
        frame = None
        with _plainly(f"{where}: frame {number + 1}"):
            image.seek(number)
            _bounded(image, where)
            work += image.width * image.height
            if work > _MOST_WORK:  # the pages of a TIFF and the frames of a GIF may be larger than the first, by which they were judged
                raise UserError(f"{where}: a clip of more than {_MOST_WORK // 1_000_000} million pixels, all frames together")
            if number in wanted:
                image.load()
                frame = _rgb(_upright(image))
        if frame is not None:
            yield frame


def _opened(data: bytes, where: str) -> Image.Image:
    """The image by its header, undecoded. Image.open would say, or raise, what it thinks of the size before we can."""
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
            if isinstance(image, JpegImagePlugin.JpegImageFile) and _scans(data, MOST_SCANS + 1) > MOST_SCANS:
                raise UserError(f"{where}: a JPEG of more than {MOST_SCANS} scans, each of which takes as long as a picture")
            return image
    raise UserError(f"{where}: not an image ({', '.join(_FORMATS)} are read)")


def _bounded(image: Image.Image, where: str) -> None:
    if image.width * image.height > MOST_PIXELS:
        raise UserError(f"{where}: an image of {image.width:,} x {image.height:,} pixels; {MOST_PIXELS // 1_000_000} million are the most")
    if not image.width or not image.height:
        raise UserError(f"{where}: an image without pixels")


def _numbers(image: Image.Image, data: bytes) -> range:
    """Of the frames that are shown, MOST_FRAMES + 1 where there are more: those of a hostile file are not worth counting."""
    most = MOST_FRAMES + 1
    match image.format:
        case "GIF":
            count = _images_of_gif(data, most)
        case "TIFF":
            count = _pages(image, most)
        case "WEBP" | "PNG":
            count = getattr(image, "n_frames", 1)
        case _:
            count = 1  # a photograph's second picture is no frame
    first = int(getattr(image, "default_image", False))  # an animated PNG's first picture may be for those alone who cannot show the others
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
    """How many scans a JPEG has, at most `most`: its segments are stepped over. What lies behind its end, as a film behind a photograph, does not count."""
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
    """As EXIF numbers it: 1 where the picture is upright as it lies."""
    with suppress(Exception):  # damaged EXIF beside a sound image: as it lies
        orientation = image.getexif().get(_ORIENTATION)
        return orientation if orientation in _UPRIGHT else 1
    return 1


def _rgb(image: Image.Image) -> Image.Image:
    """The image as RGB on white. Grey of more than 8 bits is brought to 8: of 16 by its upper ones, others by their range."""
    if image.mode.startswith("I;16"):
        return _grey(np.asarray(image).astype(np.int64) >> 8)
    if image.mode in ("I", "F"):
        values = np.asarray(image).astype(np.float64)
        finite = values[np.isfinite(values)]
        low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
        if image.mode == "I" and low >= 0 and high <= 0xFFFF:  # 8 or 16 bits in a wider frame
            return _grey(values.astype(np.int64) >> (8 if high > 0xFF or image.format == "PPM" else 0))
        if high > low:
            values = (values - low) * (255 / (high - low))
        return _grey(np.nan_to_num(values, nan=0, posinf=255, neginf=0).round())
    if image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        paper = Image.new("RGB", image.size, "white")
        paper.paste(image, mask=image.getchannel("A"))
        return paper
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey(values: NDArray[np.generic]) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).convert("RGB")


# From frames to what a model is given


def _drawn(augment: Augment | None, seed: int | None) -> _Change:
    if augment is None:
        return _Change()
    chance = np.random.default_rng(seed)
    keep, x, y, flip, *factors = chance.random(7).tolist()  # always all of them: no setting changes what another draws
    brightness, contrast, saturation = (1 + augment.colour * (2 * factor - 1) for factor in factors)
    return _Change(1 - augment.crop * keep, x, y, augment.flip and flip < 0.5, brightness, contrast, saturation)


def _fitted(image: Image.Image, side: int, fit: str, change: _Change) -> Pixels:
    """(y, x, 3), both at most `side`: the part of the image that is kept, resized once."""
    width, height = (min(image.size),) * 2 if fit == "crop" else image.size
    left, top = (image.width - width) / 2, (image.height - height) / 2
    left, top = left + width * (1 - change.keep) * change.x, top + height * (1 - change.keep) * change.y
    box = (left, top, min(left + width * change.keep, image.width), min(top + height * change.keep, image.height))
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
    """One filter that stays: setting and taking it back again around each call would not be safe with threads."""
    if _SILENCE not in warnings.filters:
        warnings.filterwarnings("ignore", category=Warning, module=r"PIL\.")
