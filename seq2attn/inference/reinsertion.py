"""Markers taken out of a source, and put into its translation by attention: for runs that know no markers.

A marker that touches the word before it, or stands before punctuation, follows what translates that word. Any
other goes before what translates the word after it. At the edges of a sentence it stays at the edge.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from seq2attn.data.text.protection import MARKERS
from seq2attn.inference.results import Translation, Weights

_RUN = re.compile(rf"(\s*)([{MARKERS}])(\s*)")
_CLOSING = re.compile(r"[\W_]*$")  # punctuation at the end of a word


class Gap(NamedTuple):
    """Where a marker stood: the number of words before it, and what it touched."""

    marker: str
    words: int
    after_word: bool  # whether it touched what is before it
    before_word: bool  # whether it touched a word after it
    follows: bool  # whether it goes with the word before it


def take_out(text: str) -> tuple[str, list[Gap]]:
    """The text without markers, and where they stood."""
    gaps: list[Gap] = []
    plain, place = "", 0
    for match in _RUN.finditer(text):
        plain += text[place : match.start()]
        rest = text[match.end() :].lstrip(MARKERS + " ")
        after_word = not match[1] and bool(plain) and not plain.endswith(" ")
        touches = not match[3] and bool(rest) and text[match.end() : match.end() + 1] not in MARKERS
        before_word = touches and rest[:1].isalnum()
        punctuation = bool(rest) and not rest[:1].isalnum() and touches
        gaps.append(Gap(match[2], len(plain.split()), after_word, before_word, after_word or punctuation))
        if (
            rest
            and not punctuation
            and not (after_word and before_word)
            and plain
            and not plain.endswith(" ")
        ):
            plain += " "
        place = match.end()
    return (plain + text[place:]).strip() if gaps else text, gaps


def put_in(translation: Translation, gaps: Sequence[Gap], source: str) -> Translation:
    """The translation with the markers, of the source with them. It needs attention between words.

    A word that is only markers reads the same word of the source. The subwords stay those of the search.
    """
    text = _text(translation, gaps)
    words = text.split(), source.split()
    places = [
        _places(own, plain)
        for own, plain in zip(words, (translation.target_words, translation.source_words), strict=True)
    ]
    return replace(
        translation,
        source=source,
        text=text,
        target_words=words[0],
        source_words=words[1],
        attention=_spread(translation.attention, words, places),
        attention_heads=_spread(translation.attention_heads, words, places),
    )


def _text(translation: Translation, gaps: Sequence[Gap]) -> str:
    words, weights = translation.target_words, translation.attention
    count = len(translation.source_words)
    before: list[list[str]] = [[] for _ in range(len(words) + 1)]  # the last: of no words at all
    behind: list[list[str]] = [[] for _ in words]
    for gap in gaps:
        if not words or gap.words == 0:
            before[0].append(_spaced(gap, False))
        elif weights is None or not weights.size or gap.words >= count:
            behind[-1].append(_spaced(gap, True))
        elif gap.follows:
            behind[int(np.argmax(weights[:, gap.words - 1]))].append(_spaced(gap, True))
        else:
            before[int(np.argmax(weights[:, gap.words]))].append(_spaced(gap, False))
    results = []
    for number, word in enumerate(words):
        core = _CLOSING.sub("", word) or word
        results.append(f"{''.join(before[number])}{core}{''.join(behind[number])}{word[len(core) :]}")
    return " ".join(results) if words else "".join(before[0]).strip()


def _places(words: Sequence[str], plain: Sequence[str]) -> list[int]:
    """For each plain word the first of `words` that has a character of it."""
    owners = [number for number, word in enumerate(words) for one in word if one not in MARKERS]
    starts = list(itertools.accumulate((len(word) for word in plain), initial=0))[: len(plain)]
    return [owners[start] if start < len(owners) else len(words) - 1 for start in starts]


def _spread(
    weights: Weights | None, words: tuple[list[str], list[str]], places: Sequence[Sequence[int]]
) -> Weights | None:
    """The weights (..., T, S) of plain words at the places of these among all words."""
    if weights is None:
        return None
    whole = np.zeros((*weights.shape[:-2], len(words[0]), len(words[1])), np.float32)
    if weights.size:
        whole[..., np.array(places[0])[:, None], np.array(places[1])] = weights
    for target, word in enumerate(words[0]):
        if target not in places[0] and word in words[1]:
            whole[..., target, words[1].index(word)] = 1.0
    return whole


def _spaced(gap: Gap, follows: bool) -> str:
    """The marker with the space on the side of its word, unless it touched it."""
    if follows:
        return gap.marker if gap.after_word else f" {gap.marker}"
    return gap.marker if gap.before_word else f"{gap.marker} "
