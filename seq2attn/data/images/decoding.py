"""Encoded images and clips to RGB images, within bounds of work and memory.

A still is its first frame; a clip is the frames of an animated file as they are displayed, or one still a
frame. Images are upright, transparent parts white. Nothing is decoded before its header has passed the bounds
of `opening`. Safe in several threads at once. It knows no captions and no corpus: content is bytes, `where`
their name for people.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import AbstractContextManager, closing, nullcontext

from PIL import Image, JpegImagePlugin

from seq2attn.data.images.headers import count_gif_images, count_tiff_pages
from seq2attn.data.images.memory_budget import MemoryBudget
from seq2attn.data.images.opening import (
    MOST_PIXELS,
    MOST_SLOW,
    codec_of,
    one_line_errors,
    open_image,
    refuse_large,
    tiff_block_bytes,
)
from seq2attn.data.images.orientation import exif_orientation, upright
from seq2attn.data.images.rgb import TRANSPARENT_MODES, to_rgb
from seq2attn.errors import UserError

MOST_FRAMES = 256  # frames of one clip, at most

_MOST_WORK = 8 * MOST_PIXELS  # pixels of all frames of an animated file together, as they are stored
_BUDGET = MemoryBudget(1 << 30)  # bytes of pixels while they are decoded, of all threads together
_SMALL = 16 << 20  # bytes that no thread waits for
_MOST_PER_PIXEL = 160  # bytes that a pixel takes in any format, at most: those of PPM as text
# bytes of a pixel; 4 in other modes
_PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "I;16L": 2, "I;16N": 2, "LA": 4}


def check(content: Sequence[bytes], where: str, *, clip: bool = False) -> tuple[int, int, int]:
    """(frames, width, height) of the first frame as a person sees it, after everything was decoded.

    Raises UserError, one line that starts with `where`, if the content is no image that can be decoded.
    """
    with closing(load_frames(content, where, clip, MOST_FRAMES if clip else 1)) as images:
        sizes = [image.size for image in images]
    return len(sizes), *sizes[0]


def count_frames(content: Sequence[bytes], where: str) -> int:
    """The number of frames of the content, read only from its headers; at most MOST_FRAMES + 1.

    An animated image has more than one. Raises UserError as `check` does.
    """
    if len(content) != 1:
        return len(content)
    with one_line_errors(where):
        return len(_frame_numbers(open_image(content[0], where), content[0]))


def evenly_spaced(count: int, most: int) -> list[int]:
    """At most `most` of the numbers 0 .. count - 1, evenly spaced, with the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / max(most - 1, 1)) for place in range(max(most, 1))]


def load_frames(
    content: Sequence[bytes], where: str, clip: bool, most: int, enough: int | None = None
) -> Generator[Image.Image]:
    """RGB images in order, upright: all frames of a clip or `most` evenly spaced ones, the first of a still.

    A JPEG may be decoded to a smaller size, but with a shorter side of at least `enough` pixels.
    """
    if not content:
        raise UserError(f"{where}: no frames")
    if clip and len(content) == 1:
        yield from _animated(content[0], where, most, enough)
        return
    for number in evenly_spaced(len(content), most) if clip else [0]:
        place = where if len(content) == 1 else f"{where}: frame {number + 1}"
        yield from _still(content[number], place, enough)


def _still(data: bytes, where: str, enough: int | None) -> Iterator[Image.Image]:
    """One image. Its memory is reserved until the consumer asks for the next one."""
    with one_line_errors(where):
        image = open_image(data, where)
        pixels = image.width * image.height
        if enough is not None and isinstance(image, JpegImagePlugin.JpegImageFile):
            image.draft(None, (enough, enough))  # decodes to a half, a quarter or an eighth of each side
        reservation = _reserve(image, pixels)
    with reservation:
        with one_line_errors(where):
            rgb = _decoded(image)
        del image
        yield rgb
        del rgb  # before the memory is given to another image


def _decoded(image: Image.Image) -> Image.Image:
    image.load()
    return to_rgb(upright(image))


def _animated(data: bytes, where: str, most: int, enough: int | None) -> Iterator[Image.Image]:
    with one_line_errors(where):
        image = open_image(data, where)
        numbers = _frame_numbers(image, data)
        if len(numbers) > MOST_FRAMES:
            raise UserError(f"{where}: a clip of more than {MOST_FRAMES} frames")
        if len(numbers) * image.width * image.height > _MOST_WORK:
            facts = f"{len(numbers)} frames of {image.width:,} x {image.height:,} pixels"
            most_work = f"{_MOST_WORK // 1_000_000} million pixels are the most"
            raise UserError(f"{where}: a clip of {facts}; {most_work}")
        single = numbers == range(1)
    if single:
        yield from _still(data, where, enough)
        return
    with _reserve(image, image.width * image.height):
        yield from _frames(image, numbers, where, most)


def _frames(image: Image.Image, numbers: range, where: str, most: int) -> Iterator[Image.Image]:
    frame_numbers = {numbers[place] for place in evenly_spaced(len(numbers), most)}
    work = 0
    for number in range(max(frame_numbers) + 1):  # all of them: a frame is drawn over those before it
        frame = None
        with one_line_errors(f"{where}: frame {number + 1}"):
            image.seek(number)
            refuse_large(image, where)
            # Pages of a TIFF and frames of a GIF may be larger than the first, which was checked before.
            work += image.width * image.height
            if work > _MOST_WORK:
                bound = f"more than {_MOST_WORK // 1_000_000} million pixels, all frames together"
                raise UserError(f"{where}: a clip of {bound}")
            if number in frame_numbers:
                frame = _decoded(image)
        if frame is not None:
            yield frame


def _frame_numbers(image: Image.Image, data: bytes) -> range:
    """The numbers of the frames that are displayed; MOST_FRAMES + 1 of them if the file has more."""
    most = MOST_FRAMES + 1
    match image.format:
        case "GIF":
            count = count_gif_images(data, most)
        case "TIFF":
            count = count_tiff_pages(image, most)
        case "WEBP" | "PNG":
            count = getattr(image, "n_frames", 1)
        case _:
            count = 1  # the second image of a photograph is no frame
    # The first image of an animated PNG may be only for programs that cannot show the others.
    first = int(getattr(image, "default_image", False))
    return range(first, min(count, first + most)) or range(1)


def _reserve(image: Image.Image, pixels: int) -> AbstractContextManager[None]:
    size = _memory(image, pixels)
    return _BUDGET.reserve(size) if size > _SMALL else nullcontext()


def _memory(image: Image.Image, pixels: int) -> int:
    """About how many bytes it takes to convert an image of `pixels` to RGB, upright and on white."""
    block = tiff_block_bytes(image) if image.format == "TIFF" else 0
    if pixels * _MOST_PER_PIXEL < _SMALL:
        return block
    width = _PIXEL_BYTES.get(image.mode, 4)
    per_pixel = width if image.mode == "RGB" else width + 4
    if image.mode in TRANSPARENT_MODES or "transparency" in image.info:
        per_pixel += 5 if image.mode == "RGBA" else 9
    if image.format == "PNG" or exif_orientation(image) != 1:  # for a PNG, Pillow would decode it to answer
        per_pixel += width
    match image.format:
        case "WEBP":
            per_pixel += 16
        case "GIF" | "PNG" if getattr(image, "is_animated", False):
            per_pixel += 12
        case "PPM" if codec_of(image) in MOST_SLOW:
            per_pixel += 40 * len(image.getbands())
        case "JPEG" if image.info.get("progressive"):  # all coefficients are kept until the last scan
            return image.width * image.height * per_pixel + pixels * 2 * len(image.getbands())
    return image.width * image.height * per_pixel + block
