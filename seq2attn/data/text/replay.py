"""New training pairs with a share of old ones, against forgetting what a model could do before (rehearsal;
Robins 1995, https://doi.org/10.1080/09540099550039318).

Each epoch has all new pairs and the next part of the old ones, in a random order that begins anew when all
were there. The part is a pure function of the seed and the epoch, as the order of the batches is.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2attn.data.batches import Ids, Texts, plan
from seq2attn.data.text.dataset import TextSplit


class Replay(Texts):
    """The pairs of `new`, and after them those of `old`; `share` of the pairs of an epoch are old."""

    def __init__(self, new: TextSplit, old: TextSplit, share: float) -> None:
        self.new, self.old = new, old
        self.count = min(round(len(new) * share / (1 - share)), len(old))  # old pairs of an epoch

    @cached_property
    def _lengths(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        return (
            np.concatenate([self.new.source_lengths, self.old.source_lengths]),
            np.concatenate([self.new.target_lengths, self.old.target_lengths]),
        )

    @property
    def source_lengths(self) -> NDArray[np.int32]:
        return self._lengths[0]

    @property
    def target_lengths(self) -> NDArray[np.int32]:
        return self._lengths[1]

    def ids(self, rows: NDArray[np.integer]) -> tuple[list[Ids], list[Ids]]:
        """Source ids and target ids of `rows`."""
        is_old = rows >= len(self.new)
        new, old = self.new.ids(rows[~is_old]), self.old.ids(rows[is_old] - len(self.new))
        sides: tuple[list[Ids], list[Ids]] = ([], [])
        for side, of_new, of_old in zip(sides, new, old, strict=True):
            next_new, next_old = iter(of_new), iter(of_old)
            side.extend(next(next_old if one else next_new) for one in is_old.tolist())
        return sides

    def content(self) -> Iterator[NDArray[Any] | memoryview]:
        yield np.array([len(self.new), len(self.old), self.count], "<i8")
        yield from self.new.content()
        yield from self.old.content()

    def plan(self, batch_tokens: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
        rows = np.concatenate([np.arange(len(self.new)), len(self.new) + self.old_rows(seed, epoch)])
        batches = plan(self.source_lengths[rows], self.target_lengths[rows], batch_tokens, seed, epoch)
        return [rows[batch] for batch in batches]

    def old_rows(self, seed: int, epoch: int) -> NDArray[np.int64]:
        """The rows of `old` of an epoch: the next `count` in the order of the round that it falls in."""
        first = epoch * self.count
        places = np.arange(first, first + self.count)
        rounds, places = places // max(len(self.old), 1), places % max(len(self.old), 1)
        rows = np.empty(self.count, np.int64)
        for round_ in np.unique(rounds):
            order = np.random.default_rng([seed, int(round_), len(self.old)]).permutation(len(self.old))
            rows[rounds == round_] = order[places[rounds == round_]]
        return rows
