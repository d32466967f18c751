"""Attention between words from attention between subwords. This module knows no tokenizer and no model."""

from collections.abc import Sequence

import numpy as np

from seq2attn.data.text.words import word_numbers
from seq2attn.inference.results import Weights

__all__ = ["between_words", "word_numbers"]


def between_words(
    subwords_TS: Weights, target: Sequence[int], source: Sequence[int], target_words: int, source_words: int
) -> Weights:
    """Attention between words (..., target_words, source_words) from attention between subwords (..., T, S).

    `target` and `source` hold the word of each subword (-1: none). Words from target_words and source_words
    on are left out. A source word gets the sum over its subwords, a target word the mean. The result is not
    normalised again.
    """
    to_source = _membership(source, source_words)
    to_target = _membership(target, target_words)
    counts = np.maximum(to_target.sum(0), 1)[:, None]
    merged: Weights = (to_target.T @ subwords_TS @ to_source / counts).astype(np.float32)
    return merged


def _membership(numbers: Sequence[int], words: int) -> Weights:
    table = np.zeros((len(numbers), words), dtype=np.float32)
    for subword, word in enumerate(numbers):
        if 0 <= word < words:
            table[subword, word] = 1.0
    return table
