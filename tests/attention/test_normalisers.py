"""Weights: a distribution over the real positions, exactly 0 elsewhere, all zeros where nothing is real, in float32 at least."""

import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2attn.attention import ScaledDot, read, softmax


@given(st.lists(st.tuples(st.floats(-50, 50), st.booleans()), min_size=1, max_size=8))
@settings(max_examples=60, deadline=None)
def test_softmax_is_the_references(row: list[tuple[float, bool]]) -> None:
    scores, mask = zip(*row, strict=True)
    got = softmax(torch.tensor(scores, dtype=torch.float64)[None, None], torch.tensor(mask)[None])[0, 0]
    assert got.tolist() == pytest.approx(reference.softmax(list(scores), list(mask)).tolist(), abs=1e-12)
    assert (got[~torch.tensor(mask)] == 0).all()
    assert got.sum().item() == pytest.approx(1.0 if any(mask) else 0.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_masked_scores_may_be_anything(dtype: torch.dtype) -> None:
    scores = torch.tensor([[[1.0, 2.0, 3e4, -3e4]]], dtype=dtype)
    weights = softmax(scores, torch.tensor([[True, True, False, False]]))
    assert weights[0, 0, 2:].tolist() == [0.0, 0.0]
    assert weights.sum().item() == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_scores_are_normalised_in_float32(dtype: torch.dtype) -> None:
    scores = torch.zeros(1, 1, 3000, dtype=dtype)
    weights = softmax(scores, torch.ones(1, 3000, dtype=torch.bool))
    assert weights.dtype == torch.float32
    assert weights.sum().item() == pytest.approx(1.0, abs=1e-5)


def test_a_hugely_negative_score_is_read_when_it_is_all_there_is() -> None:
    assert softmax(torch.tensor([[[-1e30, 0.0]]]), torch.tensor([[True, False]])).tolist() == [[[1.0, 0.0]]]


def test_a_fully_masked_row_is_all_zeros_with_finite_gradients() -> None:
    query, memory = torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, 5, 4, requires_grad=True)
    mask = torch.tensor([[True] * 5, [False] * 5])
    score = ScaledDot()
    context, weights = read(query, score.keys(memory), memory, mask, score, softmax)
    assert (weights[1] == 0).all()
    assert (context[1] == 0).all()
    context.square().sum().backward()
    assert query.grad is not None
    assert memory.grad is not None
    assert torch.isfinite(query.grad).all()
    assert torch.isfinite(memory.grad).all()
    assert (memory.grad[1] == 0).all()
    assert (memory.grad[0] != 0).any()
