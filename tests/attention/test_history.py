"""Terms of a score that read past weights: held to the papers' equations, blind to padding, and numbers
whatever they are given.
"""

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from seq2attn.attention.history import (
    AttentionHistory,
    Coverage,
    Fertility,
    HistoryFeature,
    LocationAware,
    build_history_feature,
)
from seq2attn.config import AttentionConfig
from seq2attn.kernels.deferred_gradients import unrolled

pytestmark = pytest.mark.usefixtures("float64")

B, T, S, K = 2, 3, 6, 4
TERMS = (
    AttentionConfig(history="coverage"),
    AttentionConfig(history="fertility", max_fertility=3.0),
    AttentionConfig(history="location-aware", filters=3, kernel=5),
)
named = pytest.mark.parametrize("chosen", TERMS, ids=lambda chosen: chosen.history)


def make(chosen: AttentionConfig) -> HistoryFeature:
    term = build_history_feature(chosen, K)
    assert term is not None
    for parameter in term.parameters():
        nn.init.normal_(parameter)
    return term


def past_of(history_BHS: Tensor) -> AttentionHistory:
    """Of one query a sentence, after weights (B, steps, S)."""
    batch, steps, _ = history_BHS.shape
    last = history_BHS[:, -1:] if steps else torch.zeros_like(history_BHS.sum(1, keepdim=True))
    return AttentionHistory(torch.full((batch, 1), steps), last, history_BHS.sum(1, keepdim=True))


def reference_weights(chosen: AttentionConfig, term: HistoryFeature) -> dict[str, np.ndarray]:
    match term:
        case Fertility():
            return {"u": term.fertility.weight[0].detach().numpy(), "n": np.array(chosen.max_fertility)}
        case LocationAware():
            return {"f": term.filters[:, 0].detach().numpy()}
    return {}


@named
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_features_are_the_papers(chosen: AttentionConfig, steps: int) -> None:
    term = make(chosen)
    memory, history = torch.randn(B, S, K), torch.randn(B, steps, S).softmax(-1)
    got = term(past_of(history), term.source(memory))
    assert got.shape == (B, 1, S, term.size)
    for b in range(B):
        for j in range(S):
            want = reference.HISTORY[chosen.history](
                reference_weights(chosen, term), list(history[b].numpy()), list(memory[b].numpy()), j
            )
            np.testing.assert_allclose(got[b, 0, j].detach(), want, atol=1e-12)


@named
def test_queries_do_not_see_each_others_past(chosen: AttentionConfig) -> None:
    term = make(chosen)
    source, weights = term.source(torch.randn(B, S, K)), torch.rand(2, B, T, S)
    combine_layers = term(AttentionHistory(torch.zeros(B, T), weights[0], weights[1]), source)
    assert combine_layers.shape == (B, T, S, term.size)
    for t in range(T):
        one = slice(t, t + 1)
        torch.testing.assert_close(
            combine_layers[:, one],
            term(AttentionHistory(torch.zeros(B, 1), weights[0, :, one], weights[1, :, one]), source),
        )


@named
def test_padding_changes_nothing(chosen: AttentionConfig) -> None:
    """Whatever the memory holds there: weights on padding are 0."""
    term = make(chosen)
    memory, weights = torch.randn(B, S, K), torch.rand(2, B, 1, S)
    short = term(AttentionHistory(torch.zeros(B, 1), *weights), term.source(memory))
    longer = torch.cat([memory, torch.full((B, 5, K), 1e3)], 1)
    long = term(AttentionHistory(torch.zeros(B, 1), *nn.functional.pad(weights, (0, 5))), term.source(longer))
    torch.testing.assert_close(long[:, :, :S], short)


def test_location_aware_sees_its_kernel_and_no_further() -> None:
    """Only positions within half the kernel of a changed weight change, on both sides."""
    term = make(AttentionConfig(history="location-aware", filters=2, kernel=5))
    before, after = torch.zeros(1, 1, 9), torch.zeros(1, 1, 9)
    after[0, 0, 4] = 1.0
    changed = (
        term(AttentionHistory(torch.zeros(1, 1), after), None)
        != term(AttentionHistory(torch.zeros(1, 1), before), None)
    ).all(-1)
    assert changed[0, 0].nonzero().flatten().tolist() == [2, 3, 4, 5, 6]


@given(st.integers(1, 7), st.integers(0, 3), st.integers(0, 6), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_location_aware_moves_with_the_weights(length: int, half: int, shift: int, filters: int) -> None:
    """Shifted weights have shifted features, for every length and width, one longer than the source included."""
    torch.manual_seed(0)
    term = make(AttentionConfig(history="location-aware", filters=filters, kernel=2 * half + 1))
    weights = torch.rand(1, 1, length)
    room = nn.functional.pad(weights, (half, half))
    here = term(AttentionHistory(torch.zeros(1, 1), room), None)
    moved = term(AttentionHistory(torch.zeros(1, 1), nn.functional.pad(room, (shift, 0))), None)
    torch.testing.assert_close(moved[:, :, shift:], here)


@named
@pytest.mark.parametrize("loop", [False, True])
def test_gradients_to_weights_memory_and_parameters(chosen: AttentionConfig, loop: bool) -> None:
    term = make(chosen)
    names = [name for name, _ in term.named_parameters()]

    def whole(memory: Tensor, last: Tensor, total: Tensor, *parameters: Tensor) -> Tensor:
        given = {f"term.{name}": value for name, value in zip(names, parameters, strict=True)}
        return torch.func.functional_call(_Whole(term, loop), given, (memory, last, total))

    parts = torch.randn(B, S, K), torch.rand(B, T, S), torch.rand(B, T, S)
    used = tuple(part.requires_grad_() for part in parts)
    torch.autograd.gradcheck(whole, (*used, *term.parameters()))


class _Whole(nn.Module):
    def __init__(self, term: HistoryFeature, loop: bool) -> None:
        super().__init__()
        self.term, self.loop = term, loop

    def forward(self, memory: Tensor, last: Tensor, total: Tensor) -> Tensor:
        # no term reads all three, and gradcheck asks for each
        nothing = 0 * (memory.sum() + last.sum() + total.sum())
        if not self.loop:
            return (
                self.term(AttentionHistory(torch.zeros(B, T), last, total), self.term.source(memory))
                + nothing
            )
        with unrolled():
            source = self.term.source(memory)
            steps = [
                self.term(AttentionHistory(torch.zeros(B, 1), a, c), source)
                for a, c in zip(last.split(1, 1), total.split(1, 1), strict=True)
            ]
        return torch.cat(steps, 1) + nothing


def test_coverage_and_fertility_are_one_where_a_word_answers_for_one() -> None:
    """N sigma(0) = 1 with N = 2."""
    fertility, total = Fertility(K, 2.0), torch.rand(B, 1, S)
    nn.init.zeros_(fertility.fertility.weight)
    past = AttentionHistory(torch.zeros(B, 1), total, total)
    torch.testing.assert_close(
        fertility(past, fertility.source(torch.randn(B, S, K))), Coverage()(past, None)
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("share", [-1e4, 1e4])
def test_a_fertility_of_nothing_is_a_number(dtype: torch.dtype, share: float) -> None:
    """Also before the first step, where it divides no weight at all, and for the type that a product then
    takes.
    """
    term = Fertility(1, 2.0).float()
    nn.init.ones_(term.fertility.weight)
    memory = torch.full((1, 2, 1), share, dtype=torch.float32, requires_grad=True)
    total = torch.tensor([[[0.0, 3.0]]], dtype=torch.float32, requires_grad=True)
    features = term(AttentionHistory(torch.zeros(1, 1), total, total), term.source(memory)).to(dtype)
    features.float().sum().backward()
    assert features.isfinite().all()
    assert features[0, 0, 0] == 0
    assert memory.grad is not None
    assert memory.grad.isfinite().all()
    assert term.fertility.weight.grad is not None
    assert term.fertility.weight.grad.isfinite().all()


def test_no_past_has_no_term() -> None:
    assert build_history_feature(AttentionConfig(), K) is None
