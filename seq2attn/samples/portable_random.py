"""Choices that every version of Python makes alike: of `Random.random()` alone, one draw each."""

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def pick(rng: random.Random, items: Sequence[T]) -> T:
    """One of the items, each as likely."""
    return items[int(rng.random() * len(items))]


def mix(rng: random.Random, items: Sequence[T]) -> list[T]:
    """The items in an order of chance."""
    return sorted(items, key=lambda _: rng.random())
