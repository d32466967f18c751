"""Training pairs whose texts are cut into subwords anew in each epoch.

BPE-dropout (Provilkov 2020) and subword sampling (Kudo 2018) show a model the same text in many cuts. A whole
epoch is drawn at its start, so that its batches are planned by the lengths that it has. A draw is a pure
function of the training's seed and of the epoch: several processes, and a resumed training, draw the same.

The texts are those of the prepared folder, whose own ids are the cut without sampling. This module knows no
model.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2attn.data.batches import Batch, Ids, Pairs, Texts
from seq2attn.data.sampled_ids import SampledIds, Sampler
from seq2attn.data.text.dataset import TextSplit


class _Epoch(Texts):
    """The pairs of a split as one epoch has them."""

    def __init__(self, source: SampledIds, target: SampledIds) -> None:
        self._source, self._target = source, target

    @property
    def source_lengths(self) -> NDArray[np.integer]:
        return self._source.lengths

    @property
    def target_lengths(self) -> NDArray[np.integer]:
        return self._target.lengths

    def ids(self, rows: NDArray[np.integer]) -> tuple[Sequence[Ids], Sequence[Ids]]:
        return self._source.take(rows), self._target.take(rows)


class SampledTexts(Pairs):
    """The pairs of a split, which each epoch cuts anew. Without an epoch they are as prepared."""

    def __init__(self, split: TextSplit, source: Sampler, target: Sampler) -> None:
        self.split, self._samplers = split, (source, target)
        self._last: tuple[tuple[int, int], _Epoch] | None = None  # an epoch is asked for several times

    @property
    def source_lengths(self) -> NDArray[np.integer]:
        return self.split.source_lengths

    @property
    def target_lengths(self) -> NDArray[np.integer]:
        return self.split.target_lengths

    def content(self) -> Iterator[NDArray[Any] | memoryview]:
        return self.split.content()

    def of_epoch(self, seed: int, epoch: int) -> Pairs:
        if self._last is None or self._last[0] != (seed, epoch):
            source, target = (
                SampledIds(sampler, self._texts(side), len(self.split), (seed, epoch, side))
                for side, sampler in enumerate(self._samplers)
            )
            self._last = (seed, epoch), _Epoch(source, target)
        return self._last[1]

    def _texts(self, side: int) -> Callable[[int, int], Sequence[str]]:
        return lambda start, stop: self.split.texts(start, stop)[side]

    def plan(self, batch_tokens: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
        return self.of_epoch(seed, epoch).plan(batch_tokens, seed, epoch)

    def batch(self, rows: NDArray[np.integer], draw: int | None) -> Batch:
        return self.split.batch(rows, draw)
