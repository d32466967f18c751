"""Attention of captions as one HTML page to explore.

The reader points at a word, and its weights light up the image, or at the image, and the words that attend
there stand out. A clip shows its frames in a row, each with a bar. This module knows pixels, words and
weights, and no model.
"""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from seq2attn.errors import UsageError
from seq2attn.plotting import html_page, spotlight
from seq2attn.plotting.html_fragment import frame, lines_of

_MAX_SIDE, _MAX_FRAME_SIDE = 768, 240  # pixels of the longer side of an image and of a frame
_CRISP = 160  # pixels; an image that is smaller shows its pixels as squares
# In a notebook images are smaller: the dots that they take, and the pixels that they have, at most.
_SMALL_SIDE, _SMALL_FRAME = 390, 156
_FEW, _FEW_OF_FRAME = 480, 160
_HOW = (
    "Point at a word, or move with the arrow keys: the image is lit where the word attends. "
    "Point at the image: the words that attend there. A click pins a word until the next."
)


class CaptionAttention(NamedTuple):
    """An image or a clip with the attention of its caption. Pixels are uint8.

    An image is (Y, X, 3) and has `weights` (words, rows * columns) over the cells of `grid`. A clip is (F, Y,
    X, 3) and has weights (words, F) and no grid.
    """

    pixels: np.ndarray
    words: Sequence[str]
    weights: np.ndarray
    grid: tuple[int, int] | None
    name: str = ""


def save(images: Sequence[CaptionAttention], path: Path, title: str = "Attention") -> None:
    """Write the page to `path`, whole or not at all. Raises UsageError if a shape does not fit."""
    html_page.write(render(images, title), path)


def fragment(image: CaptionAttention) -> str:
    """A small page of one image, in a frame that a notebook shows. Errors: see `render`."""
    high, wide = image.pixels.shape[-3:-1]
    longest = wide if image.grid is None else max(high, wide)
    picture = _SMALL_FRAME * high / longest + 60 if image.grid is None else _SMALL_SIDE * high / longest
    return frame(render([image], small=True), round(picture) + 46 + 41 * lines_of(image.words))


def render(images: Sequence[CaptionAttention], title: str = "Attention", *, small: bool = False) -> str:
    """The page as text; a `small` one is for a notebook. Raises UsageError if a shape does not fit."""
    sections = [_section(image, number, small) for number, image in enumerate(images)]
    weights = [
        [
            *(image.grid or (0, 0)),
            spotlight.scale_max(image.weights),
            np.round(np.asarray(image.weights, dtype=np.float64), 5).tolist(),
        ]
        for image in images
    ]
    values = {"gamma": spotlight.GAMMA, "warm": ", ".join(map(str, spotlight.WARM))}
    return html_page.page(title, _HOW, sections, weights, "overlay", images=True, values=values, small=small)


def _section(image: CaptionAttention, number: int, small: bool) -> str:
    clip = image.grid is None
    pixels, weights = image.pixels, np.asarray(image.weights, dtype=np.float64)
    if pixels.ndim != 3 + clip or pixels.shape[-1] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        shape = "a clip is (F, Y, X, 3)" if clip else "an image is (Y, X, 3)"
        raise UsageError(f"pixels of shape {pixels.shape}, {pixels.dtype}: {shape}, uint8")
    positions = len(pixels) if image.grid is None else image.grid[0] * image.grid[1]
    if weights.shape != (len(image.words), positions) or not np.isfinite(weights).all():
        raise UsageError(
            f"weights of shape {weights.shape} for {len(image.words)} words and "
            f"{positions} {'frames' if clip else 'cells'}: "
            "they need a row of finite numbers for each word and a column for each position"
        )
    full = f"full {'bar' if clip else 'light'}: weight {spotlight.scale_max(weights):g}"
    return "\n".join(
        [
            f'<section data-image="{number}">',
            *([f"<h2>{html_page.text(image.name)}</h2>"] if image.name else []),
            _frames(pixels, _FEW_OF_FRAME if small else _MAX_FRAME_SIDE)
            if clip
            else _stage(pixels, _FEW if small else _MAX_SIDE),
            html_page.line("caption", image.words),
            f'<p class="how">{full}</p>',
            "</section>",
        ]
    )


def _stage(pixels: np.ndarray, longest: int) -> str:
    high, wide = pixels.shape[:2]
    style = f"aspect-ratio: {wide} / {high}; max-width: {30 * wide / max(high, wide):.2f}rem"
    return f'<div class="stage" style="{style}">{_image(pixels, longest)}<canvas></canvas></div>'


def _frames(pixels: np.ndarray, longest: int) -> str:
    figures = "".join(
        f"<figure>{_image(frame, longest)}<figcaption>{number}<small></small></figcaption><i></i></figure>"
        for number, frame in enumerate(pixels, 1)
    )
    return f'<div class="strip">{figures}</div>'


def _image(pixels: np.ndarray, longest: int) -> str:
    image = Image.fromarray(pixels)
    image.thumbnail((longest, longest))
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    crisp = ' class="crisp"' if max(image.size) < _CRISP else ""
    return (
        f'<img{crisp} alt="" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode("ascii")}">'
    )
