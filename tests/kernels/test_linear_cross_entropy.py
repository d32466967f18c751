"""The chunked cross-entropy beside the definition, torch's own, and finite differences; in one piece or in
many.
"""

import math

import pytest
import reference
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.kernels import linear_cross_entropy
from seq2attn.kernels.linear_cross_entropy import cross_entropies, cross_entropy

M, D, N = 7, 4, 6
SMOOTHING = [0.0, 0.1, 0.4]


@pytest.fixture(params=[1, 2 * N, 10**6], ids=["row-by-row", "two-rows", "at-once"])
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(linear_cross_entropy.CHUNK, "cpu", request.param)


def parts(dtype: torch.dtype = torch.float64) -> tuple[Tensor, nn.Linear, Tensor]:
    output = nn.Linear(D, N, dtype=dtype)
    nn.init.normal_(output.bias)
    return torch.randn(M, D, dtype=dtype, requires_grad=True), output, torch.randint(0, N, (M,))


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_loss_equals_the_references(smoothing: float) -> None:
    features, output, targets = parts()
    want = reference.cross_entropy(output(features).detach().numpy(), targets.tolist(), smoothing)
    assert cross_entropy(features, output, targets, smoothing).item() == pytest.approx(want, abs=1e-10)
    with torch.no_grad():
        assert cross_entropy(features, output, targets, smoothing).item() == pytest.approx(want, abs=1e-10)


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_losses_of_positions_have_no_gradient(smoothing: float) -> None:
    features, output, targets = parts()
    total, each_M = cross_entropies(features, output, targets, smoothing)
    torch.testing.assert_close(
        each_M,
        F.cross_entropy(output(features).detach(), targets, label_smoothing=smoothing, reduction="none"),
    )
    assert total.requires_grad
    assert not each_M.requires_grad
    inputs = (features, output.weight, output.bias)
    both = torch.autograd.grad(total + (each_M * features[:, 0].detach()).sum(), inputs)
    for a, b in zip(
        both, torch.autograd.grad(cross_entropy(features, output, targets, smoothing), inputs), strict=True
    ):
        assert torch.equal(a, b)
    with torch.no_grad():
        torch.testing.assert_close(cross_entropies(features, output, targets, smoothing)[1], each_M)


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_loss_and_gradients_equal_torch_cross_entropy(smoothing: float) -> None:
    features, output, targets = parts()
    inputs = (features, output.weight, output.bias)
    slow = F.cross_entropy(output(features), targets, label_smoothing=smoothing, reduction="sum")
    fast = cross_entropy(features, output, targets, smoothing)
    torch.testing.assert_close(fast, slow)
    for a, b in zip(
        torch.autograd.grad(fast * 0.37, inputs), torch.autograd.grad(slow * 0.37, inputs), strict=True
    ):
        torch.testing.assert_close(a, b)


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_positions_outside_the_mask_count_nothing(smoothing: float) -> None:
    features, output, targets = parts()
    inputs, mask = (features, output.weight, output.bias), torch.arange(M) % 3 != 1
    few = F.cross_entropy(output(features[mask]), targets[mask], label_smoothing=smoothing, reduction="sum")
    total, each_M = cross_entropies(features, output, targets, smoothing, mask)
    torch.testing.assert_close(total, few)
    assert each_M[~mask].tolist() == [0.0] * int((~mask).sum())
    for a, b in zip(torch.autograd.grad(total, inputs), torch.autograd.grad(few, inputs), strict=True):
        torch.testing.assert_close(a, b)
    with torch.no_grad():
        torch.testing.assert_close(cross_entropies(features, output, targets, smoothing, mask)[0], few)


@pytest.mark.usefixtures("_pieces")
def test_gradients_by_finite_differences() -> None:
    features, output, targets = parts()
    tensors = (features, output.weight, output.bias)
    gradients = torch.autograd.grad(cross_entropy(features, output, targets, 0.1), tensors)
    for tensor, gradient in zip(tensors, gradients, strict=True):
        flat = tensor.detach().view(-1)
        for place in range(0, flat.numel(), 3):
            was, ends = flat[place].item(), []
            for step in (1e-6, -1e-6):
                flat[place] = was + step
                with torch.no_grad():
                    ends.append(cross_entropy(features, output, targets, 0.1).item())
            flat[place] = was
            assert gradient.view(-1)[place].item() == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7)


@pytest.mark.parametrize("frozen", ["features", "weight"])
def test_features_or_weights_may_be_frozen(frozen: str) -> None:
    features, output, targets = parts()
    if frozen == "features":
        features = features.detach()
    else:
        output.requires_grad_(False)
    cross_entropy(features, output, targets, 0.1).backward()
    slow = F.cross_entropy(output(features.detach()), targets, label_smoothing=0.1, reduction="sum")
    assert torch.isfinite(slow)
    assert (output.weight.grad is None) == (frozen == "weight")
    assert (features.grad is None) == (frozen == "features")


def test_tied_matrix_gets_both_gradients() -> None:
    """The output matrix that is the embedding too: one parameter, two ways to it."""
    embedding, targets = nn.Embedding(N, D, dtype=torch.float64), torch.randint(0, N, (M,))
    output = nn.Linear(D, N, dtype=torch.float64)
    output.weight = embedding.weight
    tokens = torch.randint(0, N, (M,))
    (fast,) = torch.autograd.grad(
        cross_entropy(embedding(tokens).tanh(), output, targets, 0.1), embedding.weight
    )
    (slow,) = torch.autograd.grad(
        F.cross_entropy(output(embedding(tokens).tanh()), targets, label_smoothing=0.1, reduction="sum"),
        embedding.weight,
    )
    torch.testing.assert_close(fast, slow)


def test_huge_logits_give_a_finite_loss() -> None:
    features, output, targets = parts(torch.float32)
    value = cross_entropy(features * 1e4, output, targets, 0.1)
    assert torch.isfinite(value)
    (gradient,) = torch.autograd.grad(value, features)
    assert torch.isfinite(gradient).all()


def test_loss_of_no_positions_is_zero() -> None:
    features, output, _ = parts()
    assert cross_entropy(features[:0], output, torch.empty(0, dtype=torch.long), 0.1).item() == 0.0


@pytest.mark.usefixtures("_pieces")
def test_autocast_sums_in_float32() -> None:
    features, output, targets = parts(torch.float32)
    exact = cross_entropy(features, output, targets, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        low = cross_entropy(features, output, targets, 0.1)
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(exact.item(), rel=0.02)
    inputs = (features, output.weight, output.bias)
    for a, b in zip(torch.autograd.grad(low, inputs), torch.autograd.grad(exact, inputs), strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() < 0.03 * b.norm()


def test_loss_is_zero_of_certainty_and_log_n_of_a_uniform_guess() -> None:
    output = nn.Linear(D, N, dtype=torch.float64)
    with torch.no_grad():
        output.weight.zero_()
        output.bias.zero_()
    assert cross_entropy(
        torch.randn(3, D, dtype=torch.float64), output, torch.tensor([0, 1, 2]), 0.0
    ).item() == pytest.approx(3 * math.log(N))
    with torch.no_grad():
        output.bias[2] = 50.0
    assert cross_entropy(
        torch.randn(3, D, dtype=torch.float64), output, torch.tensor([2, 2, 2]), 0.0
    ).item() == pytest.approx(0.0, abs=1e-12)
