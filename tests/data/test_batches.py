"""Batches: every row once, within the budget, little padding, and tensors that say what is real."""

import numpy as np
import pytest
import torch

from seq2attn.data import batches
from seq2attn.data.batches import collate, collate_source, plan
from seq2attn.data.tokenizer import BOS, EOS, PAD


def lengths(pairs: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    source = draw.lognormal(2.5, 0.6, pairs).astype(np.int32)
    return source, (source * draw.uniform(0.7, 1.4, pairs)).astype(np.int32)


@pytest.mark.parametrize("budget", [1, 64, 1000, 4096, 10**9])
def test_plan_has_every_row_once_within_the_budget(budget: int) -> None:
    source, target = lengths(3000)
    planned = plan(source, target, budget, seed=1, epoch=0)
    assert sorted(np.concatenate(planned)) == list(range(3000))
    for rows in planned:
        assert len(rows) == 1 or len(rows) * (max(source[rows].max(), target[rows].max()) + 1) <= budget


def test_plan_fills_batches_with_little_padding() -> None:
    source, target = lengths(20_000)
    planned = plan(source, target, 4096, seed=1, epoch=0)
    padded = sum(len(rows) * (target[rows].max() + 1) for rows in planned)
    assert (target + 1).sum() / padded > 0.92
    padded = sum(len(rows) * (source[rows].max() + 1) for rows in planned)
    assert (source + 1).sum() / padded > 0.85
    used = [len(rows) * (max(source[rows].max(), target[rows].max()) + 1) / 4096 for rows in planned]
    assert np.mean(used) > 0.97


def test_plan_is_a_pure_function_of_seed_and_epoch() -> None:
    source, target = lengths(2000)

    def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
        return len(one) == len(other) and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))

    first = plan(source, target, 512, seed=1, epoch=0)
    np.random.default_rng().random()
    assert same(first, plan(source.copy(), target.astype(np.int64), 512, seed=1, epoch=0))
    assert not same(first, plan(source, target, 512, seed=1, epoch=1))
    assert not same(first, plan(source, target, 512, seed=2, epoch=0))
    together = {frozenset(rows.tolist()) for rows in first} & {
        frozenset(rows.tolist()) for rows in plan(source, target, 512, seed=1, epoch=1)
    }
    assert len(together) < 0.2 * len(first), "epochs share their batches"


def test_plan_order_is_random_over_the_epoch() -> None:
    source, target = lengths(20_000)
    means = [target[rows].mean() for rows in plan(source, target, 2048, seed=1, epoch=0)]
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.2


def test_plan_sorts_a_huge_corpus_in_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "POOL", 700)
    source, target = lengths(3000)
    planned = plan(source, target, 256, seed=1, epoch=0)
    assert sorted(np.concatenate(planned)) == list(range(3000))


def test_plan_of_no_rows_is_empty() -> None:
    empty = np.empty(0, np.int32)
    assert plan(empty, empty, 100, seed=1, epoch=0) == []


def test_collate_by_hand() -> None:
    batch = collate([np.array([5, 6], np.int32), [7], []], [[8], [9, 10, 11], []])
    assert batch.source.tolist() == [[5, 6, EOS], [7, EOS, PAD], [EOS, PAD, PAD]]
    assert batch.source_mask.tolist() == [[True, True, True], [True, True, False], [True, False, False]]
    assert batch.inputs_BT.tolist() == [[BOS, 8, PAD, PAD], [BOS, 9, 10, 11], [BOS, PAD, PAD, PAD]]
    assert batch.targets_BT.tolist() == [[8, EOS, PAD, PAD], [9, 10, 11, EOS], [EOS, PAD, PAD, PAD]]
    assert batch.target_mask_BT.tolist() == [
        [True, True, False, False],
        [True] * 4,
        [True, False, False, False],
    ]
    assert {batch.source.dtype, batch.inputs_BT.dtype, batch.targets_BT.dtype} == {torch.int64}
    assert batch.source_mask.dtype == batch.target_mask_BT.dtype == torch.bool


def test_collate_source_of_blank_sentences() -> None:
    ids, mask = collate_source([[], []])
    assert ids.tolist() == [[EOS], [EOS]]
    assert mask.all()
