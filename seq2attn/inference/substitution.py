"""Terms in place of what the attention says that they translate, in an output that lacks them.

All other words stay as the search has written them. This module knows no model: it gives the ways to put a
term in, and the model says which is the most probable.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2attn.data.text.glossary import word_spans
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.inference.required import Required, positions_of
from seq2attn.inference.results import Translation

MOST_WORDS = 5  # that a term takes the place of
MOST_WAYS = 15  # to put a term into an output

Spans = Sequence[tuple[int, int]]


class Edit(NamedTuple):
    """A text in place of the characters from `start` to `stop`."""

    start: int
    stop: int
    text: str


def ways_in(
    translation: Translation,
    required: Sequence[Required],
    source_ids: Sequence[int],
    tokenizers: tuple[Tokenizer, Tokenizer],
) -> list[list[Edit]]:
    """The ways to put each required text in: in place of words that read its source words most.

    Each is a run of such words, at most MOST_WORDS long: articles often read the noun after them, and stay if
    the model says so. There are none if no word reads those of the source most, and without attention.
    `tokenizers` are those of target and source.
    """
    weights = translation.subword_attention
    if weights is None or not translation.tokens:
        return [[] for _ in required]
    target, source = word_spans(translation.text), word_spans(translation.source)
    read = _between(weights, translation, source_ids, tokenizers, target, source)
    best = [int(row.argmax()) if row.any() else -1 for row in read]
    results = []
    for one in required:
        inside = {n for n, (start, stop) in enumerate(source) if one.start < stop and start < one.stop}
        places = [place for place, number in enumerate(best) if number in inside]
        runs = [[place for _, place in own] for _, own in groupby(enumerate(places), lambda p: p[1] - p[0])]
        edits = []
        for run in runs:
            for length in range(1, min(len(run), MOST_WORDS) + 1):
                for first in range(len(run) - length + 1):
                    start, stop = target[run[first]][0], target[run[first + length - 1]][1]
                    capital = run[first] == 0 and translation.text[start].isupper()
                    text = one.text[:1].upper() + one.text[1:] if capital else one.text
                    edits.append(Edit(start, stop, text))
        results.append(edits[:MOST_WAYS])
    return results


def edited(text: str, edits: Sequence[Edit]) -> str:
    """The text after all edits; of two that overlap, the first in the text."""
    end = len(text) + 1
    for start, stop, new in sorted(edits, reverse=True):
        if stop <= end:
            text, end = text[:start] + new + text[stop:], start
    return text


def _between(
    weights: NDArray[np.float32],
    translation: Translation,
    source_ids: Sequence[int],
    tokenizers: tuple[Tokenizer, Tokenizer],
    target: Spans,
    source: Spans,
) -> NDArray[np.float32]:
    """Attention between words with punctuation apart (T, S): the mean over the tokens of a target word, the
    sum over those of a source word.
    """
    of_target, of_source = tokenizers
    rows = [positions_of(translation.text, translation.tokens, of_target, *span) for span in target]
    columns = [positions_of(translation.source, source_ids, of_source, *span) for span in source]
    read = np.zeros((len(target), len(source)), np.float32)
    for t, row in enumerate(rows):
        if row:
            mean = weights[list(row)].mean(0)
            read[t] = [mean[list(column)].sum() if column else 0.0 for column in columns]
    return read
