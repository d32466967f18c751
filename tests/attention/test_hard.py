"""Hard weights: the right positions, the probability of what was drawn, by enumeration and by frequency, and
noise that is a function of its place.
"""

import itertools
import math

import pytest
import reference
import torch
import torch.nn.functional as F
from torch import Tensor

from seq2attn.attention import AttentionHistory
from seq2attn.attention.hard import gumbel, gumbel_of, largest, log_prob_of, ones_at
from seq2attn.attention.normalisers import AttentionWeights, Gumbel, HardSample, Normaliser, build_normaliser
from seq2attn.config import AttentionConfig

SCORES = [0.3, -1.2, 1.1, 0.4]


def row(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[None, None]


def real(scores: Tensor) -> Tensor:
    return torch.ones(1, 1, scores.size(-1), dtype=torch.bool)


def at(step_BT: Tensor | list[list[int]], use_expectation_BT: Tensor | None = None) -> AttentionHistory:
    return AttentionHistory(torch.as_tensor(step_BT), use_expectation=use_expectation_BT)


def run(
    normalise: Normaliser, scores_BTS: Tensor, mask_BTS: Tensor, history: AttentionHistory | None = None
) -> AttentionWeights:
    """Of scores of one head."""
    output = normalise(scores_BTS[:, None], mask_BTS[:, None], history)
    return AttentionWeights(*(None if part is None else part[:, 0] for part in output))


def training(k: int = 1, temperature: float = 1.0) -> HardSample:
    return HardSample(k, "argmax", temperature).train()


# The largest


def test_largest_takes_the_highest_and_the_earlier_of_equals_first() -> None:
    scores = row(1.0, 3.0, 2.0, 3.0, 2.0)
    assert largest(scores, real(scores), 4).tolist() == [[[1, 3, 2, 4]]]
    equal = torch.zeros(1, 1, 300)
    assert largest(equal, real(equal), 40).tolist() == [[list(range(40))]]


def test_largest_puts_masked_positions_last_and_ones_at_ignores_them() -> None:
    scores, mask = (
        row(9.0, torch.finfo(torch.float64).min, 8.0, 1.0),
        torch.tensor([[[False, True, False, True]]]),
    )
    positions = largest(scores, mask, 3)
    assert positions[0, 0, :2].tolist() == [3, 1]
    assert ones_at(positions, scores, mask).tolist() == [[[0.0, 1.0, 0.0, 1.0]]]


def test_hard_topk_weights_are_ones_with_the_gradient_of_softmax(float64: None) -> None:
    scores, mask = torch.randn(40, 5, 9, requires_grad=True), torch.rand(40, 5, 9) < 0.7
    weights, gradient = (
        run(
            build_normaliser(AttentionConfig(normaliser="hard-topk", k=3, temperature=0.6)), scores, mask
        ).weights,
        torch.randn(40, 5, 9),
    )
    assert weights.unique().tolist() == [0.0, 1.0]
    (got,) = torch.autograd.grad(weights, scores, gradient)
    soft = (scores / 0.6).masked_fill(~mask, -1e9).softmax(-1)
    (expected,) = torch.autograd.grad(soft, scores, gradient * mask)
    some = mask.any(-1)
    torch.testing.assert_close(got[some], expected[some], rtol=0, atol=1e-12)


# Gumbel


@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_gumbel_equals_torch_gumbel_softmax_under_the_same_noise(temperature: float, float64: None) -> None:
    scores, gradient = torch.randn(6, 4, 7, requires_grad=True), torch.randn(6, 4, 7)
    normalise = build_normaliser(AttentionConfig(normaliser="gumbel", temperature=temperature)).train()
    torch.manual_seed(5)
    got = run(normalise, scores, real(scores)).weights
    torch.manual_seed(5)
    expected = F.gumbel_softmax(scores, temperature, hard=True)
    torch.testing.assert_close(got, expected)
    assert got.unique().tolist() == [0.0, 1.0]
    (mine,), (torchs,) = (
        torch.autograd.grad(got, scores, gradient),
        torch.autograd.grad(expected, scores, gradient),
    )
    torch.testing.assert_close(mine, torchs, rtol=0, atol=1e-12)


def test_gumbel_samples_softmax_in_training_and_takes_the_largest_otherwise() -> None:
    scores = row(*SCORES, 5.0).expand(20000, 1, 5)
    mask = torch.tensor([[[True] * 4 + [False]]])
    for temperature in (1.0, 0.3):
        output = run(Gumbel(temperature).train(), scores, mask).weights.mean((0, 1))
        _holds(output[:4], row(*SCORES).softmax(-1)[0, 0], 20000)
        assert run(Gumbel(temperature).eval(), scores, mask).weights.mean((0, 1)).tolist() == [0, 0, 1, 0, 0]


def _holds(frequency: Tensor, p: Tensor, draws: int) -> None:
    """Within 4.5 standard deviations."""
    assert ((frequency - p).abs() <= 4.5 * (p * (1 - p) / draws).sqrt()).all(), (frequency, p)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gumbel_noise_is_finite_with_the_right_mean_and_variance(dtype: torch.dtype) -> None:
    noise = gumbel(torch.empty(400000, dtype=dtype))
    assert noise.dtype == dtype
    assert torch.isfinite(noise).all()
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.01)
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, abs=0.03)


# Drawing without putting back


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_log_prob_equals_the_references_and_all_samples_sum_to_one(k: int) -> None:
    scores, total = row(*SCORES), 0.0
    for draws in itertools.permutations(range(4), k):
        log_p = log_prob_of(torch.tensor([[draws]]), scores, real(scores)).item()
        assert log_p == pytest.approx(reference.log_p_of_draws(SCORES, draws), abs=1e-12)
        total += math.exp(log_p)
    assert total == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_hard_sample_takes_all_of_fewer_real_positions_than_k(k: int) -> None:
    scores, mask = row(0.3, 7.0, -1.2, 50.0, 0.9), torch.tensor([[[True, False, True, False, False]]])
    draws = list(itertools.permutations([0, 2], min(k, 2)))
    log_ps = [reference.log_p_of_draws(scores[0, 0].tolist(), one, mask[0, 0].tolist()) for one in draws]
    assert sum(map(math.exp, log_ps)) == pytest.approx(1.0)
    values = set()
    for _ in range(30):
        output = run(training(k), scores.requires_grad_(), mask)
        assert output.weights[0, 0].sum() == min(k, 2)
        assert (output.weights[~mask] == 0).all()
        assert min(abs(output.log_prob.item() - log_p) for log_p in log_ps) < 1e-12
        values.add(round(output.log_prob.item(), 6))
        (gradient,) = torch.autograd.grad(output.log_prob.sum(), scores)
        assert torch.isfinite(gradient).all()
        assert (gradient[~mask] == 0).all()
    assert len(values) == 2
    alone = run(training(k), scores, torch.tensor([[[False, True, False, False, False]]]))
    assert alone.weights.tolist() == [[[0.0, 1.0, 0.0, 0.0, 0.0]]]
    assert alone.log_prob.item() == 0.0


@pytest.mark.parametrize("draws", [[2], [0, 2], [4, 0, 1], [4, 2, 0, 1, 3]])
def test_log_prob_gradient_by_finite_differences(draws: list[int], float64: None) -> None:
    scores = torch.randn(2, 3, 5, requires_grad=True)
    mask = torch.tensor([[True] * 5, [True, True, True, False, True]])[:, None]
    positions = torch.tensor(draws).expand(2, 3, -1)
    assert torch.autograd.gradcheck(lambda e: log_prob_of(positions, e, mask), (scores,))


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_hard_sample_frequencies_equal_enumeration(k: int, temperature: float) -> None:
    draws, sharpened = 20000, [e / temperature for e in SCORES]
    scores = row(*SCORES, 3.0).expand(draws, 1, 5)
    output = run(training(k, temperature), scores, torch.tensor([[[True] * 4 + [False]]]))
    assert (output.weights.sum(-1) == k).all()
    every = {
        order: reference.log_p_of_draws(sharpened, order) for order in itertools.permutations(range(4), k)
    }
    sets = [set(weights.nonzero().flatten().tolist()) for weights in output.weights[:, 0]]
    log_ps = torch.tensor(list(every.values()), dtype=torch.float64)
    for order, log_p in every.items():  # the log p that is handed out tells the order of a set
        frequency = (
            sum(
                set(order) == one and abs(other - log_p) < 1e-9
                for one, other in zip(sets, output.log_prob[:, 0].tolist(), strict=True)
            )
            / draws
        )
        _holds(torch.tensor(frequency), torch.tensor(math.exp(log_p)), draws)
    assert (output.log_prob[:, 0, None] - log_ps).abs().amin(-1).max() < 1e-12
    torch.testing.assert_close(
        output.entropy,
        torch.full((draws, 1), reference.entropy(reference.softmax(sharpened)), dtype=torch.float64),
    )


def test_hard_sample_rows_are_independent() -> None:
    weights = run(training(), torch.zeros(2000, 2, 2), torch.ones(1, 1, 2, dtype=torch.bool)).weights[..., 0]
    assert weights.mean().item() == pytest.approx(0.5, abs=0.05)
    assert torch.corrcoef(weights.T)[0, 1].abs() < 0.1
    assert torch.corrcoef(torch.stack([weights[:-1, 0], weights[1:, 0]]))[0, 1].abs() < 0.1


def test_entropy_equals_the_references_with_the_right_gradient(float64: None) -> None:
    scores = torch.randn(2, 3, 5, requires_grad=True)
    mask = torch.tensor([[True] * 5, [True, False, True, False, True]])[:, None]
    entropy = run(training(2), scores, mask).entropy
    for got, e, m in zip(
        entropy.flatten(),
        scores.flatten(0, 1).tolist(),
        mask.expand(2, 3, 5).flatten(0, 1).tolist(),
        strict=True,
    ):
        assert got.item() == pytest.approx(reference.entropy(reference.softmax(e, m)), abs=1e-12)
    assert torch.autograd.gradcheck(lambda e: run(training(temperature=0.7), e, mask).entropy, (scores,))


def test_use_expectation_rows_have_softmax_weights_and_no_log_prob(float64: None) -> None:
    scores = torch.randn(3, 4, 5, requires_grad=True)
    expected = torch.tensor([True, False, True])[:, None].expand(3, 4)
    output = run(
        training(temperature=0.7), scores, real(scores), at(torch.zeros(3, 4, dtype=torch.long), expected)
    )
    soft = (scores / 0.7).softmax(-1)
    torch.testing.assert_close(output.weights[[0, 2]], soft[[0, 2]])
    assert output.weights[1].unique().tolist() == [0.0, 1.0]
    assert (output.log_prob[[0, 2]] == 0).all()
    assert (output.log_prob[1] < 0).all()
    gradient = torch.randn(3, 4, 5)
    (got,) = torch.autograd.grad(output.weights, scores, gradient, retain_graph=True)
    (through,) = torch.autograd.grad(soft, scores, gradient * expected[..., None])
    torch.testing.assert_close(got, through, rtol=0, atol=1e-12)
    (of_log_p,) = torch.autograd.grad(output.log_prob.sum(), scores)
    assert (of_log_p[[0, 2]] == 0).all()
    # the gradient of log softmax at what was drawn
    torch.testing.assert_close(of_log_p[1], (output.weights[1] - soft[1]).detach() / 0.7)


def test_hard_sample_at_inference_is_argmax_expected_or_sample() -> None:
    scores, past = torch.randn(5, 3, 8), at(torch.arange(3).expand(5, 3))
    best = run(HardSample(2, "argmax").eval(), scores, real(scores), past)
    assert best.weights.equal(torch.zeros_like(scores).scatter(-1, scores.topk(2).indices, 1.0))
    soft = run(HardSample(1, "expected").eval(), scores, real(scores), past)
    torch.testing.assert_close(soft.weights, scores.softmax(-1))
    samples = run(HardSample(2, "sample").eval(), scores, real(scores), past)
    assert (samples.weights.sum(-1) == 2).all()
    assert not samples.weights.equal(best.weights)
    assert (best[1:], soft[1:], samples[1:]) == ((None, None),) * 3
    assert (run(HardSample(1, "expected").train(), scores, real(scores)).weights.max(-1).values == 1).all()


# Noise that is a function of its place


def uniform(noise: Tensor) -> Tensor:
    return (-(-noise).exp()).exp()


def mixed(x: int) -> int:
    """The hash in Python's integers, which do not overflow."""
    x &= 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) % 2**32
    x = ((x ^ (x >> 15)) * 0x735A2D97) % 2**32
    return x ^ (x >> 15)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("stream", [0, 3, 2**32 - 1])
def test_inference_noise_is_a_hash_of_stream_step_and_position(dtype: torch.dtype, stream: int) -> None:
    times = [0, 1, 2, 999, 2**31, 2**40 + 5]
    noise = gumbel_of(torch.full((1, 6), stream), torch.tensor([times]), 40, dtype)
    assert noise.shape == (1, 6, 40)
    assert noise.dtype == dtype
    for i, time in enumerate(times):
        for j in range(40):
            u = ((mixed(mixed(mixed(stream) ^ (time + 0x9E3779B9)) ^ mixed(j)) >> 9) + 0.5) / 2**23
            assert noise[0, i, j].item() == pytest.approx(
                -math.log(-math.log(u)), rel=1e-5 if dtype == torch.float32 else 1e-12, abs=1e-6
            )


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_inference_noise_is_the_same_on_a_gpu() -> None:
    time = torch.arange(500)[None]
    here, there = (
        gumbel_of(time, time, 500, torch.float64),
        gumbel_of(time.cuda(), time.cuda(), 500, torch.float64).cpu(),
    )
    torch.testing.assert_close(there, here, rtol=1e-12, atol=1e-12)


def test_inference_noise_is_finite_uniform_and_independent() -> None:
    """A fixed function, so a fixed outcome: chi-square of 64 bins, and of 8 x 8 bins of pairs, below the
    point that 2 in 100,000 fair ones pass.
    """
    n = 400
    noise = gumbel_of(torch.zeros(1, n, dtype=torch.long), torch.arange(n)[None], n, torch.float64)[0]
    assert torch.isfinite(noise).all()
    u = uniform(noise)
    assert u.unique().numel() > 0.98 * n * n

    def chi_square(bins: Tensor) -> float:
        counts = bins.flatten().bincount(minlength=64).double()
        fair = bins.numel() / 64
        return ((counts - fair) ** 2 / fair).sum().item()

    limit = 120
    assert chi_square((u * 64).long()) < limit
    for line in (0, 1, 17, 399):
        assert chi_square((u[line] * 64).long()) < limit
        assert chi_square((u[:, line] * 64).long()) < limit
    assert chi_square((u.diagonal() * 64).long()) < limit
    bins = (u * 8).long()
    for dt, dj in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (0, 16), (16, 0), (0, 256), (256, 0)):
        assert chi_square(bins[: n - dt, : n - dj] * 8 + bins[dt:, dj:]) < limit, (dt, dj)
    assert chi_square(bins[1:, :-1] * 8 + bins[:-1, 1:]) < limit
    off = torch.ones(n, n, dtype=torch.bool).triu(1)
    assert chi_square((bins * 8 + bins.T)[off]) < limit


def test_inference_samples_are_as_frequent_as_their_probability() -> None:
    scores = row(*SCORES).expand(1, 20000, 4)
    output = run(
        HardSample(1, "sample").eval(), scores, real(scores), at(torch.arange(20000)[None])
    ).weights.mean((0, 1))
    _holds(output, row(*SCORES).softmax(-1)[0, 0], 20000)


def test_inference_samples_depend_on_their_step_alone() -> None:
    scores, time = torch.randn(6, 5, 9), torch.arange(5).expand(6, 5)
    normalise = HardSample(2, "sample").eval()
    whole = run(normalise, scores, real(scores), at(time)).weights
    before = torch.get_rng_state()
    order = torch.tensor([3, 0, 5])
    assert run(normalise, scores[order], real(scores), at(time[order])).weights.equal(whole[order])
    for step in range(5):
        assert run(
            normalise, scores[:, step : step + 1], real(scores), at(time[:, step : step + 1])
        ).weights.equal(whole[:, step : step + 1])
    beams = run(normalise, scores[:, [2, 2]], real(scores), at(torch.full((6, 2), 2))).weights
    assert beams.equal(whole[:, [2, 2]])
    padded = torch.cat([scores, torch.full((6, 5, 4), 99.0)], -1)
    assert run(normalise, padded, (torch.arange(13) < 9)[None, None], at(time)).weights[..., :9].equal(whole)
    assert not run(normalise, scores, real(scores), at(time + 1)).weights.equal(whole)
    assert torch.get_rng_state().equal(before)
    torch.manual_seed(9)
    assert run(normalise, scores, real(scores), at(time)).weights.equal(whole)
