"""The attention of one pair over a training, to draw: a matrix at each validation. It knows no model."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

MOST_MOMENTS = 100  # of an animation or a page


class Scene(NamedTuple):
    """A pair and its attention: `weights` is (N, target words, positions), a matrix of each of N validations.

    The positions are source words, or the cells of an image row by row, or the frames of a clip.
    """

    target_words: Sequence[str]
    weights: np.ndarray
    source_words: Sequence[str] | None = None  # of a text
    grid: tuple[int, int] | None = None  # rows and columns of an image
    ends: bool = False  # the last word of each side is the end token
    name: str = ""  # of an image or clip

    @property
    def columns(self) -> Sequence[str]:
        """The names of the positions: words, or the numbers of frames; none for an image."""
        if self.source_words is not None:
            return self.source_words
        return [] if self.grid else [str(number) for number in range(1, self.weights.shape[2] + 1)]

    @property
    def highest(self) -> float:
        """The weight of the strongest colour at every moment: a round number, not below any weight."""
        most = float(self.weights.max())
        return next((step for step in (0.05, 0.1, 0.2, 0.5) if most <= step + 1e-6), 1.0)

    def __str__(self) -> str:
        """Its name for people: that of the image, or the source."""
        if self.source_words is None:
            return self.name
        return " ".join(self.source_words[: len(self.source_words) - self.ends])
