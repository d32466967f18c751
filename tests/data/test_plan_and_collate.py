"""Laws of batches for any lengths: every pair once, within the budget, shifted by one, masked exactly where
real.
"""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2attn.data.batches import collate, plan
from seq2attn.data.tokenizer import BOS, EOS, PAD

lengths = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=60)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(lengths, st.integers(1, 200), st.integers(0, 5), st.integers(0, 5))
def test_plan_has_every_row_once_within_the_budget(
    pairs: list[tuple[int, int]], budget: int, seed: int, epoch: int
) -> None:
    source, target = (np.array(side, dtype=np.int32) for side in zip(*pairs, strict=True))
    batches = plan(source, target, budget, seed, epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(pairs)))
    for batch in batches:
        longest = max(int(source[batch].max()), int(target[batch].max())) + 1
        assert longest * len(batch) <= budget or len(batch) == 1
    for batch, again in zip(batches, plan(source, target, budget, seed, epoch), strict=True):
        assert np.array_equal(batch, again)


def test_plan_has_another_order_for_each_seed_and_epoch() -> None:
    source = np.random.default_rng(1).integers(1, 20, 300)
    orders = {
        tuple(np.concatenate(plan(source, source, 100, seed, epoch)))
        for seed in range(3)
        for epoch in range(3)
    }
    assert len(orders) == 9


def test_plan_needs_little_padding() -> None:
    source = np.random.default_rng(1).integers(1, 60, 5000)
    batches = plan(source, source, 2000, 1, 0)
    padded = sum((int(source[batch].max()) + 1) * len(batch) for batch in batches)
    assert (source + 1).sum() / padded > 0.9


ids = st.lists(st.integers(4, 9), max_size=6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=5))
def test_collate_equals_the_definition(pairs: list[tuple[list[int], list[int]]]) -> None:
    batch = collate([source for source, _ in pairs], [target for _, target in pairs])
    longest_source, longest_target = (max(len(pair[side]) for pair in pairs) + 1 for side in (0, 1))
    for row, (source, target) in enumerate(pairs):
        for got, mask, want, width in (
            (batch.source, batch.source_mask, [*source, EOS], longest_source),
            (batch.targets_BT, batch.target_mask_BT, [*target, EOS], longest_target),
            (batch.inputs_BT, batch.target_mask_BT, [BOS, *target], longest_target),
        ):
            assert got[row].tolist() == want + [PAD] * (width - len(want))
            assert mask[row].tolist() == [True] * len(want) + [False] * (width - len(want))
