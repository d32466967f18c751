"""ROUGE-L of a caption (Lin 2004): its longest common subsequence of words with the references.

Precision and recall are weighted as in coco-caption. This module knows no corpus.
"""

from collections.abc import Hashable, Sequence

BETA = 1.2  # how much more recall counts than precision


def rouge_l(candidate: Sequence[Hashable], references: Sequence[Sequence[Hashable]]) -> float:
    """The F-measure, in points (0 to 100), of the best precision and the best recall over the references.

    These may be of two references. The result is 0 if no word is shared.
    """
    common = [(longest_common(candidate, reference), len(reference)) for reference in references]
    precision = max((length / len(candidate) for length, _ in common if length), default=0.0)
    recall = max((length / words for length, words in common if length), default=0.0)
    if not precision:
        return 0.0
    return 100 * (1 + BETA**2) * precision * recall / (recall + BETA**2 * precision)


def longest_common(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """The length of the longest common subsequence.

    It computes a row of the table at a time, as the bits of one number (Hyyrö 2004).
    """
    places: dict[Hashable, int] = {}
    for place, word in enumerate(second):
        places[word] = places.get(word, 0) | 1 << place
    full = (1 << len(second)) - 1
    row = full
    for word in first:
        match = row & places.get(word, 0)
        row = (row + match | row - match) & full
    return len(second) - row.bit_count()
