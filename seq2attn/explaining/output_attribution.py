"""Attributions of one translation between subwords, the end tokens included, to be drawn beside attention."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from seq2attn.data.tokenizer import EOS
from seq2attn.errors import UsageError
from seq2attn.explaining.attention import Matrix
from seq2attn.explaining.attribution import input_x_gradient, integrated_gradients
from seq2attn.explaining.forced import ForcedModel
from seq2attn.explaining.occlusion import Occluder
from seq2attn.explaining.pairs import ForcedPair
from seq2attn.inference import MAX_SOURCE, Translation, Translator
from seq2attn.inference.encoding import encode_texts
from seq2attn.inference.words import between_words, word_numbers


def with_attribution(
    translator: Translator, translation: Translation, method: str, units: Sequence[int] | None = None
) -> Translation:
    """The translation with an attribution in place of its attention: how much each source position adds to
    log p of each target token, in nats.

    `method` is "gradient" (input x gradient), "integrated" (integrated gradients) or "occlusion". Occlusion
    hides each subword by itself. If `units` has the number of a unit for each subword, from 0, it hides the
    subwords of a unit at once, and they have equal parts of what is lost. It never hides the end token, whose
    column is 0.

    Raises UsageError for an ensemble.
    """
    if len(translator.models) > 1:
        raise UsageError(f"{method}: an attribution is of one run: name one of them")
    source_tokenizer, target_tokenizer = translator.source_tokenizer, translator.target_tokenizer
    [ids] = encode_texts(source_tokenizer, [translation.source], MAX_SOURCE)
    tokens = translation.tokens
    positions = list(range(len(ids) + 1))
    unit_of = positions
    if method == "occlusion" and units is not None:
        unit_of = [*units, max(units, default=-1) + 1]
    pair = ForcedPair(
        ids,
        tokens,
        [str(unit) for unit in range(max(unit_of) + 1)],
        target_tokenizer.subwords([*tokens, EOS]),
        unit_of,
        list(range(len(tokens) + 1)),
        [False] * (len(ids) + 1),
        0,
    )
    model = ForcedModel(translator)
    if method == "occlusion":
        [of_units] = Occluder(model, [pair]).occlusion()
        matrix = (of_units / np.bincount(unit_of).clip(1))[:, unit_of].astype(np.float32)
        matrix[:, -1] = 0  # but for rounding it is, because the end token is never hidden
    elif method == "gradient":
        [matrix] = input_x_gradient(model, [pair]).matrices
    else:
        [matrix] = integrated_gradients(model, [pair]).matrices
    counts = len(translation.target_words), len(translation.source_words)
    numbers = target_tokenizer.word_index(tokens), word_numbers(translation.source, ids, source_tokenizer)
    return replace(
        translation,
        subword_attention=matrix,
        attention=between_words(matrix[:-1, :-1], *numbers, *counts),
        subword_attention_heads=None,
        attention_heads=None,
    )


def positive_shares(matrix: Matrix) -> Matrix:
    """What each value adds to its row, as a share of all that adds to it: negative values are 0."""
    positive: Matrix = np.maximum(matrix, 0).astype(np.float32)
    sums = positive.sum(1, keepdims=True)
    positive /= np.where(sums > 0, sums, 1)
    return positive
