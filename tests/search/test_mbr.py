"""The choice among samples: by hand, every sample counted, every pair compared once, ties to the first."""

import itertools
import random

import pytest

from seq2attn.search.mbr import rank_by_expected_utility


def common(output: str, reference: str) -> float:
    """Not symmetric: the share of the reference's letters that the output has."""
    return sum(letter in output for letter in reference) / max(len(reference), 1)


def test_expected_utility_equals_hand_computation() -> None:
    # abc against itself, ab, ab, d: 1, 1, 1, 0; ab: 2/3, 1, 1, 0; d: 0, 0, 0, 1
    assert rank_by_expected_utility(["abc", "ab", "ab", "d"], common) == [
        (0, pytest.approx(3 / 4)),
        (1, pytest.approx((2 / 3 + 2) / 4)),
        (3, pytest.approx(1 / 4)),
    ]


def test_expected_utility_counts_repeated_samples() -> None:
    once, often = (
        rank_by_expected_utility(["ab", "ac", "bc"], common),
        rank_by_expected_utility(["ab", "ac", "bc", "bc", "bc"], common),
    )
    assert [place for place, _ in once] == [0, 1, 2]
    assert often[0] == (2, pytest.approx((0.5 + 0.5 + 3) / 5))


def test_expected_utility_is_the_mean_over_all_samples() -> None:
    for seed in range(30):
        samples = random.Random(seed).choices(
            ["".join(word) for word in itertools.product("abc", repeat=2)], k=12
        )
        means = {output: sum(common(output, reference) for reference in samples) / 12 for output in samples}
        ranking = rank_by_expected_utility(samples, common)
        assert {samples[place] for place, _ in ranking} == set(samples)
        assert all(samples.index(samples[place]) == place for place, _ in ranking)
        assert [value for _, value in ranking] == pytest.approx(sorted(means.values(), reverse=True))
        assert all(value == pytest.approx(means[samples[place]]) for place, value in ranking)


def test_expected_utility_compares_each_pair_once() -> None:
    calls = []
    rank_by_expected_utility(
        ["a", "b", "a", "c", "a"], lambda output, reference: calls.append((output, reference)) or 0.0
    )
    assert sorted(calls) == sorted(itertools.product("abc", repeat=2))


def test_ranking_keeps_the_order_of_ties() -> None:
    assert [
        place for place, _ in rank_by_expected_utility(["c", "a", "b", "a"], lambda output, reference: 1.0)
    ] == [0, 1, 2]
    assert rank_by_expected_utility(["", "", ""], common) == [(0, 0.0)]
