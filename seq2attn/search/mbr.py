"""Minimum-Bayes-risk decoding: the output of highest expected utility, with samples as candidates and as
references (Eikema & Aziz 2022, "N-by-N").

It compares outputs only by the utility function that it is given.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence

Utility = Callable[[str, str], float]
"""(output, reference) -> the quality of the output, higher is better."""


def rank_by_expected_utility(outputs: Sequence[str], utility: Utility) -> list[tuple[int, float]]:
    """(index of its first occurrence, expected utility) of each distinct output, best first; ties in order
    of occurrence.

    The expectation is the mean over all samples: an output drawn three times counts three times, and each
    is also its own reference, as in the paper. Each pair is compared once. Raises ValueError if the utility
    is not finite.
    """
    counts = Counter(outputs)  # in order of first occurrence
    expected = {
        output: sum(count * utility(output, reference) for reference, count in counts.items()) / len(outputs)
        for output in counts
    }
    if not all(map(math.isfinite, expected.values())):
        raise ValueError("the utility returned a number that is not finite")
    return [
        (outputs.index(output), expected[output])
        for output in sorted(counts, key=lambda output: -expected[output])
    ]
