"""One caption: the text, its score, and where its words look in the image."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Caption:
    """A hypothesis as people read it. Probabilities are natural logs; attention is None where the model has
    none or it was not asked for.
    """

    text: str
    score: float  # log_probability / length ** length_penalty, or the mean utility where one was asked for
    log_probability: float  # of all tokens and the end token
    tokens: list[int] = field(default_factory=list)  # without first and end token
    pieces: list[str] = field(default_factory=list)
    # (pieces + 1, positions): the end token comes last
    piece_attention: np.ndarray | None = field(default=None, compare=False)
    words: list[str] = field(default_factory=list)  # white-space words of the text
    # (words, positions): the mean over a word's pieces
    attention: np.ndarray | None = field(default=None, compare=False)
    # rows and columns of the positions, row by row; None: the frames of a clip
    grid: tuple[int, int] | None = None
    finished: bool = True  # False: cut at the maximum length
