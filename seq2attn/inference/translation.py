"""One translation: the text, its score, and its attention between pieces and between words."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Translation:
    """A hypothesis as people read it. Probabilities are natural logs; attention is None where the model has
    none or it was not asked for.
    """

    source: str
    text: str
    score: float  # log_probability / length ** length_penalty, or the mean utility where one was asked for
    log_probability: float  # of all tokens and the end token
    tokens: list[int] = field(default_factory=list)  # of the target, without first and end token
    source_pieces: list[str] = field(default_factory=list)
    target_pieces: list[str] = field(default_factory=list)
    # (target pieces + 1, source pieces + 1): the end tokens come last
    piece_attention: np.ndarray | None = field(default=None, compare=False)
    source_words: list[str] = field(default_factory=list)  # white-space words of the raw source
    target_words: list[str] = field(default_factory=list)
    attention: np.ndarray | None = field(
        default=None, compare=False
    )  # (target words, source words): sum over a source word's pieces, mean over a target word's
    finished: bool = True  # False: cut at the maximum length
    # source tokens beyond the bound, which the model never saw; of a text beyond LONGEST_TEXT at least so
    # many
    truncated_tokens: int = 0
    unforced: int = 0  # tokens of the prefix beyond what an output can hold, which were left out

    def alignment(self) -> list[tuple[int, int]]:
        """(source word, target word) from 0, in the order of the target: for each target word the source word
        of largest weight, none where all are 0.
        """
        if self.attention is None or self.attention.size == 0:
            return []
        best, weight = self.attention.argmax(1), self.attention.max(1)
        return [(int(source), target) for target, source in enumerate(best) if weight[target] > 0]
