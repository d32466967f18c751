"""The attention of forced pairs between words, for every layer, head, and step it is read at.

"Written": the weights of the step whose output is the word. "Read": those of the next step, whose input is
the word (Chen 2020, section 4); for the last word it is the step that writes the end token. A target word has
the mean over its tokens, a unit of the source the sum over its positions. Shapes: L layers, H heads, W words,
U units; `shift` 0 is written and 1 is read.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from seq2attn.explaining.forced import ForcedModel
from seq2attn.explaining.pairs import ForcedPair
from seq2attn.inference import attention_weights
from seq2attn.progress import Progress, silent

Matrix = NDArray[np.float32]


class WordAttention(NamedTuple):
    """The attention of some pairs."""

    matrices: list[NDArray[Any]]  # of each pair (2, L, H, W, U), by shift
    steps: list[NDArray[Any]]  # of each pair (L, H, T, P): every step, the end included, and every position
    outside: list[float]  # of each pair the largest weight of a step on padding
    entropy: NDArray[Any]  # (2, L, H): mean over words, in nats
    end: NDArray[Any]  # (2, L, H): mean weight on the end token; of images 0
    punctuation: NDArray[Any]  # (2, L, H): mean weight on tokens of punctuation alone


def word_attention(
    model: ForcedModel, pairs: Sequence[ForcedPair], progress: Progress = silent
) -> WordAttention:
    """The attention of each pair, in their order."""
    matrices: list[Any] = [None] * len(pairs)
    steps: list[Any] = [None] * len(pairs)
    outside = [0.0] * len(pairs)
    sums: list[Any] = []
    done = 0
    for places, batch in model.batches(pairs):
        progress(done, len(pairs))
        with torch.no_grad():
            memory = model.memory(batch)
            weights_BTLHS = model.states(batch, memory, weights=True).weights_BTLHS
            assert weights_BTLHS is not None  # runs without attention are refused
            weights = weights_BTLHS.float().nan_to_num()
        to_word, to_unit = batch.to_word_BTW, batch.to_unit_BPU
        share = to_word / to_word.sum(1, keepdim=True).clamp_min(1)
        real = memory.mask_BS[:, None, None, None]
        marks = torch.zeros_like(memory.mask_BS, dtype=weights.dtype)
        end = torch.zeros_like(marks)
        for row, pair in enumerate(batch.pairs):
            marks[row, : len(pair.punctuation)] = torch.tensor(pair.punctuation).to(marks)
            if model.sources.has_end:
                end[row, len(pair.source)] = 1
        in_words = to_word.sum(-1)
        count = in_words.sum()
        numbers = []
        by_shift = []
        for shift in (0, 1):
            of_step = weights.roll(-shift, 1)
            by_shift.append(torch.einsum("btw,btlhs,bsu->blhwu", share, of_step, to_unit))
            plog = (of_step * of_step.clamp_min(1e-30).log()).masked_fill(~real, 0.0)
            parts = (
                -plog.sum(-1),
                torch.einsum("btlhs,bs->btlh", of_step, end),
                torch.einsum("btlhs,bs->btlh", of_step, marks),
            )
            numbers.append([torch.einsum("btlh,bt->lh", part, in_words).cpu().numpy() for part in parts])
        sums.append((np.array(numbers), float(count)))
        arrays = torch.stack(by_shift, 1).cpu().numpy()
        leak = weights.masked_fill(real, 0.0).sum(-1).amax((1, 2, 3)).tolist()
        for row, place in enumerate(places):
            pair = pairs[place]
            matrices[place] = arrays[row, ..., : len(pair.words), : len(pair.units)].copy()
            own = weights[row, : len(pair.target) + 1, ..., : len(pair.unit_of)]
            steps[place] = own.permute(1, 2, 0, 3).cpu().numpy()
            outside[place] = leak[row]
        done += len(places)
    progress(len(pairs), len(pairs))
    total = sum(numbers for numbers, _ in sums) / max(1.0, sum(count for _, count in sums))
    return WordAttention(matrices, steps, outside, total[:, 0], total[:, 1], total[:, 2])


def select(matrix: NDArray[Any], layer: int | None, head: int | None, shift: int) -> Matrix:
    """One matrix (W, U) of (2, L, H, W, U): numbers from 1; None is the mean over layers, or over heads."""
    return attention_weights.select(matrix[shift], layer, head)
