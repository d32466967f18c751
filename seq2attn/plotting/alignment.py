"""Attention to draw: words on two sides, the weights between them, and words that were hardly read.

This module knows no model and no file.
"""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

END = "end"  # the end token beside words
HARDLY = 0.2  # a source word was hardly read if its weights, summed over all target words, are below this
_MAX_NAMED = 10  # words that one line names


class Alignment(NamedTuple):
    """The attention of one pair: `attention` is (target words, source words), weights from 0 to 1."""

    source_words: Sequence[str]
    target_words: Sequence[str]
    attention: np.ndarray
    ends: bool = False  # the last word of each side is the end token
    title: str = ""  # such as "layer 1, head 3"
    subwords: bool = False  # the "words" are subwords
    self_attention: bool = False  # both sides are one text
    line: int | None = None  # the line of a file, from 1
    score: str = ""  # of the target, as text
    name: str = ""  # of the run
    attribution: bool = False  # shares of what adds to a word's probability, in place of weights
    confidence: Sequence[float] = ()  # of the target words, from 0 to 1; none: unknown

    @property
    def heading(self) -> str:
        """What distinguishes this alignment from others: its run, its line and its head, as far as known."""
        line = "" if self.line is None else f"line {self.line}"
        return ": ".join(filter(None, (", ".join(filter(None, (self.name, line))), self.title)))


def is_word(text: str) -> bool:
    """Whether a token has more than punctuation: a letter, a digit or a symbol."""
    return any(unicodedata.category(character)[0] in "LNS" for character in text)


def word_columns(alignment: Alignment) -> list[int]:
    """The columns of source words, without those of punctuation and of the end token."""
    columns = len(alignment.source_words) - alignment.ends
    return [column for column in range(columns) if is_word(alignment.source_words[column])]


def hardly_read(alignment: Alignment) -> list[int]:
    """The columns of source words whose weights sum to less than HARDLY.

    A translation may have left them out. The row of the end token does not count. For subwords and
    self-attention, and for an attribution, the list is empty.
    """
    rows = len(alignment.target_words) - alignment.ends
    if alignment.subwords or alignment.self_attention or alignment.attribution or rows < 1:
        return []
    sums_S = np.asarray(alignment.attention, dtype=np.float64)[:rows].sum(0)
    return [column for column in word_columns(alignment) if sums_S[column] < HARDLY]


def count_line(alignment: Alignment, name_words: bool = True) -> str:
    """One line that counts the source words that were hardly read; empty if there are none.

    With `name_words` it names the first of these words. It names the layer or head of the alignment, because
    other heads may have read those words.
    """
    columns = hardly_read(alignment)
    if not columns:
        return ""
    total = len(word_columns(alignment))
    were = "were" if len(columns) > 1 else "was"
    start = f"{len(columns)} of {total} source words {were}" if total > 1 else "the source word was"
    by = f" by {alignment.title}" if alignment.title else ""
    text = f"{start} hardly read{by}: weights that add up to less than {HARDLY:g}"
    if not name_words:
        return text
    words = " ".join(alignment.source_words[column] for column in columns[:_MAX_NAMED])
    return f"{text} ({words}{' ...' if len(columns) > _MAX_NAMED else ''})"


def mean(alignments: Sequence[Alignment]) -> Alignment:
    """The mean over several heads of one pair, without a title; a single head as it is."""
    first = alignments[0]
    if len(alignments) == 1:
        return first
    weights_TS = np.mean([alignment.attention for alignment in alignments], axis=0)
    return first._replace(attention=weights_TS, title="")
