"""Minimum-Bayes-risk decoding: the output of highest expected utility. The samples are both the candidates
and the references (Eikema & Aziz 2022, "N-by-N").

A utility function of the caller compares two outputs.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence

Utility = Callable[[str, str], float]
"""(output, reference) -> the quality of the output; a higher number is better."""


def rank_by_expected_utility(outputs: Sequence[str], utility: Utility) -> list[tuple[int, float]]:
    """(index of its first occurrence, expected utility) of each distinct output, the best first; ties stay in
    the order of occurrence.

    The expectation is the mean over all samples: an output that was drawn three times counts three times,
    and each output is also one of its references, as in the paper. Each pair is compared once. Raises
    ValueError if the utility is not finite.
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
