"""Every normaliser: the reference's weights, exactly 0 at masked positions, zeros in rows without real ones,
and float32 at least. Scores are those of one head, (B, 1, T, S).
"""

import math
from typing import get_args

import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pairwise import pairwise
from torch import Tensor

from seq2attn.attention import AttentionHistory
from seq2attn.attention.normalisers import AttentionWeights, Normaliser, build_normaliser
from seq2attn.config import AttentionConfig

NAMES = get_args(AttentionConfig.model_fields["normaliser"].annotation)
DISTRIBUTIONS = ("softmax", "sparsemax", "entmax15")
VARIANTS: dict[str, dict[str, object]] = {name: {"normaliser": name} for name in NAMES}
VARIANTS |= {
    "hard-topk-3": {"normaliser": "hard-topk", "k": 3},
    "hard-sample-3": {"normaliser": "hard-sample", "k": 3, "expectation_prob": 0.0},
    "hard-sample-expected": {"normaliser": "hard-sample", "at_inference": "expected"},
    "hard-sample-drawn": {
        "normaliser": "hard-sample",
        "k": 2,
        "expectation_prob": 0.0,
        "at_inference": "sample",
    },
}
rows = st.lists(
    st.tuples(st.floats(-50, 50) | st.integers(-2, 2).map(float), st.booleans()), min_size=1, max_size=8
)


def make(variant: str, training: bool = False, **changes: object) -> Normaliser:
    return build_normaliser(AttentionConfig.model_validate(VARIANTS[variant] | changes)).train(training)


def run(normalise: Normaliser, scores: Tensor, mask: Tensor, expectation: bool = False) -> AttentionWeights:
    """Of scores (B, T, S) of one head, each query at its own step."""
    step = torch.arange(scores.size(1)).expand(len(scores), -1)
    use_expectation = torch.full_like(step, expectation, dtype=torch.bool)
    output = normalise(
        scores[:, None], mask[:, None], AttentionHistory(step, use_expectation=use_expectation)
    )
    return AttentionWeights(*(None if part is None else part[:, 0] for part in output))


def test_variants_cover_all_normalisers_and_hold_no_parameters() -> None:
    assert len(NAMES) == 7
    assert not [name for name in NAMES if list(make(name).parameters()) or make(name).state_dict()]


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if variant != "hard-sample-drawn"])
@given(row=rows, temperature=st.sampled_from([1.0, 0.3, 4.0]))
@settings(max_examples=40, deadline=None)
def test_weights_equal_the_references(
    variant: str, row: list[tuple[float, bool]], temperature: float
) -> None:
    scores, mask = zip(*row, strict=True)
    got = run(
        make(variant, temperature=temperature),
        torch.tensor(scores, dtype=torch.float64)[None, None],
        torch.tensor(mask)[None, None],
    ).weights[0, 0]
    expected = reference.NORMALISERS[variant.removesuffix("-3")](
        [e / temperature for e in scores], list(mask), 3 if variant.endswith("-3") else 1
    )
    assert got.tolist() == pytest.approx(expected.tolist(), abs=1e-9)
    assert (got[~torch.tensor(mask)] == 0).all()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_sum_to_one_or_k(variant: str, training: bool) -> None:
    mask = torch.rand(4, 3, 9) < 0.6
    mask[0, 0] = torch.arange(9) == 4
    weights = run(make(variant, training), torch.randn(4, 3, 9) * 3, mask).weights
    assert (weights[~mask] == 0).all()
    assert (weights >= 0).all()
    if variant == "sigmoid":
        assert (weights[mask] > 0).all()
        return
    count = {"hard-topk-3": 3, "hard-sample-3": 3, "hard-sample-drawn": 2}.get(variant, 1)
    torch.testing.assert_close(weights.sum(-1), mask.sum(-1).clamp(max=count).float())
    if variant in DISTRIBUTIONS or (variant == "hard-sample-expected" and not training):
        assert ((weights > 0) & (weights < 1)).any()
    else:
        assert ((weights == 0) | (weights == 1)).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_weights_do_not_depend_on_padding(variant: str) -> None:
    """Whatever stands at hidden positions."""
    scores = torch.randn(2, 3, 5, dtype=torch.float64)
    padded = torch.cat(
        [scores, torch.tensor([1e30, -1e30, 1e4, math.inf], dtype=torch.float64).expand(2, 3, 4)], -1
    )
    normalise = make(variant)
    whole = run(normalise, scores, torch.ones(2, 1, 5, dtype=torch.bool)).weights
    part = run(normalise, padded, (torch.arange(9) < 5).expand(2, 1, 9)).weights
    torch.testing.assert_close(part[..., :5], whole, rtol=1e-12, atol=1e-12)
    assert (part[..., 5:] == 0).all()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_mask_is_shared_or_one_for_each_query(variant: str, training: bool) -> None:
    normalise, scores, mask = make(variant, training), torch.randn(2, 3, 6), torch.rand(2, 3, 6) < 0.5
    torch.manual_seed(3)
    shared = run(normalise, scores, mask[:, :1]).weights
    torch.manual_seed(3)
    each = run(normalise, scores, mask[:, :1].expand(-1, 3, -1)).weights
    assert shared.equal(each)
    weights = run(normalise, scores, mask).weights
    assert (weights[~mask] == 0).all()
    assert (weights[mask] != 0).any()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("variant", VARIANTS)
def test_all_masked_row_has_zero_weights_and_gradients(variant: str, training: bool) -> None:
    scores = torch.randn(2, 3, 4, requires_grad=True)
    mask = torch.tensor([[True, True, False, True], [False] * 4])[:, None]
    for expected in (False, True):
        output = run(make(variant, training), scores, mask, expected)
        assert (output.weights[1] == 0).all()
        loss = (output.weights * torch.randn(2, 3, 4)).sum()
        for part in output[1:]:
            if part is not None:
                assert part.shape == (2, 3)
                assert (part[1] == 0).all()
                loss = loss + part.square().sum()
        if not loss.requires_grad:
            assert variant.startswith("hard-sample")
            continue
        (gradient,) = torch.autograd.grad(loss, scores)
        assert torch.isfinite(gradient).all()
        assert (gradient[1] == 0).all()
        assert (gradient[0, :, [0, 1, 3]] != 0).any()
        assert (gradient[0, :, 2] == 0).all()


@pytest.mark.parametrize(
    ("variant", "training", "dtype"),
    pairwise(VARIANTS, (False, True), (torch.bfloat16, torch.float16, torch.float32, torch.float64)),
)
def test_weights_are_float32_or_the_scores_dtype(variant: str, training: bool, dtype: torch.dtype) -> None:
    scores = torch.randn(1, 2, 3000).to(dtype).requires_grad_()
    output = run(make(variant, training), scores, torch.ones(1, 1, 3000, dtype=torch.bool))
    assert {part.dtype for part in output if part is not None} == {
        torch.float64 if dtype == torch.float64 else torch.float32
    }
    if variant != "sigmoid":
        assert (output.weights.sum(-1) - output.weights.sum(-1).round()).abs().max() < 1e-5
    if output.weights.requires_grad:
        output.weights.square().sum().backward()
        assert scores.grad is not None
        assert scores.grad.dtype == dtype


HUGE = [
    [1e30, -1e30, 0.0, 3.0],
    [-1e30, -1e30, -1e30, -1e30],
    [1e30, 1e30, 1e30, 1e30],
    [-10000.0, -10000.0, 5.0, -1e4],
    [-10000.0] * 4,
    [1e4, -1e4, 1e30, 0],
]


@pytest.mark.parametrize(
    ("variant", "temperature", "training"), pairwise(VARIANTS, (1.0, 0.01), (False, True))
)
def test_huge_scores_give_finite_weights_and_gradients(
    variant: str, temperature: float, training: bool
) -> None:
    scores = torch.tensor(HUGE)[:, None].requires_grad_()
    mask = torch.tensor([True, True, True, False])[None, None]
    for expected in (False, True):
        output = run(make(variant, training, temperature=temperature), scores, mask, expected)
        parts = [part for part in output if part is not None]
        assert all(torch.isfinite(part).all() for part in parts)
        if variant != "sigmoid":
            assert (output.weights.sum(-1) - output.weights.sum(-1).round()).abs().max() < 1e-5
            assert (output.weights.sum(-1) > 0.99).all()
        loss = sum((part * torch.randn_like(part)).sum() for part in parts)
        if loss.requires_grad:
            (gradient,) = torch.autograd.grad(loss, scores)
            assert torch.isfinite(gradient).all()


def test_lowest_score_is_read_when_it_is_the_only_real_one() -> None:
    for variant in set(VARIANTS) - {"sigmoid"}:
        assert run(
            make(variant), torch.tensor([[[-1e30, 0.0]]]), torch.tensor([[[True, False]]])
        ).weights.tolist() == [[[1.0, 0.0]]]


@pytest.mark.parametrize("variant", ["softmax", "sparsemax", "entmax15", "sigmoid", "hard-sample-expected"])
def test_gradients_by_finite_differences(variant: str, float64: None) -> None:
    scores = torch.randn(3, 2, 5, requires_grad=True)
    mask = torch.tensor([[True] * 5, [True, True, False, True, False], [False] * 5])[:, None]
    normalise = make(variant, temperature=0.7)
    assert torch.autograd.gradcheck(lambda e: run(normalise, e, mask).weights, (scores,))


@pytest.mark.parametrize("variant", VARIANTS)
def test_normalisers_declare_what_they_do(variant: str) -> None:
    """Only a softmax is fusible; only those with a log-probability in training draw."""
    normalise, scores = make(variant, True), torch.randn(2, 3, 4)
    output = run(normalise, scores, torch.ones(2, 1, 4, dtype=torch.bool))
    assert normalise.fusible == (variant == "softmax")
    assert normalise.draws == (output.log_prob is not None) == (output.entropy is not None)
