"""Few combinations of several options that have every two values together, for tests of which the
combinations are not the point.
"""

from collections.abc import Callable, Iterable
from itertools import combinations, product
from typing import Any


def pairwise(
    *options: Iterable[Any], allowed: Callable[..., bool] = lambda *row: True
) -> list[tuple[Any, ...]]:
    """Rows of one value of each option. Each two values of two options that stand together in any `allowed`
    row do so in one of these.
    """
    pairs = {row: set(combinations(enumerate(row), 2)) for row in product(*options) if allowed(*row)}
    left: set[Any] = set().union(*pairs.values())
    rows = []
    while left:
        rows.append(max(pairs, key=lambda row: len(pairs[row] & left)))
        left -= pairs[rows[-1]]
    return rows
