"""Which words of an output are right, and how well a number tells them from the others.

A word is right if an alignment of the output with the reference joins it with an equal word: the alignment
has the fewest insertions, deletions and substitutions (Levenshtein 1966), as in the tags of word-level
quality estimation (Specia 2018) without shifts. A word that is good but differs from the reference counts as
wrong.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2attn.evaluation.mean_ranks import mean_ranks

BINS = 10


def right_words(output: Sequence[str], references: Sequence[Sequence[str]]) -> list[bool]:
    """Whether each word of the output is right, by the reference that needs the fewest edits.

    Without a reference no word is right.
    """
    best: tuple[int, list[bool]] | None = None
    for reference in references:
        edits, right = _aligned(output, reference)
        if best is None or edits < best[0]:
            best = edits, right
    return [False] * len(output) if best is None else best[1]


def _aligned(output: Sequence[str], reference: Sequence[str]) -> tuple[int, list[bool]]:
    """The number of edits of the best alignment, and which words of the output it joins with equal ones.

    Of alignments with as few edits it is one with the most equal words, and of those the one that joins the
    last words.
    """
    columns = len(reference)
    # by words of the output, then of the reference: edits, and minus the equal words
    table = [[(column, 0) for column in range(columns + 1)]]
    for row, word in enumerate(output, 1):
        above, line = table[-1], [(row, 0)]
        for column, other in enumerate(reference):
            edits, equal = above[column]
            through = (edits, equal - 1) if word == other else (edits + 1, equal)
            after, left = above[column + 1], line[-1]
            line.append(min(through, (after[0] + 1, after[1]), (left[0] + 1, left[1])))
        table.append(line)
    right = [False] * len(output)
    row, column = len(output), columns
    while row and column:
        edits, equal = table[row - 1][column - 1]
        is_equal = output[row - 1] == reference[column - 1]
        if table[row][column] == ((edits, equal - 1) if is_equal else (edits + 1, equal)):
            right[row - 1] = is_equal
            row, column = row - 1, column - 1
        elif table[row][column] == (table[row - 1][column][0] + 1, table[row - 1][column][1]):
            row -= 1
        else:
            column -= 1
    return table[-1][-1][0], right


def roc_area(values: NDArray[Any], right: NDArray[np.bool_]) -> float:
    """The area under the ROC curve of numbers (n,) that are to be higher for right words.

    It is the probability that a right word has a higher number than a wrong one, and a half for equal numbers
    (Hanley and McNeil 1982). NaN if all words are right, or all are wrong.
    """
    ones = int(right.sum())
    zeros = len(right) - ones
    if not ones or not zeros:
        return math.nan
    return float((mean_ranks(values)[right].sum() - ones * (ones - 1) / 2) / (ones * zeros))


class Bin(NamedTuple):
    """The words whose probability is in a range."""

    words: int
    probability: float  # their mean
    right: float  # the share of right words


def reliability(probability: NDArray[Any], right: NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """The bins of equal width from 0 to 1 that have words."""
    place = np.minimum((probability * bins).astype(int), bins - 1)
    results = []
    for number in range(bins):
        own = place == number
        if own.any():
            results.append(Bin(int(own.sum()), float(probability[own].mean()), float(right[own].mean())))
    return results


def calibration_error(probability: NDArray[Any], right: NDArray[np.bool_], bins: int = BINS) -> float:
    """The expected calibration error (Naeini 2015): how far the share of right words is from the mean
    probability, as a mean over all words of their bins of equal width. NaN without words.
    """
    if not len(right):
        return math.nan
    of_bins = reliability(probability, right, bins)
    return sum(one.words * abs(one.probability - one.right) for one in of_bins) / len(right)
