"""Which rows an epoch has, if corpora are mixed with weights."""

import numpy as np
from numpy.typing import NDArray


def rows_of_epoch(weights: NDArray[np.float64], seed: int, epoch: int) -> NDArray[np.int64]:
    """The rows of one epoch, in order: a row of weight 2 comes twice, and of rows of weight 0.3 come 30%.

    `weights` is (N,). It is a pure function of its arguments. Which rows of a fraction come is drawn anew for
    each epoch.
    """
    rng = np.random.default_rng([seed, epoch, len(weights)])
    counts = np.floor(weights).astype(np.int64)
    for weight in np.unique(weights):
        rows = np.flatnonzero(weights == weight)
        extra = round(float(weight % 1) * len(rows))
        counts[rng.choice(rows, extra, replace=False)] += 1
    return np.repeat(np.arange(len(weights)), counts)
