"""Every kind of image comes out as a person sees it, and whatever is no image, cut off, damaged or too large
is one line that names it.
"""

import gzip
import io
import json
import os
import re
import struct
import subprocess
import sys
import threading
import tracemalloc
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from peak_memory import PEAK
from PIL import Image, ImageFile

from seq2attn.data.images import decoding, files, opening, rgb
from seq2attn.data.images.augmentation import Augmentation
from seq2attn.data.images.boxes import apply_exif_to_boxes
from seq2attn.data.images.corpus import Box
from seq2attn.data.images.decoding import check, count_frames
from seq2attn.data.images.files import read_file
from seq2attn.data.images.memory_budget import MemoryBudget
from seq2attn.data.images.opening import MOST_BYTES
from seq2attn.data.images.pixels import display_pixels, model_pixels
from seq2attn.data.images.resizing import FITS, GREY
from seq2attn.errors import UserError

SIDE = 8
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def quarters(side: int = 32, mode: str = "RGB") -> Image.Image:
    """Red, green, blue and white: any turn or mirroring shows."""
    image = Image.new("RGB", (side, side), WHITE)
    image.paste(RED, (0, 0, side // 2, side // 2))
    image.paste(GREEN, (side // 2, 0, side, side // 2))
    image.paste(BLUE, (0, side // 2, side // 2, side))
    return image.convert(mode)


def photograph(width: int = 97, height: int = 61) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(0).integers(0, 40, (height, width, 3))
    return Image.fromarray(np.clip(np.stack([x * 2, y * 3, x + y], -1) + noise, 0, 255).astype(np.uint8))


def still(data: bytes, side: int = SIDE, **options: object) -> NDArray[np.uint8]:
    pixels_FYX3 = model_pixels([data], "a.png", side, **options)  # type: ignore[arg-type]
    assert pixels_FYX3.shape == (1, side, side, 3)
    assert pixels_FYX3.dtype == np.uint8
    assert pixels_FYX3.flags.c_contiguous
    return pixels_FYX3[0]


def attempt(data: bytes, **options: object) -> NDArray[np.uint8] | None:
    """What is decoded, or None when it is refused in one line."""
    message = ""
    try:
        return model_pixels([data], "b", SIDE, **options)  # type: ignore[arg-type]
    except UserError as error:
        message = str(error)
    assert re.fullmatch(r"b: [^\n]{5,200}", message), message
    return None


def corners(pixels_YX3: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    return [tuple(int(value) for value in pixels_YX3[y, x]) for y, x in ((0, 0), (0, -1), (-1, 0), (-1, -1))]


def near(pixels: list[tuple[int, ...]], expected: list[tuple[int, ...]], within: int = 12) -> bool:
    return bool(np.abs(np.array(pixels) - np.array(expected)).max() <= within)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM"])
def test_decoding_reads_every_format(form: str) -> None:
    options = {"quality": 95} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}
    data = encoded(quarters(), form, **options)
    assert near(corners(still(data)), [RED, GREEN, BLUE, WHITE])
    assert check([data], "a") == (1, 32, 32)
    assert count_frames([data], "a") == 1
    assert display_pixels([data], "a").shape == (1, 32, 32, 3)


@pytest.mark.parametrize("form", ["ICO", "TGA", "PCX", "SGI", "EPS"])
def test_decoding_tries_no_formats_beyond_the_list(form: str) -> None:
    with pytest.raises(UserError, match=r"^a\.png: not an image"):
        still(encoded(quarters(), form))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I;16"])
def test_decoding_reads_every_mode_of_png(mode: str) -> None:
    grey = mode in ("1", "L", "LA", "I;16")
    if grey:
        values = np.repeat(np.array([[0, 0], [0, 255]], np.uint8), 16, 0).repeat(16, 1)
        image = Image.fromarray(
            values.astype(np.uint16) * 257 if mode == "I;16" else values.astype(np.uint8)
        ).convert(mode)
    else:
        image = quarters(mode=mode)
    expected = [(0, 0, 0)] * 3 + [WHITE] if grey else [RED, GREEN, BLUE, WHITE]
    assert corners(still(encoded(image))) == expected


def test_decoding_makes_transparent_pixels_white() -> None:
    clear = Image.new("RGBA", (16, 16), (255, 0, 0, 0))
    half = Image.new("RGBA", (16, 16), (0, 0, 0, 128))
    assert corners(still(encoded(clear))) == [WHITE] * 4
    assert near(corners(still(encoded(half))), [(127, 127, 127)] * 4, 1)
    assert corners(still(encoded(Image.new("LA", (16, 16), (0, 0))))) == [WHITE] * 4
    palette = Image.new("P", (16, 16), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.paste(1, (0, 0, 8, 16))
    for transparency in (0, b"\x00\xff"):  # one colour, or a byte a colour: Pillow warns of the latter
        assert corners(still(encoded(palette, transparency=transparency)))[::3] == [BLUE, WHITE]
    assert corners(still(encoded(Image.new("L", (16, 16), 7), transparency=7))) == [WHITE] * 4
    assert corners(still(encoded(Image.new("RGB", (16, 16), RED), transparency=RED))) == [WHITE] * 4


def test_decoding_scales_grey_of_16_and_32_bits_to_8() -> None:
    steps = np.linspace(0, 1, 16)[None].repeat(16, 0)

    def row(values: NDArray[np.generic], form: str = "TIFF") -> list[int]:
        return display_pixels([encoded(Image.fromarray(values), form)], "a")[0, 0, :, 0].tolist()

    expected = (steps[0] * 255).round().tolist()
    sixteen = (steps * 65535).astype(np.uint16)
    for form in ("TIFF", "PNG", "PPM"):
        assert row(sixteen, form) == (sixteen[0] >> 8).tolist()
    assert row((sixteen // 256).astype(np.int32)) == (sixteen[0] // 256).tolist()
    assert row((steps * 2_000_000_000 - 1_000_000_000).astype(np.int32)) == expected
    assert row((steps * 4 - 1).astype(np.float32)) == expected
    broken = (steps * 4 - 1).astype(np.float32)
    broken[3:] = np.nan
    broken[5] = np.inf
    assert row(broken) == expected
    assert row(np.full((16, 16), np.nan, np.float32)) == [0] * 16
    assert row(np.full((16, 16), 7, np.float32)) == [7] * 16


def test_decoding_does_not_invert_cmyk_photographs() -> None:
    photo = quarters(64)
    adobe = encoded(photo.convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in adobe
    assert near(corners(still(adobe)), [RED, GREEN, BLUE, WHITE])
    assert near(corners(still(encoded(photo.convert("CMYK"), "TIFF"))), [RED, GREEN, BLUE, WHITE])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (1, "rgbw"),
        (2, "grwb"),
        (3, "wbgr"),
        (4, "bwrg"),
        (5, "rbgw"),
        (6, "brwg"),
        (7, "wgbr"),
        (8, "gwrb"),
        (99, "rgbw"),
    ],
)
def test_decoding_applies_exif_orientation(form: str, orientation: int, expected: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    wide = Image.new("RGB", (64, 32), WHITE)
    wide.paste(quarters(64).resize((64, 32), Image.Resampling.NEAREST))
    data = encoded(wide, form, exif=exif, **({"quality": 95} if form in ("JPEG", "WEBP") else {}))
    colours = {"r": RED, "g": GREEN, "b": BLUE, "w": WHITE}
    assert near(corners(still(data)), [colours[letter] for letter in expected], 20)
    assert check([data], "a") == ((1, 32, 64) if 5 <= orientation <= 8 else (1, 64, 32))
    assert display_pixels([data], "a").shape[1:3] == ((64, 32) if 5 <= orientation <= 8 else (32, 64))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [*range(1, 9), 99])
def test_apply_exif_to_boxes_keeps_the_same_pixels(form: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    image, box = Image.new("RGB", (64, 48), WHITE), (8, 16, 40, 24)
    image.paste((0, 0, 0), box)
    data = encoded(image, form, exif=exif, **({"quality": 95} if form in ("JPEG", "WEBP") else {}))
    _, width, height = check([data], "a")
    ((word, left, top, right, bottom),) = apply_exif_to_boxes([data], "a", [Box(3, *box)], (width, height))
    assert word == 3
    dark_YX = display_pixels([data], "a")[0, :, :, 1] < 128
    expected_YX = np.zeros_like(dark_YX)
    expected_YX[int(top) : int(bottom), int(left) : int(right)] = True
    assert np.array_equal(dark_YX, expected_YX)


def test_decoding_refuses_a_jpeg_of_many_scans_at_once() -> None:
    """A scan takes a few bytes, and its decoding takes as long as an image."""
    sound = encoded(photograph(), "JPEG", quality=90, progressive=True)
    last = sound[sound.rindex(b"\xff\xda") : -2]
    assert still(sound[:-2] + 80 * last + b"\xff\xd9").shape == (SIDE, SIDE, 3)
    for read in (still, lambda data: count_frames([data], "a.png"), lambda data: check([data], "a.png")):
        with pytest.raises(
            UserError,
            match=r"^a\.png: a JPEG of more than 100 scans, each of which takes as long as an image$",
        ):
            read(sound[:-2] + 200 * last + b"\xff\xd9")
    film = bytes(np.random.default_rng(1).integers(0, 256, 50_000, np.uint8)) + 200 * b"\xff\xda\0\2"
    # of a camera that keeps one behind its photographs
    assert np.array_equal(still(sound + film), still(sound))
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + 800) + 200 * b"\xff\xda\0\2"
    assert np.array_equal(still(sound[:2] + thumbnail + sound[2:]), still(sound))


def test_decoding_ignores_damaged_exif() -> None:
    sound = encoded(quarters(), "JPEG", quality=95)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x05" + b"\xff" * 40
    broken = sound[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + sound[2:]
    assert near(corners(still(broken)), [RED, GREEN, BLUE, WHITE])


# What cannot be decoded


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", b"x")
        + chunk(b"IEND", b"")
    )


def webp_header(width: int, height: int) -> bytes:
    body = (
        b"VP8X"
        + struct.pack("<I", 10)
        + b"\0\0\0\0"
        + struct.pack("<I", width - 1)[:3]
        + struct.pack("<I", height - 1)[:3]
    )
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


SOUND = encoded(photograph(), "JPEG")
BAD: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "empty file"),
    "text": (b"It is no image, but a line of text.\n", "not an image"),
    "a page of the web": (b"<!DOCTYPE html><html><body>404</body></html>", "not an image"),
    "one byte": (b"P", "not an image"),
    "two bytes": (b"BM", "the image is"),
    "a signature alone": (b"\x89PNG\r\n\x1a\n", "the image is"),
    "a photograph's signature alone": (b"\xff\xd8\xff", "the image is"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "not an image"),
    "pdf": (b"%PDF-1.7\n", "not an image"),
    "a photograph, cut off": (SOUND[: len(SOUND) // 2], "the image is cut off"),
    "png, cut off": (encoded(photograph())[:2000], "the image is cut off"),
    "bmp, cut off": (encoded(photograph(), "BMP")[:2000], "the image is cut off"),
    "webp, cut off": (encoded(photograph(), "WEBP")[:500], "the image is damaged or cut off"),
    "png, damaged": (
        encoded(photograph())[:60] + b"\0" * 200 + encoded(photograph())[260:],
        "the image is damaged or cut off",
    ),
    "a bomb": (png_header(50_000, 50_000), "an image of 50,000 x 50,000 pixels; 64 million are the most"),
    "a larger bomb": (
        png_header(2**31 - 1, 2**31 - 1),
        "an image of 2,147,483,647 x 2,147,483,647 pixels; 64 million are the most",
    ),
    "a bomb between Pillow's two limits": (
        png_header(10_000, 10_000),
        "an image of 10,000 x 10,000 pixels; 64 million are the most",
    ),
    "a bomb of ppm": (b"P6 50000 50000 255\n", "an image of 50,000 x 50,000 pixels"),
    "a bomb of gif": (
        b"GIF89a"
        + struct.pack("<HH", 50_000, 50_000)
        + b"\0\0\0"
        + b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;",
        "an image of 50,000 x 50,000",
    ),
    "webp of a large canvas": (webp_header(50_000, 50_000), "the image is damaged or cut off"),
    "no pixels": (b"P6 0 10 255\n", "the image is"),
    "too many bytes": (SOUND + b"\0" * MOST_BYTES, "a file of more than 64 MiB"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("clip", [False, True], ids=["still", "clip"])
def test_decoding_refuses_other_content_in_one_line(name: str, clip: bool) -> None:
    data, message = BAD[name]
    actions: list[Callable[[], object]] = [
        lambda: model_pixels([data], "x/a.jpg", SIDE, clip=clip, frames=4),
        lambda: check([data], "x/a.jpg", clip=clip),
        lambda: display_pixels([data], "x/a.jpg", clip=clip),
    ]
    for action in actions:
        tracemalloc.start()
        with pytest.raises(UserError) as caught:
            action()
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        line = str(caught.value)
        assert line.startswith("x/a.jpg: ")
        assert message in line
        assert "\n" not in line
        assert len(line) < 250
        assert most < 20 << 20


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM"])
def test_decoding_refuses_a_cut_file_or_decodes_it_whole(form: str) -> None:
    data = encoded(photograph(23, 17), form)
    whole = still(data)
    refused = 0
    for end in range(0, len(data), 1 + len(data) // 300):
        pixels = attempt(data[:end])
        refused += pixels is None
        assert pixels is None or np.array_equal(pixels[0], whole), end
    assert refused > 200 or refused > 0.8 * len(data)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF", "PPM"])
def test_decoding_of_noise_gives_one_line_or_pixels(form: str) -> None:
    chance = np.random.default_rng(5)
    data = encoded(photograph(23, 17), form)
    for _ in range(200):
        broken = bytearray(data)
        for place in chance.integers(0, len(data) if chance.random() < 0.5 else 64, chance.integers(1, 8)):
            broken[min(place, len(data) - 1)] = chance.integers(256)
        for clip in (False, True):
            pixels = attempt(bytes(broken), clip=clip, frames=2)
            assert pixels is None or pixels.shape[1:] == (SIDE, SIDE, 3)


def test_decoding_bounds_do_not_depend_on_pillow_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not ImageFile.LOAD_TRUNCATED_IMAGES
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # whatever others set: the bound is ours
    assert still(encoded(quarters())).shape == (SIDE, SIDE, 3)


def test_decoding_silences_pillow_warnings() -> None:
    apng = bytearray(encoded(quarters(), save_all=True, append_images=[quarters().rotate(90)]))
    place = apng.index(b"acTL")
    apng[place + 4 : place + 8] = struct.pack(">I", 0)  # no frames: Pillow warns, and takes the first
    apng[place + 12 : place + 16] = struct.pack(">I", zlib.crc32(apng[place : place + 12]))
    with warnings.catch_warnings():
        still(bytes(apng))
        with warnings.catch_warnings(record=True) as records:
            warnings.simplefilter("always")  # a filter before ours
            assert still(bytes(apng)).shape == (SIDE, SIDE, 3)
    assert not records


def test_read_file_refuses_large_and_missing_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(SOUND)
    assert read_file(path) == SOUND
    with pytest.raises(UserError, match=r"none\.jpg: no such file"):
        read_file(tmp_path / "none.jpg")
    with pytest.raises(UserError, match="a folder where an image is wanted"):
        read_file(tmp_path)
    with pytest.raises(UserError, match="not a file where an image is wanted"):
        read_file(Path("/dev/zero"))
    with pytest.raises(UserError, match="null"):
        read_file(tmp_path / "a\0b")
    with pytest.raises(UserError, match="File name too long"):
        read_file(tmp_path / ("a" * 300))
    monkeypatch.setattr(files, "MOST_BYTES", 1 << 10)
    with pytest.raises(UserError, match=r"a\.jpg: a file of more than 0 MiB"):
        read_file(path)


# Clips

SHADES = [(value, 255 - value, 0) for value in (0, 60, 120, 180, 240)]


def moving(form: str, shades: list[tuple[int, int, int]] = SHADES) -> bytes:
    first, *others = [Image.new("RGB", (16, 16), shade) for shade in shades]
    options = {"lossless": True} if form == "WEBP" else {}
    return encoded(first, form, save_all=True, append_images=others, **options)


def shades(pixels_FYX3: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    return [corners(frame)[0] for frame in pixels_FYX3]


@pytest.mark.parametrize("form", ["GIF", "WEBP", "PNG", "TIFF"])
def test_model_pixels_of_an_animated_file_are_spread_frames(form: str) -> None:
    data = moving(form)
    assert count_frames([data], "a") == 5
    assert near(shades(model_pixels([data], "a", SIDE, clip=True, frames=8)), SHADES, 4)
    assert near(shades(model_pixels([data], "a", SIDE, clip=True, frames=3)), SHADES[::2], 4)
    assert near(shades(model_pixels([data], "a", SIDE, clip=True, frames=2)), SHADES[::4], 4)
    assert near(shades(model_pixels([data], "a", SIDE, clip=True, frames=1)), SHADES[:1], 4)
    assert near(shades(model_pixels([data], "a", SIDE)), SHADES[:1], 4)
    assert check([data], "a", clip=True) == (5, 16, 16)
    assert check([data], "a") == (1, 16, 16)
    assert display_pixels([data], "a", clip=True, longest=8).shape == (5, 8, 8, 3)


def test_model_pixels_draw_frames_over_earlier_frames() -> None:
    """A GIF's second frame is a patch over the first, on a clear ground: a person sees both."""
    first, second = Image.new("RGBA", (16, 16), RED), Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    second.paste(BLUE, (8, 8, 16, 16))
    for form in ("GIF", "PNG"):
        options = {"disposal": 1} if form == "GIF" else {"disposal": 0, "blend": 1}
        data = encoded(first, form, save_all=True, append_images=[second], duration=100, **options)
        frames = model_pixels([data], "a", SIDE, clip=True, frames=2)
        assert [corners(frame)[0] for frame in frames] == [RED, RED]
        assert [corners(frame)[3] for frame in frames] == [RED, BLUE]


def test_model_pixels_skip_the_default_image_of_an_animated_png() -> None:
    data = encoded(
        Image.new("RGB", (16, 16), WHITE),
        save_all=True,
        append_images=[Image.new("RGB", (16, 16), s) for s in SHADES],
        default_image=True,
    )
    assert shades(model_pixels([data], "a", SIDE, clip=True, frames=9)) == SHADES
    assert shades(model_pixels([data], "a", SIDE)) == [WHITE]
    assert count_frames([data], "a") == 5


@pytest.mark.parametrize("fit", FITS)
def test_model_pixels_of_a_folder_are_spread_frames(fit: str) -> None:
    content = [
        encoded(Image.new("RGB", (16 + number, 16), shade), "PNG") for number, shade in enumerate(SHADES)
    ]
    frames = model_pixels(content, "a", SIDE, fit, clip=True, frames=3)
    assert [tuple(frame[4, 4].tolist()) for frame in frames] == SHADES[::2]
    assert check(content, "a", clip=True) == (5, 16, 16)
    assert display_pixels(content, "a", clip=True).shape == (5, 16, 16, 3)
    assert count_frames(content, "a") == 5
    content[2] = SOUND[:300]
    with pytest.raises(UserError, match=r"^clips/7: frame 3: the image is cut off"):
        model_pixels(content, "clips/7", SIDE, clip=True, frames=5)
    with pytest.raises(UserError, match=r"^clips/7: no frames"):
        model_pixels([], "clips/7", SIDE, clip=True)


def test_model_pixels_of_a_still_are_a_clip_of_one_frame() -> None:
    assert model_pixels([SOUND], "a", SIDE, clip=True, frames=8).shape == (1, SIDE, SIDE, 3)
    two = encoded(photograph(), "MPO", save_all=True, append_images=[photograph().rotate(90)])
    assert count_frames([two], "a") == 1
    assert model_pixels([two], "a", SIDE, clip=True, frames=8).shape == (1, SIDE, SIDE, 3)


def test_model_pixels_refuse_clips_that_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    data = moving("GIF")
    monkeypatch.setattr(decoding, "MOST_FRAMES", 4)
    with pytest.raises(UserError, match=r"^a: a clip of more than 4 frames"):
        model_pixels([data], "a", SIDE, clip=True, frames=2)
    assert count_frames([data], "a") == 5
    monkeypatch.setattr(decoding, "MOST_FRAMES", 5)
    monkeypatch.setattr(decoding, "_MOST_WORK", 1000)
    with pytest.raises(
        UserError, match=r"^a: a clip of 5 frames of 16 x 16 pixels; 0 million pixels are the most"
    ):
        model_pixels([data], "a", SIDE, clip=True, frames=2)
    assert model_pixels([data], "a", SIDE).shape == (1, SIDE, SIDE, 3)
    monkeypatch.undo()
    monkeypatch.setattr(opening, "MOST_PIXELS", 16 * 16 * 2)
    assert display_pixels([data], "a", clip=True).shape == (5, 10, 10, 3)
    large = encoded(
        Image.new("RGB", (16, 16)), "TIFF", save_all=True, append_images=[Image.new("RGB", (64, 64))]
    )
    with pytest.raises(UserError, match=r"^a: an image of 64 x 64 pixels"):
        check([large], "a", clip=True)


def test_check_bounds_pages_larger_than_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encoded(
        Image.new("RGB", (1, 1)), "TIFF", save_all=True, append_images=[Image.new("RGB", (64, 64))] * 6
    )
    assert check([data], "a", clip=True) == (7, 1, 1)
    monkeypatch.setattr(decoding, "_MOST_WORK", 3 * 64 * 64)
    with pytest.raises(UserError, match=r"^a: a clip of more than 0 million pixels, all frames together$"):
        check([data], "a", clip=True)


def test_count_frames_stops_at_its_bound() -> None:
    image = b",\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0"
    endless = b"GIF89a" + struct.pack("<HH", 1, 1) + b"\x80\0\0" + b"\0" * 6 + image * 3_000_000 + b";"
    assert count_frames([endless], "a") == decoding.MOST_FRAMES + 1
    assert still(endless).shape == (SIDE, SIDE, 3)
    with pytest.raises(UserError, match=r"^a: a clip of more than 256 frames$"):
        check([endless], "a", clip=True)


@pytest.mark.slow
def test_model_pixels_of_a_cut_clip_are_its_first_frames_or_refused() -> None:
    for form in ("GIF", "WEBP", "PNG", "TIFF"):
        data = moving(form)
        whole = model_pixels([data], "a", SIDE, clip=True, frames=9)
        for end in range(0, len(data), 3):
            pixels = attempt(data[:end], clip=True, frames=9)
            assert pixels is None or np.array_equal(pixels, whole[: len(pixels)]), (form, end)


# Sizes


def test_fit_crops_pads_or_stretches_to_a_square() -> None:
    """Left third red, middle green, right third blue, three times as wide as high."""
    wide = Image.new("RGB", (96, 32), GREEN)
    wide.paste(RED, (0, 0, 32, 32))
    wide.paste(BLUE, (64, 0, 96, 32))
    for image, turn in ((wide, False), (wide.transpose(Image.Transpose.TRANSPOSE), True)):
        data = encoded(image)
        pixels = {fit: still(data, 24, fit=fit) for fit in FITS}
        pixels = {fit: value.transpose(1, 0, 2) if turn else value for fit, value in pixels.items()}
        assert [tuple(pixels["stretch"][y, x].tolist()) for y in (0, 23) for x in (1, 12, 22)] == [
            RED,
            GREEN,
            BLUE,
        ] * 2
        assert near([tuple(pixels["crop"][y, x].tolist()) for y in (0, 23) for x in (1, 22)], [GREEN] * 4, 3)
        assert [tuple(pixels["pad"][y, x].tolist()) for y in (7, 16) for x in (0, 23)] == [GREY] * 4
        assert [tuple(pixels["pad"][12, x].tolist()) for x in (1, 12, 22)] == [RED, GREEN, BLUE]


def test_decoding_scales_thin_images() -> None:
    for size in ((5000, 1), (1, 5000)):
        data = encoded(Image.new("RGB", size, RED))
        for fit in FITS:
            pixels = still(data, 24, fit=fit)
            assert (pixels == np.array(RED)).all(-1).any()
        assert max(display_pixels([data], "a", longest=100).shape) == 100


def test_decoding_reduces_large_photographs_alike() -> None:
    photo = photograph(640, 480)
    full = np.asarray(photo.resize((24, 24), Image.Resampling.BICUBIC)).astype(int)
    pixels = still(encoded(photo, "JPEG", quality=95), 24).astype(int)
    assert np.abs(pixels - full).mean() < 4
    fine = np.zeros((512, 512), np.uint8)
    fine[:, ::2] = 255  # one pixel wide: without antialiasing any grey but the middle one
    assert near(corners(still(encoded(Image.fromarray(fine)), 32)), [(128, 128, 128)] * 4, 3)


def test_display_pixels_are_scaled_down() -> None:
    assert display_pixels([SOUND], "a").shape == (1, 61, 97, 3)
    assert display_pixels([SOUND], "a", longest=50).shape == (1, 31, 50, 3)
    assert np.array_equal(display_pixels([encoded(quarters())], "a")[0], np.asarray(quarters()))


# Changes


def test_augmentation_is_a_function_of_the_seed() -> None:
    data = encoded(photograph())
    augmentation = Augmentation(max_crop=0.3, flip=True, color_jitter=0.3)
    pixels = [still(data, 24, augmentation=augmentation, seed=seed) for seed in range(8)]
    again = [still(data, 24, augmentation=augmentation, seed=seed) for seed in range(8)]
    assert all(np.array_equal(one, other) for one, other in zip(pixels, again, strict=True))
    assert all(not np.array_equal(pixels[0], other) for other in pixels[1:])
    assert np.array_equal(still(data, 24, augmentation=Augmentation(), seed=3), still(data, 24))


@pytest.mark.parametrize("fit", FITS)
def test_crop_is_within_bounds(fit: str) -> None:
    """Every pixel's colour is its place: what is kept can be read off the corners."""
    y, x = np.mgrid[0:256, 0:256]
    data = encoded(Image.fromarray(np.stack([x, y, x * 0], -1).astype(np.uint8)))
    variants = set()
    for seed in range(40):
        pixels = still(data, 64, fit=fit, augmentation=Augmentation(max_crop=0.25), seed=seed).astype(int)
        (left, top), (right, bottom) = pixels[0, 0, :2], pixels[-1, -1, :2]
        assert 0.74 * 256 - 6 <= right - left <= 256
        assert abs((right - left) - (bottom - top)) <= 3
        variants.add((left, top, right - left))
    assert len(variants) > 30


def test_flip_happens_half_the_time_and_changes_nothing_else() -> None:
    data = encoded(quarters())
    pixels = [
        tuple(corners(still(data, augmentation=Augmentation(flip=True), seed=seed))) for seed in range(200)
    ]
    assert set(pixels) == {(RED, GREEN, BLUE, WHITE), (GREEN, RED, WHITE, BLUE)}
    assert 70 < pixels.count((RED, GREEN, BLUE, WHITE)) < 130


def test_color_jitter_is_within_bounds_and_leaves_padding() -> None:
    data = encoded(Image.new("RGB", (32, 16), (120, 90, 60)))
    variants = set()
    for seed in range(50):
        pixels = still(data, 16, fit="pad", augmentation=Augmentation(color_jitter=0.2), seed=seed)
        assert tuple(pixels[0, 0].tolist()) == GREY
        red, green, blue = (int(value) for value in pixels[8, 8])
        assert 60 < red < 180
        assert red > green > blue
        variants.add((red, green, blue))
    assert len(variants) > 40


def test_augmentation_is_the_same_for_all_frames() -> None:
    one = encoded(photograph())
    frames = model_pixels(
        [one] * 4, "a", 24, clip=True, frames=4, augmentation=Augmentation(0.3, True, 0.3), seed=1
    )
    assert all(np.array_equal(frames[0], frame) for frame in frames)


def test_decoding_in_threads_gives_equal_pixels() -> None:
    data = [
        encoded(photograph(200 + number, 100), form)
        for number, form in enumerate(["JPEG", "PNG", "GIF", "WEBP"] * 4)
    ]
    alone = [still(one, 32) for one in data]
    pixels: list[NDArray[np.uint8] | None] = [None] * len(data)

    def work(number: int) -> None:
        pixels[number] = still(data[number], 32)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(data))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(
        other is not None and np.array_equal(one, other) for one, other in zip(alone, pixels, strict=True)
    )


# What is no image, and what is large


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"<!DOCTYPE html><html><body>404</body></html>", "HTML, a page of the web"),
        (b"\xef\xbb\xbf  <html lang='en'>", "HTML"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?><note/>', "XML"),
        (b'{"file_name": "a.png"}', "JSON"),
        ("eine Zeile, mit Umläuten\n".encode() * 40, "text"),
        (b"a\0l\0l\0", None),
        (b"\xff\xfea\0", "text of UTF-16"),
        (b"PK\x03\x04" + bytes(30), "a zip archive"),
        (gzip.compress(b"x", mtime=0), "a gzip file"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0", "HEIF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF"),
        (b"\0\0\0\x18ftypcrx \0\0\0\1", "a RAW photograph"),
        (b"\0\0\0\x18ftypisom\0\0\0\1", "a film"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x0a\x00", "JPEG XL"),
        (b"8BPS\0\1", "PSD"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"icns\0\0", "ICNS"),
        (b"II*\0\x10\0\0\0CR\x02\0" + bytes(20), None),
        (b"FUJIFILMCCD-RAW 0201", "a RAW photograph"),
        (b"RIFF\0\0\0\0AVI LIST", "a film"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
        (b"PAR1\x15\x04", "a Parquet table"),
        (bytes(100), None),
        (bytes(range(128, 256)), None),
    ],
)
def test_decoding_names_unsupported_formats(data: bytes, what: str | None) -> None:
    with pytest.raises(UserError) as caught:
        still(data)
    line = str(caught.value)
    if what is not None:
        assert line.startswith(f"a.png: not an image that is read, but {what}")
    if "damaged" not in line:
        assert line.startswith("a.png: not an image")
        assert line.endswith("(PNG, JPEG, GIF, WEBP, BMP, TIFF, PPM are read)")


def test_decoding_refuses_a_raw_photograph() -> None:
    line = r"^a\.png: not an image that is read, but a RAW photograph"
    with pytest.raises(UserError, match=line):
        still(tiff(4, 4, 8, bytes(4), tag50706=1025))  # of Adobe, Leica, Pentax, telephones
    with pytest.raises(UserError, match=line):
        still(tiff(4, 4, 8, bytes(4), tag254=1, tag330=8))  # of Nikon, Sony
    assert still(tiff(4, 4, 8, bytes(4))).shape == (SIDE, SIDE, 3)


def tiff(width: int, height: int, bits: int, row: bytes, form: int = 1, **more: int) -> bytes:
    """Grey, every row the same, each a strip of its own in the same place: a few kilobytes for as many pixels
    as there may be.
    """
    packed = zlib.compress(row, 9)
    count, first = height, 8 + len(packed)
    rows = more.pop("rows", 1)
    strips = -(-count // rows)
    entries = {
        256: (4, 1, width),
        257: (4, 1, height),
        258: (3, 1, bits),
        259: (3, 1, 8),
        262: (3, 1, 1),
        273: (4, strips, first if strips > 1 else 8),
        277: (3, 1, 1),
        278: (4, 1, rows),
        279: (4, strips, first + 4 * strips if strips > 1 else len(packed)),
        339: (3, 1, form),
    } | {int(tag.removeprefix("tag")): (4, 1, value) for tag, value in more.items()}
    tables = struct.pack(f"<{strips}I", *[8] * strips) + struct.pack(f"<{strips}I", *[len(packed)] * strips)
    directory = struct.pack("<H", len(entries))
    for tag, (kind, number, value) in sorted(entries.items()):
        directory += struct.pack("<HHII", tag, kind, number, value)
    place = first + len(tables)
    return b"II*\0" + struct.pack("<I", place) + packed + tables + directory + bytes(4)


MEASURE = f"""
import sys
from seq2attn.data.images.pixels import model_pixels
from seq2attn.errors import UserError
data = sys.stdin.buffer.read()
before = {PEAK}
try:
    print(model_pixels([data], "a", 8)[0, 0, :, 0].tolist())
except UserError as error:
    print(error)
print(({PEAK} - before) // 1024)
"""


def measured(data: bytes) -> tuple[str, int]:
    """What becomes of an image in a process of its own, and how many MiB it takes there."""
    environment = os.environ | {"PYTHONPATH": str(Path(decoding.__file__).parents[3])}
    ended = subprocess.run(
        [sys.executable, "-c", MEASURE], input=data, capture_output=True, check=True, env=environment
    )
    text, size = ended.stdout.decode().splitlines()
    return text, int(size)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bits", "form", "kind"),
    [
        (32, 3, "<f4"),
        pytest.param(32, 2, "<i4", marks=pytest.mark.slow),
        pytest.param(16, 1, "<u2", marks=pytest.mark.slow),
    ],
)
def test_decoding_of_a_large_grey_image_needs_little_memory(bits: int, form: int, kind: str) -> None:
    width, height = 8000, 7999
    row = np.linspace(0, 60_000, width).astype(kind).tobytes()
    text, size = measured(tiff(width, height, bits, row, form))
    values = json.loads(text)
    assert len(values) == 8
    assert values == sorted(values)
    assert values[0] < 40
    assert values[-1] > 200
    assert size < 800


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (
            tiff(16, 16, 8, bytes(256), rows=16, tag322=60_000, tag323=60_000),
            "a TIFF in pieces of 3,433 MiB; 512 MiB are the most",
        ),
        (tiff(8000, 7999, 8, bytes(100), rows=1 << 30), "damaged"),
        (
            b"P5 8000 7999 100\n" + bytes(1000),
            "a PPM as text or of an odd range of 63,992,000 values; 8 million are the most",
        ),
        (b"P2 8000 7999 255\n" + b"1 " * 1000, "a PPM as text or of an odd range"),
        (b"P6 2147483647 2147483647 255\n", "64 million are the most"),
        (b"P5 " + b"9" * 100 + b" 1 255\n", "damaged"),
    ],
)
def test_decoding_refuses_huge_headers_before_it_unpacks(data: bytes, text: str) -> None:
    line, size = measured(data)
    assert text in line
    assert size < 300


def test_decoding_of_grey_does_not_depend_on_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(0)
    shape = (37, 53)
    floats = np.where(chance.random(shape) < 0.1, np.nan, chance.normal(size=shape) * 1e30).astype(np.float32)
    whole = chance.integers(-(2**31), 2**31, shape).astype(np.int32)
    sixteen = chance.integers(0, 65536, shape).astype(np.uint16)
    for values in (floats, whole, np.abs(whole) % 65_000, sixteen):
        data = encoded(Image.fromarray(values), "TIFF")
        before = display_pixels([data], "a")
        with monkeypatch.context() as patch:
            patch.setattr(rgb, "_TILE", 20)
            assert np.array_equal(display_pixels([data], "a"), before)
    finite = floats[np.isfinite(floats)].astype(np.float64)
    low, high = finite.min(), finite.max()
    expected = (
        np.nan_to_num((floats.astype(np.float64) - low) * (255 / (high - low)), nan=0)
        .round()
        .astype(np.uint8)
    )
    assert np.array_equal(
        display_pixels([encoded(Image.fromarray(floats), "TIFF")], "a")[0, :, :, 0], expected
    )


def test_decoding_of_large_images_waits_for_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads together hold no more than the room that there is, or one image that needs more."""
    data = [encoded(photograph(400, 300), form) for form in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP")]
    alone = [still(one) for one in data]
    held, most = [0], [0]
    lock = threading.Lock()
    before = decoding._decoded

    def counted(image: Image.Image) -> Image.Image:
        with lock:
            held[0] += 1
            most[0] = max(most[0], held[0])
        try:
            return before(image)
        finally:
            with lock:
                held[0] -= 1

    monkeypatch.setattr(decoding, "_decoded", counted)
    monkeypatch.setattr(decoding, "_SMALL", 0)
    monkeypatch.setattr(decoding, "_BUDGET", MemoryBudget(1))
    with ThreadPoolExecutor(8) as pool:
        pixels = list(pool.map(still, data * 5))
    assert all(np.array_equal(one, other) for one, other in zip(pixels, alone * 5, strict=True))
    assert most[0] == 1
    with pytest.raises(UserError, match=r"cut off|damaged"):
        still(data[0][:500])
    assert still(data[0]).shape == (SIDE, SIDE, 3)  # what failed gave its room back
