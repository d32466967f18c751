"""Encoded images and clips to pixels: resized for a model, or as a person sees them."""

from collections.abc import Sequence
from contextlib import closing

import numpy as np
from PIL import Image

from seq2attn.data.images import decoding, opening
from seq2attn.data.images.augmentation import Augmentation, flip_and_recolour, sample_change
from seq2attn.data.images.decoding import count_frames, load_frames
from seq2attn.data.images.opening import one_line_errors
from seq2attn.data.images.resizing import FITS, REDUCING_GAP, Pixels, pad, resize


def model_pixels(
    content: Sequence[bytes],
    where: str,
    side: int,
    fit: str = "stretch",
    *,
    clip: bool = False,
    frames: int = 1,
    augmentation: Augmentation | None = None,
    seed: int | None = None,
) -> Pixels:
    """The RGB pixels (F, side, side, 3) of a still (F = 1) or a clip.

    Of a clip these are at most `frames` frames, evenly spaced, with the first and the last. `fit` is
    "stretch" (both sides to `side`), "crop" (the shorter side to `side`, and then the middle) or "pad" (the
    longer side to `side`, and then GREY around it). With `augmentation` the result depends on `seed`. Raises
    UserError, one line that starts with `where`, if the content is no image that can be decoded.
    """
    if fit not in FITS:
        raise ValueError(fit)
    change = sample_change(augmentation, seed)
    enough = int(side * REDUCING_GAP / max(change.keep, 0.1)) + 1
    resized = []
    with closing(load_frames(content, where, clip, frames if clip else 1, enough)) as images:
        for image in images:
            with one_line_errors(where):
                resized.append(pad(flip_and_recolour(resize(image, side, fit, change), change), side))
    return np.stack(resized)


def display_pixels(
    content: Sequence[bytes], where: str, *, clip: bool = False, longest: int = 1024
) -> Pixels:
    """The RGB pixels (F, Y, X, 3) as a person sees them.

    The longer side is at most `longest`, and smaller if many frames would be too many pixels together. Frames
    of another size than the first are stretched to it. Raises UserError as `model_pixels` does.
    """
    scaled: list[Pixels] = []
    size = (0, 0)
    count = min(count_frames(content, where), decoding.MOST_FRAMES) if clip else 1
    with closing(load_frames(content, where, clip, count, longest)) as images:
        for image in images:
            with one_line_errors(where):
                if not scaled:
                    size = _display_size(image, count, longest)
                if image.size != size:
                    image = image.resize(size, Image.Resampling.BICUBIC, reducing_gap=REDUCING_GAP)
                scaled.append(np.asarray(image))
    return np.stack(scaled)


def _display_size(image: Image.Image, frames: int, longest: int) -> tuple[int, int]:
    share = (
        opening.MOST_PIXELS / frames / (image.width * image.height)
    )  # share of the pixels that all frames together may have
    scale = min(1.0, longest / max(image.size), share**0.5)
    return max(1, int(image.width * scale + 0.5)), max(1, int(image.height * scale + 0.5))
