"""The attention of a caption as rows to draw, one for each word, and the pixels of the image below them."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2attn.data.languages import unspaced
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.attention_file import END
from seq2attn.plotting import words as tokens

if TYPE_CHECKING:
    from seq2attn.inference.results import Caption

# An image as a caller has it: a file or a folder of frames, the content of a file, or pixels.
Image = str | os.PathLike[str] | bytes | NDArray[np.uint8]


class Rows(NamedTuple):
    """What to draw of a caption."""

    labels: list[str]  # words and punctuation, or subwords and the end token
    weights: NDArray[np.floating[Any]]  # (labels, positions)
    of_words: list[int]  # the row of each word between white space; empty for subwords
    subwords: bool


def caption_tokens(caption: "Caption") -> tuple[list[str], NDArray[np.floating[Any]], list[int]]:
    """The words and punctuation of a caption, their weights (tokens, positions), and the token of each word.

    The words are those between white space. An empty caption gives empty results.
    """
    weights_PS = caption.subword_attention
    if weights_PS is not None and (view := tokens.of_caption(caption.words, caption.subwords, weights_PS)):
        return view.tokens, view.weights, view.of_words
    weights_TS = np.zeros((0, 0)) if caption.attention is None else caption.attention
    return caption.words, weights_TS, list(range(len(caption.words)))


def rows(caption: "Caption", words: bool | None = None) -> Rows:
    """The rows of a caption: words and punctuation or, without `words`, subwords and the end token.

    None chooses words, but subwords for a language without spaces between its words. Raises UserError if the
    caption is empty or has no attention.
    """
    if not caption.words:
        raise UserError("nothing to draw: the caption is empty; force a `target` on the model")
    if caption.subword_attention is None:
        raise UsageError(
            "this caption has no attention: caption with attention=True, by a model that has some",
            setting="attention",
        )
    if words is None:
        words = not unspaced(caption.words)
    if not words:
        return Rows([*caption.subwords, END], caption.subword_attention, [], True)
    return Rows(*caption_tokens(caption), False)


def pixels(caption: "Caption", image: Image | None = None) -> NDArray[np.uint8]:
    """The frames (F, Y, X, 3), uint8, that the model saw; a still has one.

    `image` is a path, the bytes of a file, or pixels (Y, X, 3), of a clip (F, Y, X, 3), uint8; None: the path
    that was captioned. Raises UsageError if the caption knows none, and UserError, which names the file, if
    it cannot be read.
    """
    from seq2attn.data.images.files import content_of
    from seq2attn.data.images.visible import View, part_of, visible_part

    clip = caption.grid is None
    view = caption.view or View("stretch", 1 << 20 if clip else 1)
    if isinstance(image, np.ndarray):
        frames = image if clip else image[None]
        if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not frames.size:
            shape = "(F, Y, X, 3)" if clip else "(Y, X, 3)"
            raise UsageError(
                f"image of shape {image.shape}, {image.dtype}: pixels have shape {shape}, uint8",
                setting="image",
            )
        return part_of(frames, view).pixels_FYX3
    if image is None:
        if caption.image is None:
            raise UsageError(
                "image: this caption was made from bytes or pixels and does not know its file; give it",
                setting="image",
            )
        image = caption.image
    content: Sequence[bytes] = [image] if isinstance(image, bytes) else content_of(Path(image), clip)
    where = "image" if isinstance(image, bytes) else os.fspath(image)
    return visible_part(content, where, view).pixels_FYX3
