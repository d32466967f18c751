"""The output of least risk among samples: minimum-Bayes-risk decoding with samples for candidates and for
references (Eikema & Aziz 2022, "N-by-N").

It knows outputs as anything that can be compared and counted, and how alike two are only by the utility it is
handed.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence

Utility = Callable[[str, str], float]
"""(output, reference) -> how good the output is where the reference is right; the more the better."""


def rank_by_expected_utility(outputs: Sequence[str], utility: Utility) -> list[tuple[int, float]]:
    """(place of the first of its kind, expected utility) of each distinct output, best first, and of equals
    the one that came first.

    The expectation is the mean over all samples: one drawn thrice counts thrice, and each is among its own
    references, as the paper's estimate has it (where
    every output has the same utility against itself, the order is that without). Each pair is compared once.
    """
    times = Counter(outputs)  # in the order of their first places
    expected = {
        output: sum(count * utility(output, reference) for reference, count in times.items()) / len(outputs)
        for output in times
    }
    if not all(map(math.isfinite, expected.values())):
        raise ValueError("the utility gave what is not a finite number")
    return [
        (outputs.index(output), expected[output])
        for output in sorted(times, key=lambda output: -expected[output])
    ]
