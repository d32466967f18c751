"""History features: the papers' equations, no effect of padding or other queries, right gradients."""

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
CONFIGS = (
    AttentionConfig(history="coverage"),
    AttentionConfig(history="fertility", max_fertility=3.0),
    AttentionConfig(history="location-aware", filters=3, kernel=5),
)
every = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.history)


def make(config: AttentionConfig) -> HistoryFeature:
    feature = build_history_feature(config, K)
    assert feature is not None
    for parameter in feature.parameters():
        nn.init.normal_(parameter)
    return feature


def run(
    feature: HistoryFeature,
    previous_BTS: Tensor,
    cumulative_BTS: Tensor | None = None,
    keys_BSK: Tensor | None = None,
) -> Tensor:
    """Features (B, T, S, P) of the weights of one head."""
    step = torch.zeros(previous_BTS.shape[:2], dtype=torch.long)
    cumulative = None if cumulative_BTS is None else cumulative_BTS[:, :, None]
    history_keys = None if keys_BSK is None else feature.project_keys(keys_BSK[:, None])
    return feature(AttentionHistory(step, previous_BTS[:, :, None], cumulative), history_keys)[:, 0]


def reference_weights(config: AttentionConfig, feature: HistoryFeature) -> dict[str, np.ndarray]:
    match feature:
        case Fertility():
            return {"u": feature.fertility.weight[0].detach().numpy(), "n": np.array(config.max_fertility)}
        case LocationAware():
            return {"f": feature.filters[:, 0].detach().numpy()}
    return {}


@every
@pytest.mark.parametrize("steps", [0, 1, 3])
def test_features_equal_the_papers_equations(config: AttentionConfig, steps: int) -> None:
    feature = make(config)
    keys, weights_BTS = torch.randn(B, S, K), torch.randn(B, steps, S).softmax(-1)
    cumulative_B1S = weights_BTS.sum(1, keepdim=True)
    features = run(feature, weights_BTS[:, -1:] if steps else torch.zeros(B, 1, S), cumulative_B1S, keys)
    assert features.shape == (B, 1, S, feature.size)
    for b in range(B):
        for j in range(S):
            expected = reference.HISTORY[config.history](
                reference_weights(config, feature), list(weights_BTS[b].numpy()), list(keys[b].numpy()), j
            )
            np.testing.assert_allclose(features[b, 0, j].detach(), expected, atol=1e-12)


@every
def test_features_of_queries_and_heads_are_independent(config: AttentionConfig) -> None:
    feature, heads = make(config), 2
    keys, weights = torch.randn(B, heads, S, K), torch.rand(2, B, T, heads, S)
    features = feature(AttentionHistory(torch.zeros(B, T), *weights), feature.project_keys(keys))
    assert features.shape == (B, heads, T, S, feature.size)
    for t in range(T):
        for h in range(heads):
            previous, cumulative = weights[:, :, t : t + 1, h]
            torch.testing.assert_close(
                features[:, h, t], run(feature, previous, cumulative, keys[:, h])[:, 0]
            )


@every
def test_features_do_not_depend_on_padding(config: AttentionConfig) -> None:
    """Whatever the memory holds there: weights on padding are 0."""
    feature = make(config)
    keys, weights = torch.randn(B, S, K), torch.rand(2, B, 1, S)
    longer = torch.cat([keys, torch.full((B, 5, K), 1e3)], 1)
    padded = run(feature, *nn.functional.pad(weights, (0, 5)), longer)
    torch.testing.assert_close(padded[:, :, :S], run(feature, *weights, keys))


def test_location_aware_features_see_half_a_kernel_on_both_sides() -> None:
    feature = make(AttentionConfig(history="location-aware", filters=2, kernel=5))
    before, after = torch.zeros(1, 1, 9), torch.zeros(1, 1, 9)
    after[0, 0, 4] = 1.0
    changed = (run(feature, after) != run(feature, before)).all(-1)
    assert changed[0, 0].nonzero().flatten().tolist() == [2, 3, 4, 5, 6]


@given(st.integers(1, 7), st.integers(0, 3), st.integers(0, 6), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_location_aware_features_shift_with_the_weights(
    length: int, half: int, shift: int, filters: int
) -> None:
    """For every length and width, kernels longer than the source included."""
    torch.manual_seed(0)
    feature = make(AttentionConfig(history="location-aware", filters=filters, kernel=2 * half + 1))
    weights = nn.functional.pad(torch.rand(1, 1, length), (half, half))
    shifted = run(feature, nn.functional.pad(weights, (shift, 0)))
    torch.testing.assert_close(shifted[:, :, shift:], run(feature, weights))


@every
@pytest.mark.parametrize("loop", [False, True])
def test_gradients_of_weights_memory_and_parameters(config: AttentionConfig, loop: bool) -> None:
    feature = make(config)
    names = [name for name, _ in feature.named_parameters()]

    def whole(keys: Tensor, previous: Tensor, cumulative: Tensor, *parameters: Tensor) -> Tensor:
        values = {f"feature.{name}": value for name, value in zip(names, parameters, strict=True)}
        return torch.func.functional_call(_Whole(feature, loop), values, (keys, previous, cumulative))

    inputs = torch.randn(B, S, K), torch.rand(B, T, S), torch.rand(B, T, S)
    torch.autograd.gradcheck(whole, (*(part.requires_grad_() for part in inputs), *feature.parameters()))


class _Whole(nn.Module):
    def __init__(self, feature: HistoryFeature, loop: bool) -> None:
        super().__init__()
        self.feature, self.loop = feature, loop

    def forward(self, keys: Tensor, previous: Tensor, cumulative: Tensor) -> Tensor:
        # no feature reads all three, and gradcheck needs a gradient of each
        zero = 0 * (keys.sum() + previous.sum() + cumulative.sum())
        if not self.loop:
            return run(self.feature, previous, cumulative, keys) + zero
        with unrolled():
            history_keys = self.feature.project_keys(keys[:, None])
            steps = [
                self.feature(AttentionHistory(torch.zeros(B, 1), a[:, :, None], c[:, :, None]), history_keys)[
                    :, 0
                ]
                for a, c in zip(previous.split(1, 1), cumulative.split(1, 1), strict=True)
            ]
        return torch.cat(steps, 1) + zero


def test_fertility_of_one_is_coverage() -> None:
    """N sigma(0) = 1 with N = 2."""
    fertility, weights, keys = Fertility(K, 2.0), torch.rand(B, 1, S), torch.randn(B, S, K)
    nn.init.zeros_(fertility.fertility.weight)
    torch.testing.assert_close(run(fertility, weights, weights, keys), run(Coverage(), weights, weights))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("share", [-1e4, 1e4])
def test_fertility_near_zero_stays_finite(dtype: torch.dtype, share: float) -> None:
    """Also before the first step, where all weights are 0, and in the dtype of the product that follows."""
    feature = Fertility(1, 2.0).float()
    nn.init.ones_(feature.fertility.weight)
    keys = torch.full((1, 2, 1), share, dtype=torch.float32, requires_grad=True)
    cumulative = torch.tensor([[[0.0, 3.0]]], dtype=torch.float32, requires_grad=True)
    features = run(feature, cumulative, cumulative, keys).to(dtype)
    features.float().sum().backward()
    assert features.isfinite().all()
    assert features[0, 0, 0] == 0
    for tensor in (keys, feature.fertility.weight):
        assert tensor.grad is not None
        assert tensor.grad.isfinite().all()


def test_build_history_feature_gives_none_by_default() -> None:
    assert build_history_feature(AttentionConfig(), K) is None


def test_history_for_all_steps_counts_steps_and_repeats_draws() -> None:
    rows = AttentionHistory(torch.zeros(2), None, None, torch.tensor([True, False]), torch.tensor([7, 9]))
    history = rows.for_all_steps(3)
    assert history.step.tolist() == [[0, 1, 2]] * 2
    assert history.use_expectation is not None
    assert history.use_expectation.tolist() == [[True] * 3, [False] * 3]
    assert history.rng_stream is not None
    assert history.rng_stream.tolist() == [[7] * 3, [9] * 3]
    assert history.previous is history.cumulative is None


def test_history_by_sentence_groups_the_rows_of_a_sentence() -> None:
    weights = torch.rand(6, 2, S)
    history = AttentionHistory(torch.arange(6), weights, weights).by_sentence(3)
    assert history.step.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert history.previous is not None
    assert history.previous.equal(weights.view(3, 2, 2, S))
    assert history.use_expectation is None
