"""Attention of a caption as a small page to explore, which a notebook shows in a cell.

The reader points at a word, and its weights light up the image, or at the image, and the words that attend
there stand out. A clip shows its frames in a row, each with a bar. This module knows pixels, words and
weights, and no model.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seq2attn.data.images.data_uris import data_uri, is_crisp
from seq2attn.errors import UsageError
from seq2attn.plotting import html_page, spotlight
from seq2attn.plotting.html_fragment import frame, lines_of

_SMALL_SIDE, _SMALL_FRAME = 390, 156  # dots that an image and a frame take, at most
_MOST, _MOST_OF_FRAME = 480, 160  # pixels that they have


class CaptionAttention(NamedTuple):
    """An image or a clip with the attention of its caption. Pixels are uint8.

    An image is (Y, X, 3) and has `weights` (words, rows * columns) over the cells of `grid`. A clip is (F, Y,
    X, 3) and has weights (words, F) and no grid.
    """

    pixels: np.ndarray
    words: Sequence[str]
    weights: np.ndarray
    grid: tuple[int, int] | None


def fragment(image: CaptionAttention) -> str:
    """A small page of one image, in a frame that a notebook shows. Errors: see `render`."""
    high, wide = image.pixels.shape[-3:-1]
    longest = wide if image.grid is None else max(high, wide)
    picture = _SMALL_FRAME * high / longest + 60 if image.grid is None else _SMALL_SIDE * high / longest
    return frame(render(image), round(picture) + 46 + 41 * lines_of(image.words))


def render(image: CaptionAttention) -> str:
    """The page as text. Raises UsageError if a shape does not fit."""
    section = _section(image)
    weights = [
        *(image.grid or (0, 0)),
        spotlight.scale_max(image.weights),
        np.round(np.asarray(image.weights, dtype=np.float64), 5).tolist(),
    ]
    values = {"gamma": spotlight.GAMMA, "warm": ", ".join(map(str, spotlight.WARM))}
    return html_page.page(
        "Attention", "", [section], weights, "overlay", images=True, values=values, small=True
    )


def _section(image: CaptionAttention) -> str:
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
            "<section>",
            _frames(pixels) if clip else _stage(pixels),
            html_page.line("caption", image.words),
            f'<p class="how">{full}</p>',
            "</section>",
        ]
    )


def _stage(pixels: np.ndarray) -> str:
    high, wide = pixels.shape[:2]
    style = f"aspect-ratio: {wide} / {high}; max-width: {30 * wide / max(high, wide):.2f}rem"
    return f'<div class="stage" style="{style}">{_image(pixels, _MOST)}<canvas></canvas></div>'


def _frames(pixels: np.ndarray) -> str:
    figures = "".join(
        f"<figure>{_image(frame, _MOST_OF_FRAME)}"
        f"<figcaption>{number}<small></small></figcaption><i></i></figure>"
        for number, frame in enumerate(pixels, 1)
    )
    return f'<div class="strip">{figures}</div>'


def _image(pixels: np.ndarray, longest: int) -> str:
    crisp = ' class="crisp"' if is_crisp(pixels.shape[:2]) else ""
    return f'<img{crisp} alt="" src="{data_uri(pixels, longest)}">'
