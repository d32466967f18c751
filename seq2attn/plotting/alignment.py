"""What is drawn: words on two sides and the weights between them, and which source words the target hardly
read. Knows no model and no file."""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

END = "end"  # the end token beside words
LITTLE = 0.2  # a source word whose weights add up to less, over all target words, was hardly read
_NAMED = 10  # words that one line names


class Alignment(NamedTuple):
    """One pair to show: `attention` is (target words, source words), weights from 0 to 1."""

    source_words: Sequence[str]
    target_words: Sequence[str]
    attention: np.ndarray
    ends: bool = False  # the last word of each side is the end token
    title: str = ""  # such as "layer 1, head 3"
    pieces: bool = False  # the "words" are subwords
    line: int | None = None  # the line of a file, from 1
    score: str = ""  # of the target, in words


def is_word(text: str) -> bool:
    """Whether a token has more in it than punctuation: a letter, a digit or a symbol."""
    return any(unicodedata.category(character)[0] in "LNS" for character in text)


def word_columns(alignment: Alignment) -> list[int]:
    """The columns that count as source words: no punctuation, and not the end token."""
    columns = len(alignment.source_words) - alignment.ends
    return [column for column in range(columns) if is_word(alignment.source_words[column])]


def hardly_read(alignment: Alignment) -> list[int]:
    """The columns of the source words whose weights add up to less than LITTLE over all target words: what a
    translation leaves out is among them.

    The row of the end token does not count. Of subwords it is not known, and the list is empty.
    """
    rows = len(alignment.target_words) - alignment.ends
    if alignment.pieces or rows < 1:
        return []
    sums_S = np.asarray(alignment.attention, dtype=np.float64)[:rows].sum(0)
    return [column for column in word_columns(alignment) if sums_S[column] < LITTLE]


def count_line(alignment: Alignment, named: bool = True) -> str:
    """How many of the source words were hardly read, in one line, with the first of them; empty where none
    was. Of one layer or head the line says so: others may have read what it did not."""
    columns = hardly_read(alignment)
    if not columns:
        return ""
    total = len(word_columns(alignment))
    were = "were" if len(columns) > 1 else "was"
    start = f"{len(columns)} of {total} source words {were}" if total > 1 else "the source word was"
    whose = f" by {alignment.title}" if alignment.title else ""
    text = f"{start} hardly read{whose}: weights that add up to less than {LITTLE:g}"
    if not named:
        return text
    words = " ".join(alignment.source_words[column] for column in columns[:_NAMED])
    return f"{text} ({words}{' ...' if len(columns) > _NAMED else ''})"


def mean(alignments: Sequence[Alignment]) -> Alignment:
    """The mean over several heads of one pair."""
    first = alignments[0]
    if len(alignments) == 1:
        return first
    weights_TS = np.mean([alignment.attention for alignment in alignments], axis=0)
    return first._replace(attention=weights_TS, title="")
