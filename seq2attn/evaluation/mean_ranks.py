"""Ranks of numbers, as statistics of ranks need them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mean_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """The rank (n,) of each of the values (n,), from 0; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    ranks: NDArray[np.float64] = ((ends - counts + ends - 1) / 2)[inverse]
    return ranks
