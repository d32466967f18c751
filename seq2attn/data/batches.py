"""The division of pairs into batches, and the padded tensors of a batch.

This module knows lengths and ids, and neither their origin nor a model.
"""

import abc
import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seq2attn.data.tokenizer import BOS, EOS, PAD

POOL = 1_000_000  # pairs that are sorted together
_PAIRS_PER_ARRAY = 10_000  # pairs in one array, for the fingerprint
Ids = Sequence[int] | NDArray[np.integer]


class Batch(NamedTuple):
    """The tensors of one batch. Ids are int64, padded with PAD. Masks are bool (True = real).

    B is the number of pairs, S the longest source with EOS, T the longest target with BOS or EOS.
    """

    source: Tensor  # (B, S): tokens, EOS; or pixels or features of I images, as the encoder takes them
    source_mask: Tensor  # (B, S), or (I, frames)
    inputs_BT: Tensor  # BOS, tokens
    targets_BT: Tensor  # tokens, EOS
    target_mask_BT: Tensor
    source_of_B: Tensor | None = None  # index in I of the source of a target; None: each has its own
    number_I: Tensor | None = None  # index of each image in its split
    # (B, T, S), float32: where attention shall read, a distribution over S at each step with links, else 0
    guide_BTS: Tensor | None = None


class Pairs(abc.ABC):
    """Sources and targets of a split, to train on or to evaluate, and their batches."""

    ahead = False  # whether a batch takes long to make, so that training should prefetch it
    # (N,): the number of steps of each pair that attention has a guide for; None: no batch has a guide
    guided_tokens: NDArray[np.integer] | None = None

    @property
    @abc.abstractmethod
    def source_lengths(self) -> NDArray[np.integer]:
        """(N,) tokens, without EOS; zeros if sources have none."""

    @property
    @abc.abstractmethod
    def target_lengths(self) -> NDArray[np.integer]:
        """(N,) tokens, without BOS and EOS."""

    @cached_property
    def fingerprint(self) -> str:
        """A hash of all content in its order."""
        digest = hashlib.sha256()  # about a gigabyte a second on a processor with SHA instructions
        for part in self.content():
            digest.update(part.data if isinstance(part, np.ndarray) else part)
        return digest.hexdigest()[:32]

    @abc.abstractmethod
    def content(self) -> Iterator[NDArray[Any] | memoryview]:
        """All that training reads, with lengths, so that different contents give different bytes."""

    def of_epoch(self, seed: int, epoch: int) -> "Pairs":
        """The pairs as this epoch of a training has them: these themselves, unless they differ by epoch.

        It is a pure function of its arguments.
        """
        return self

    @abc.abstractmethod
    def plan(self, batch_tokens: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
        """The rows of each batch of one epoch, in order. It is a pure function of its arguments."""

    @abc.abstractmethod
    def batch(self, rows: NDArray[np.integer], draw: int | None) -> Batch:
        """The tensors of `rows`. `draw` seeds the augmentation; None: no augmentation."""


class Texts(Pairs):
    """Pairs of two texts, known by their ids."""

    @abc.abstractmethod
    def ids(self, rows: NDArray[np.integer]) -> tuple[Sequence[Ids], Sequence[Ids]]:
        """Source ids and target ids of `rows`, without BOS and EOS."""

    def content(self) -> Iterator[NDArray[Any] | memoryview]:
        for lengths in (self.source_lengths, self.target_lengths):
            yield np.ascontiguousarray(lengths, "<i4")
        for side in (0, 1):
            for first in range(0, len(self.target_lengths), _PAIRS_PER_ARRAY):
                rows = np.arange(first, min(first + _PAIRS_PER_ARRAY, len(self.target_lengths)))
                yield np.concatenate([np.asarray(ids, "<i4") for ids in self.ids(rows)[side]])

    def plan(self, batch_tokens: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
        return plan(self.source_lengths, self.target_lengths, batch_tokens, seed, epoch)

    def batch(self, rows: NDArray[np.integer], draw: int | None) -> Batch:
        return collate(*self.ids(rows))


def plan(
    source_lengths: NDArray[np.integer],
    target_lengths: NDArray[np.integer],
    batch_tokens: int,
    seed: int,
    epoch: int,
    counts: NDArray[np.integer] | None = None,
) -> list[NDArray[np.int64]]:
    """The rows of each batch of one epoch: similar lengths together, batches in random order.

    This is a pure function of its arguments. Lengths (N,) are in tokens without BOS and EOS. The number of
    rows times (the longest of either side + 1) is at most `batch_tokens`. A longer pair is a batch of its
    own. A row that stands for several pairs counts `counts` (N,) times.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(source_lengths))
    batches: list[NDArray[np.int64]] = []
    for first in range(0, len(order), POOL):
        rows = order[first : first + POOL]
        source, target = (
            np.asarray(source_lengths)[rows].astype(np.int64),
            np.asarray(target_lengths)[rows].astype(np.int64),
        )
        longest = np.maximum(source, target)
        # A little noise mixes neighbouring lengths, so that no two epochs have the same batches.
        bucket = (longest + rng.random(len(rows)) * (0.5 + 0.03 * longest)).astype(np.int64)
        by_length = np.lexsort((source, target, bucket))  # ties stay in the random order of `rows`
        rows, lengths = rows[by_length], longest[by_length] + 1
        begin = 0
        while begin < len(rows):
            window = lengths[begin : begin + max(1, batch_tokens // int(lengths[begin]))]
            pairs = (
                np.arange(1, len(window) + 1)
                if counts is None
                else np.cumsum(np.asarray(counts)[rows[begin : begin + len(window)]], dtype=np.int64)
            )
            tokens = np.maximum.accumulate(window) * pairs
            end = begin + max(1, int(np.searchsorted(tokens, batch_tokens, side="right")))
            batches.append(rows[begin:end])
            begin = end
    return [batches[i] for i in rng.permutation(len(batches))]


def collate(source_ids: Sequence[Ids], target_ids: Sequence[Ids]) -> Batch:
    """Ids of B pairs, without BOS and EOS, as padded tensors."""
    return Batch(*collate_source(source_ids), *collate_target(target_ids))


def collate_target(ids: Sequence[Ids]) -> tuple[Tensor, Tensor, Tensor]:
    """Ids of B targets, without BOS and EOS, as (inputs from BOS on, targets to EOS, mask), each (B, T)."""
    targets_BT, mask_BT = collate_source(ids)
    inputs_BT = torch.full_like(targets_BT, BOS)
    # Shifted by one: at the end of the targets, the inputs have the last token.
    inputs_BT[:, 1:] = torch.where(mask_BT[:, 1:], targets_BT[:, :-1], PAD)
    return inputs_BT, targets_BT, mask_BT


def collate_source(ids: Sequence[Ids]) -> tuple[Tensor, Tensor]:
    """Ids of B sentences, without EOS, as (ids with EOS (B, S) int64, mask (B, S) bool)."""
    lengths = np.fromiter((len(row) for row in ids), dtype=np.int64, count=len(ids))
    positions = np.arange(int(lengths.max(initial=0)) + 1)
    padded = np.full((len(ids), len(positions)), PAD, dtype=np.int64)
    if lengths.any():
        padded[positions < lengths[:, None]] = np.concatenate(
            [np.asarray(row, dtype=np.int64) for row in ids]
        )
    padded[np.arange(len(ids)), lengths] = EOS
    return torch.from_numpy(padded), torch.from_numpy(positions <= lengths[:, None])
