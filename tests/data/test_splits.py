"""Setting aside: the numbers asked for, and no sentence on two sides."""

import numpy as np

from seq2attn.data.splits import NEVER, TEST, TRAIN, VALID, assign_splits, key


def test_assign_splits_keeps_keys_together_and_numbers_exact() -> None:
    keys = np.random.default_rng(0).integers(1, 400, 3000).astype(np.uint64)
    sides = assign_splits(keys, 200, 300, seed=1)
    assert [(sides == side).sum() for side in (TRAIN, VALID, TEST)] == [2500, 200, 300]
    groups = [set(keys[sides == side].tolist()) for side in (TRAIN, VALID, TEST)]
    assert not groups[0] & groups[1]
    assert not groups[0] & groups[2]
    assert not groups[1] & groups[2]


def test_assign_splits_is_a_function_of_the_seed() -> None:
    keys = np.arange(1, 1000, dtype=np.uint64)
    assert np.array_equal(assign_splits(keys, 50, 50, 1), assign_splits(keys, 50, 50, 1))
    assert not np.array_equal(assign_splits(keys, 50, 50, 1), assign_splits(keys, 50, 50, 2))


def test_assign_splits_skips_never_and_large_groups() -> None:
    assert (assign_splits(np.full(50, NEVER, np.uint64), 10, 10, 1) == TRAIN).all()
    keys = np.array([7] * 90 + [8] * 10 + [9], dtype=np.uint64)
    sides = assign_splits(keys, 11, 0, 1)
    assert set(sides[keys == 7]) == {TRAIN}
    assert (sides == VALID).sum() == 11


def test_key_ignores_case_white_space_and_unicode_form() -> None:
    assert key("Un  Été ") == key("un e\u0301te\u0301")
    assert key("a b") != key("ab")
    assert key("") != NEVER
    assert key("\ud800")
