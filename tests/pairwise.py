"""Few cases instead of all, for tests of which the combinations of options are not the point."""

from collections.abc import Callable, Iterable
from itertools import combinations, product
from typing import Any, TypeVar

import pytest

Case = TypeVar("Case")


def few(cases: Iterable[Case], parts: Callable[[Case], set[Any]]) -> list[Case]:
    """Some of the cases that have every part between them that all cases have, by greedy choice."""
    all_parts = [(case, parts(case)) for case in cases]
    left: set[Any] = set().union(*(own for _, own in all_parts))
    result = []
    while left:
        case, own = max(all_parts, key=lambda one: len(one[1] & left))
        result.append(case)
        left -= own
    return result


def pairwise(
    *options: Iterable[Any], allowed: Callable[..., bool] = lambda *row: True
) -> list[tuple[Any, ...]]:
    """Rows of one value of each option. Each two values of two options that stand together in any `allowed`
    row do so in one of these.
    """
    rows = (row for row in product(*options) if allowed(*row))
    return few(rows, lambda row: set(combinations(enumerate(row), 2)))


def pairwise_first(*options: Iterable[Any]) -> list[Any]:
    """Every combination, for `parametrize`: those that `pairwise` does not choose are slow."""
    values = [list(option) for option in options]
    quick = pairwise(*values)
    return [pytest.param(*row, marks=() if row in quick else pytest.mark.slow) for row in product(*values)]
