"""Token ids of many texts, drawn at random: each text is one of the ways to cut it into subwords.

It knows no corpus, no model and no tokenizer.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

BLOCK = 20_000  # texts that are drawn at once
LARGEST_SEED = 2**32 - 1  # SentencePiece takes this one for none

Sampler = Callable[[Sequence[str], int], list[list[int]]]  # the ids of texts, drawn with a seed


class SampledIds:
    """The ids of N texts, drawn at random: (N,) `lengths`, and `take` for some of them."""

    def __init__(
        self, sampler: Sampler, texts: Callable[[int, int], Sequence[str]], size: int, seeds: Sequence[int]
    ) -> None:
        """`texts(start, stop)` are some of the N = `size` texts. `seeds` are what the draw depends on: the
        seed of the training, the epoch and the side.
        """
        parts, lengths = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
        for block, start in enumerate(range(0, size, BLOCK)):
            seed = int(np.random.SeedSequence([*seeds, block]).generate_state(1)[0])
            rows = sampler(texts(start, min(start + BLOCK, size)), seed % LARGEST_SEED)
            lengths.append(np.array([len(row) for row in rows], np.int32))
            parts.append(np.array([i for row in rows for i in row], np.int32))
        self.lengths = np.concatenate(lengths)
        self._values = np.concatenate(parts)
        self._offsets = np.concatenate(([0], np.cumsum(self.lengths, dtype=np.int64)))

    def take(self, rows: NDArray[np.integer]) -> list[NDArray[np.int32]]:
        return [self._values[self._offsets[row] : self._offsets[row + 1]] for row in rows.tolist()]

    def all(self) -> list[NDArray[np.int32]]:
        """Those of each text."""
        return np.split(self._values, self._offsets[1:-1]) if len(self.lengths) else []
