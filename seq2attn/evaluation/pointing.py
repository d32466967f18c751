"""The pointing game: whether attention at a caption word lies in the box of the thing that the word names.

It follows Zhang et al. 2016 (arXiv 1608.00507). The cell with the largest weight should lie in the box, as
the model's square view shows it. This module knows no model and no image, only sizes.
"""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from seq2attn.errors import UserError
from seq2attn.evaluation.alignment import percent

Fit = Literal["stretch", "crop", "pad"]  # how an image becomes a square
# number of the word, left, top, right, bottom in pixels of the image; right and bottom are outside
Box = tuple[int, float, float, float, float]
Sides = tuple[float, float, float, float]  # left, top, right, bottom


class Counts(NamedTuple):
    """The counts of one caption.

    `words` is the number of words with boxes, `hits` how many of them point at their box, `chances` how many
    a random cell would hit, and `left_out` the number of boxes that no cell can hit.
    """

    hits: float
    chances: float
    words: int
    left_out: int


class Pointing(NamedTuple):
    """Shares from 0 to 1 over `words`; None if there are none.

    The accuracy is the share of words whose largest weight is in their box; chance is that of a random cell.
    """

    accuracy: float | None
    chance: float | None
    words: int
    left_out: int  # boxes that hold no cell's centre, or lie outside the view

    def __str__(self) -> str:
        counts = f"({self.words:,} words, {self.left_out:,} boxes left out)"
        return f"pointing {percent(self.accuracy)}  chance {percent(self.chance)}  {counts}"


def in_view(box: Sides, size: tuple[float, float], side: float, fit: Fit) -> Sides:
    """A box of an image in the model's square view of `side` pixels. Parts of it may be outside.

    `box` and the result are (left, top, right, bottom). `size` is the (width, height) of the image. With
    "stretch", both sides become `side`. With "crop", the shorter side becomes `side`, and the view is the
    middle. With "pad", the longer side becomes `side`, and the image is in the middle of the view.
    """
    if fit not in get_args(Fit):
        raise ValueError(f"fit {fit!r}: choose {', '.join(get_args(Fit))}")
    width, height = size
    if fit == "stretch":
        across, down = side / width, side / height
    else:
        across = down = side / (min(size) if fit == "crop" else max(size))
    x, y = (side - width * across) / 2, (side - height * down) / 2
    left, top, right, bottom = box
    return left * across + x, top * down + y, right * across + x, bottom * down + y


def pointing(
    weights_TS: NDArray[np.floating],
    grid: tuple[int, int],
    size: tuple[float, float],
    side: float,
    fit: Fit,
    boxes: Sequence[Box],
    where: str = "boxes",
) -> Counts:
    """The counts of one caption.

    The weights are those of its T words over a row-major `grid` (h, w), with S = h * w. `size` is the (width,
    height) of the image in pixels of the boxes. A word with several boxes may point at any of them. Each of
    several equal largest weights counts its share. Raises UserError, which begins with `where`, for a box of
    a word that the caption does not have.
    """
    h, w = grid
    words, cells = weights_TS.shape
    if cells != h * w:
        raise ValueError(f"{cells} weights a word on a grid of {h} x {w}")
    if not np.isfinite(weights_TS).all():
        raise ValueError("weights are not all finite")
    y_S = np.repeat((np.arange(h) + 0.5) * side / h, w)
    x_S = np.tile((np.arange(w) + 0.5) * side / w, h)
    inside: dict[int, NDArray[np.bool_]] = {}
    left_out = 0
    for word, *sides in boxes:
        if not 0 <= word < words:
            raise UserError(
                f"{where}: a box names word {word} (counted from 0), but the caption has {words} words"
            )
        left, top, right, bottom = in_view((sides[0], sides[1], sides[2], sides[3]), size, side, fit)
        held_S = (left <= x_S) & (x_S < right) & (top <= y_S) & (y_S < bottom)
        if held_S.any():
            inside[word] = inside.get(word, np.zeros(cells, dtype=bool)) | held_S
        else:
            left_out += 1
    hits = chances = 0.0
    for word, held_S in inside.items():
        largest_S = weights_TS[word] == weights_TS[word].max()
        hits += float(held_S[largest_S].mean())
        chances += float(held_S.mean())
    return Counts(hits, chances, len(inside), left_out)


def total(counts: Iterable[Counts]) -> Pointing:
    """The shares over all captions. Every word counts the same."""
    captions = list(counts)
    words, left_out = sum(each.words for each in captions), sum(each.left_out for each in captions)
    if not words:
        return Pointing(None, None, 0, left_out)
    return Pointing(
        sum(each.hits for each in captions) / words,
        sum(each.chances for each in captions) / words,
        words,
        left_out,
    )
