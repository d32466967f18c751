"""Links from matrices, and the best rule for them against all rules that there are."""

import numpy as np
import pytest

from seq2attn.evaluation.alignment import Links, score
from seq2attn.explaining.links import ARG_MAX, LinkRule, agreement, best_rule, links_of, shares

MATRIX = np.array([[0.7, 0.2, 0.1], [0.0, 0.0, 0.0], [0.4, 0.4, 0.2]], np.float32)


def test_links_of_arg_max_are_one_a_word_with_a_positive_value() -> None:
    assert links_of(MATRIX, ARG_MAX) == {(0, 0), (0, 2)}


def test_links_of_a_threshold_are_all_values_from_it_on() -> None:
    assert links_of(MATRIX, LinkRule(False, 0.4)) == {(0, 0), (0, 2), (1, 2)}
    assert links_of(MATRIX, LinkRule(True, 0.65)) == {(0, 0), (0, 2)}
    assert links_of(MATRIX, LinkRule(False, 0.0)) == {(0, 0), (1, 0), (2, 0), (0, 2), (1, 2), (2, 2)}


def test_best_rule_is_the_best_of_all_thresholds() -> None:
    generator = np.random.default_rng(1)
    for _ in range(60):
        matrices = [
            np.round(generator.random(generator.integers(1, 6, 2)), 1).astype(np.float32) for _ in range(4)
        ]
        gold = []
        for matrix in matrices:
            possible = {(s, t) for t, s in np.ndindex(matrix.shape) if generator.random() < 0.4}
            sure = {link for link in possible if generator.random() < 0.7}
            gold.append(Links(frozenset(sure), frozenset(possible)))
        rule, rate = best_rule(matrices, gold)
        rules = [ARG_MAX, *(LinkRule(largest, t / 20) for largest in (False, True) for t in range(21))]
        rates = [score([links_of(matrix, one) for matrix in matrices], gold).error_rate for one in rules]
        rates_known = [one for one in rates if one is not None]
        assert rate is not None
        assert rate <= min(rates_known) + 1e-9
        its_rate = score([links_of(matrix, rule) for matrix in matrices], gold).error_rate
        assert its_rate == pytest.approx(rate)


def test_shares_leave_out_what_is_negative() -> None:
    matrix = np.array([[3.0, -2.0, 1.0], [-1.0, 0.0, -1.0]], np.float32)
    assert shares(matrix).tolist() == [[0.75, 0.0, 0.25], [0.0, 0.0, 0.0]]


def test_agreement_counts_links_that_both_have() -> None:
    assert agreement([{(0, 0), (1, 1)}], [{(0, 0)}]) == pytest.approx(2 / 3)
    assert agreement([set()], [set()]) is None
