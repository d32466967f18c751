"""Word links from matrices of weights or attributions, and the choice of how to make them, by gold links.

A matrix (W, U) has a row for each target word and a column for each source word. Rows of attributions are
divided by the sum of their positive values first, so that one threshold fits all of them; weights stay as
they are. Links are sets of (source word, target word), from 0.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2attn.evaluation.alignment import AlignmentScore, Link, Links, score
from seq2attn.explaining.attention import Matrix


class LinkRule(NamedTuple):
    """How links are made from a matrix."""

    largest: bool  # each target word has the source word with the largest value
    threshold: float | None  # and every source word with at least this value

    def __str__(self) -> str:
        parts = [*(["arg max"] if self.largest else [])]
        parts += [] if self.threshold is None else [f"from {self.threshold:.2g} on"]
        return ", and ".join(parts)


ARG_MAX = LinkRule(True, None)


def shares(matrix: Matrix) -> Matrix:
    """Attributions as shares: negative ones are 0, and each row with a positive value adds up to 1."""
    positive = np.maximum(matrix, 0)
    sums = positive.sum(1, keepdims=True)
    result: Matrix = np.divide(positive, sums, out=np.zeros_like(positive), where=sums > 0)
    return result


def links_of(matrix: NDArray[np.floating], rule: LinkRule) -> set[Link]:
    """The links of one pair. A row without a positive value has none."""
    return set(ordered_links(matrix, rule))


def ordered_links(matrix: NDArray[np.floating], rule: LinkRule) -> list[Link]:
    """The links of one pair, in the order of the target words."""
    return [(int(source), int(target)) for target, source in np.argwhere(_keys(matrix, rule) > 0)]


def best_rule(matrices: Sequence[Matrix], gold: Sequence[Links]) -> tuple[LinkRule, float | None]:
    """The rule with the lowest error rate on these pairs, and that rate: arg max, a threshold, or both.

    The threshold is the best of all values. Of equal rates the simpler rule is taken.
    """
    best, rate = ARG_MAX, score([links_of(matrix, ARG_MAX) for matrix in matrices], gold).error_rate
    sure_count = sum(len(links.sure) for links in gold)
    sure, possible = (
        np.concatenate([_table(matrix, side) for matrix, side in zip(matrices, sides, strict=True)])
        for sides in ([links.sure for links in gold], [links.possible for links in gold])
    )
    for largest in (False, True):
        values = np.concatenate([_keys(matrix, LinkRule(largest, 0.0)).ravel() for matrix in matrices])
        order = np.argsort(-values, kind="stable")
        order = order[values[order] > 0]
        if not len(order):
            continue
        hits = np.cumsum(sure[order] + possible[order].astype(np.int64))
        rates = 1 - hits / (np.arange(1, len(order) + 1) + sure_count)
        # a threshold takes all equal values or none
        sorted_values = values[order]
        last = np.append(sorted_values[1:] != sorted_values[:-1], True) & (sorted_values < np.inf)
        if not last.any():
            continue
        place = int(np.argmin(np.where(last, rates, np.inf)))
        if rate is None or rates[place] < rate - 1e-9:
            after = sorted_values[place + 1] if place + 1 < len(order) else 0.0
            best = LinkRule(largest, float((sorted_values[place] + after) / 2))
            rate = float(rates[place])
    return best, rate


def agreement(one: Sequence[set[Link]], other: Sequence[set[Link]]) -> float | None:
    """The share of links that both have: 2 |A and B| / (|A| + |B|); None without links."""
    both = sum(len(a & b) for a, b in zip(one, other, strict=True))
    links = sum(map(len, one)) + sum(map(len, other))
    return 2 * both / links if links else None


def scored(matrices: Sequence[Matrix], rule: LinkRule, gold: Sequence[Links]) -> AlignmentScore:
    """The score of the links that a rule makes."""
    return score([links_of(matrix, rule) for matrix in matrices], gold)


def _keys(matrix: NDArray[np.floating], rule: LinkRule) -> NDArray[np.float64]:
    """The values that count for a rule: 0 where there is no link, infinity at the largest of a row."""
    values = matrix.astype(np.float64)
    result = np.zeros_like(values)
    if rule.threshold is not None:
        result = np.where((values >= rule.threshold) & (values > 0), values, 0.0)
    if rule.largest and values.size:
        rows = np.arange(len(values))
        first = values.argmax(1)
        present = values[rows, first] > 0
        result[rows[present], first[present]] = np.inf
    return result


def _table(matrix: Matrix, links: frozenset[Link]) -> NDArray[np.int64]:
    table = np.zeros(matrix.shape, np.int64)
    for source, target in links:
        table[target, source] = 1
    return table.ravel()
