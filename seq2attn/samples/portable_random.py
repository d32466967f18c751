"""Random choices that are the same in every version of Python, because they use only `Random.random()`."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """One of the items, with equal probabilities."""
    return items[int(rng.random() * len(items))]


def mix(rng: random.Random, items: Sequence[T]) -> list[T]:
    """The items in random order."""
    return sorted(items, key=lambda _: rng.random())
