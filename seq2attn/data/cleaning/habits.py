"""What is usual in a corpus, learnt from its first pairs: lengths, scripts and words of each side."""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from seq2attn.data.cleaning.scripts import scripts_of
from seq2attn.data.languages import language_of

SAMPLE = 10_000  # pairs, at most
SAMPLE_CHARACTERS = 1 << 24  # of these pairs, at most
_ENOUGH = 100  # pairs, from which on lengths and words say something
_STEPS = 4  # in which a ratio doubles: it is rounded, so that a few pairs less do not change it
_CLEAR = 1.0  # log ratio of how often both sides have a word, from which on it belongs to one
_STRONGEST = 3.0
_OFTEN = 3  # times that a word has to appear


class Habits(NamedTuple):
    """What is usual."""

    ratio: float | None  # characters of a target for each of its source; None: too few pairs
    scripts: tuple[frozenset[str], frozenset[str]]  # of either side; empty: too few pairs
    words: dict[str, float]  # above 0 for a word of sources, below 0 for one of targets


def habits_of(pairs: Sequence[tuple[str, str]], languages: tuple[str | None, str | None]) -> Habits:
    """The habits of these pairs. Both sides of each have something to read."""
    if len(pairs) < _ENOUGH:
        return Habits(None, (frozenset(), frozenset()), {})
    sides = [[pair[side] for pair in pairs[:2000]] for side in (0, 1)]
    first, second = (
        scripts_of(language_of(language, ()) or language, texts)
        for language, texts in zip(languages, sides, strict=True)
    )
    median = statistics.median(len(target) / len(source) for source, target in pairs)
    ratio = 2 ** (round(_STEPS * math.log2(median)) / _STEPS)
    return Habits(ratio, (first, second), _words(pairs))


def _words(pairs: Sequence[tuple[str, str]]) -> dict[str, float]:
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for pair in pairs:
        for side, text in enumerate(pair):
            counts[side].update(text.split())
    shift = math.log((counts[1].total() + 1) / (counts[0].total() + 1))
    words = {}
    for word in counts[0].keys() | counts[1].keys():
        ours, theirs = counts[0][word], counts[1][word]
        if ours + theirs >= _OFTEN:
            score = math.log((ours + 0.5) / (theirs + 0.5)) + shift
            if abs(score) > _CLEAR:
                words[word] = max(-_STRONGEST, min(_STRONGEST, score))
    return words
