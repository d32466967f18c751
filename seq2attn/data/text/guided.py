"""Training pairs with a guide for attention: where it shall read, at each step of the target.

The guide (B, T, S) is a distribution over source positions for each step that has links, else 0. With
shift 0 a target token guides the step that writes it, with shift 1 the next step, whose input it is. This
module knows no model.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seq2attn.data.batches import Batch, Ids, Texts
from seq2attn.data.text.dataset import TextSplit

_PAIRS = 10_000  # pairs whose links are read at once


class GuidedTexts(Texts):
    """The pairs of a split whose tokens are linked."""

    def __init__(self, split: TextSplit, shift: int) -> None:
        self.split, self.shift = split, shift
        counts = [[len(np.unique(links[:, 0])) for links in part] for part in self._all_links()]
        count_N = np.array([count for part in counts for count in part], np.int64)
        self.has_links, self.guided_tokens = bool(count_N.any()), count_N

    @property
    def source_lengths(self) -> NDArray[np.integer]:
        return self.split.source_lengths

    @property
    def target_lengths(self) -> NDArray[np.integer]:
        return self.split.target_lengths

    def ids(self, rows: NDArray[np.integer]) -> tuple[Sequence[Ids], Sequence[Ids]]:
        return self.split.ids(rows)

    def content(self) -> Iterator[NDArray[Any] | memoryview]:
        yield from self.split.content()
        yield np.array([self.shift], "<i4")
        for part in self._all_links():
            yield np.array([len(links) for links in part], "<i4")
            yield np.ascontiguousarray(np.concatenate(part), "<i4")

    def plan(self, batch_tokens: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
        return self.split.plan(batch_tokens, seed, epoch)

    def batch(self, rows: NDArray[np.integer], draw: int | None) -> Batch:
        batch = super().batch(rows, draw)
        shape = (*batch.targets_BT.shape, batch.source.size(1))
        return batch._replace(guide_BTS=guide(self.split.links(rows), shape, self.shift))

    def _all_links(self) -> Iterator[list[NDArray[np.int32]]]:
        for first in range(0, len(self.target_lengths), _PAIRS):
            yield self.split.links(np.arange(first, min(first + _PAIRS, len(self.target_lengths))))


def guide(links: Sequence[NDArray[np.integer]], shape: tuple[int, ...], shift: int) -> Tensor:
    """The guide (B, T, S) of B pairs, from the triples of each: see `token_links`."""
    guide_BTS = np.zeros(shape, np.float32)
    row_N = np.repeat(np.arange(len(links)), [len(of_row) for of_row in links])
    token_N, position_N, divisor_N = np.concatenate(links).T
    guide_BTS[row_N, token_N + shift, position_N] = 1 / divisor_N
    return torch.from_numpy(guide_BTS)
