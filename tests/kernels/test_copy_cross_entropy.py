"""The chunked cross-entropy of a softmax mixed with copies beside the definition in plain loops and beside
autograd; in one piece or in many.
"""

import math

import pytest
import reference
import torch
from torch import Tensor, nn

from seq2attn.copying.pointer import Copies, mixture
from seq2attn.kernels import linear_cross_entropy
from seq2attn.kernels.copy_cross_entropy import CopyRows, copy_cross_entropies

B, T, S, D, N = 2, 3, 4, 5, 9
M = B * T
SMOOTHING = [0.0, 0.1, 0.4]


@pytest.fixture(params=[1, 2 * N, 10**6], ids=["row-by-row", "two-rows", "at-once"])
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(linear_cross_entropy.CHUNK, "cpu", request.param)


class Case:
    """Some targets stand in the source, some do not; one has no mass, and one stands there twice."""

    def __init__(self, dtype: torch.dtype = torch.float64) -> None:
        torch.manual_seed(4)
        self.output = nn.Linear(D, N, dtype=dtype)
        nn.init.normal_(self.output.bias)
        self.features = torch.randn(M, D, dtype=dtype, requires_grad=True)
        self.gate = torch.randn(B, T, dtype=dtype, requires_grad=True)
        mass_BTS = torch.rand(B, T, S, dtype=dtype)
        mass_BTS[..., 2] = 0
        self.mass = (mass_BTS / mass_BTS.sum(-1, keepdim=True)).requires_grad_()
        self.tokens = torch.tensor([[5, 6, 5, 7], [4, 8, 4, 6]])
        self.targets = torch.tensor([5, 1, 7, 4, 2, 6])

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return self.features, self.output.weight, self.output.bias, self.gate, self.mass

    @property
    def copies(self) -> Copies:
        return Copies(self.gate, self.mass, self.tokens)

    def fast(self, smoothing: float, mask: Tensor | None = None, rows: CopyRows | None = None) -> Tensor:
        rows = self.copies.rows(None) if rows is None else rows
        return copy_cross_entropies(self.features, self.output, rows, self.targets, smoothing, mask)[0]

    def slow(self, smoothing: float) -> Tensor:
        """Of each position."""
        log_p = mixture(self.output(self.features), self.copies)
        of_target = log_p.gather(1, self.targets[:, None])[:, 0]
        return -(1 - smoothing) * of_target - smoothing * log_p.mean(1)


@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_loss_equals_the_references(smoothing: float) -> None:
    case = Case()
    w = {"w": torch.zeros(2).numpy(), "target_of": list(range(N))}
    steps = []
    for row, logits in enumerate(case.output(case.features).detach()):
        b, t = divmod(row, T)
        w["b"] = case.gate[b, t].item()
        zero = torch.zeros(1).numpy()
        source, attention = case.tokens[b].tolist(), case.mass[b, t].tolist()
        steps.append(reference.mixture(w, logits.tolist(), zero, zero, attention, source))
    want = reference.cross_entropy(steps, case.targets.tolist(), smoothing)
    assert case.fast(smoothing).item() == pytest.approx(want, abs=1e-10)
    with torch.no_grad():
        assert case.fast(smoothing).item() == pytest.approx(want, abs=1e-10)


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("smoothing", SMOOTHING)
def test_loss_and_gradients_equal_the_slow_twins(smoothing: float) -> None:
    case = Case()
    fast, slow = case.fast(smoothing), case.slow(smoothing).sum()
    torch.testing.assert_close(fast, slow)
    got, want = (torch.autograd.grad(0.37 * loss, case.inputs) for loss in (fast, slow))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.usefixtures("_pieces")
def test_positions_outside_the_mask_count_nothing() -> None:
    case, mask = Case(), torch.arange(M) % 3 != 1
    fast, slow = case.fast(0.1, mask), (case.slow(0.1) * mask).sum()
    torch.testing.assert_close(fast, slow)
    got, want = (torch.autograd.grad(loss, case.inputs) for loss in (fast, slow))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


def test_losses_of_positions_have_no_gradient() -> None:
    case = Case()
    _, each_M = copy_cross_entropies(case.features, case.output, case.copies.rows(None), case.targets, 0.1)
    assert not each_M.requires_grad
    torch.testing.assert_close(each_M, case.slow(0.1).detach())


def test_rows_are_those_of_real_positions() -> None:
    case, real_M = Case(), torch.tensor([1, 3, 5])
    for got, every in zip(case.copies.rows(real_M), case.copies.rows(None), strict=True):
        assert torch.equal(got, every[real_M])


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16], ids=str)
def test_half_precision_has_nearly_the_same_loss(precision: torch.dtype) -> None:
    case = Case(torch.float32)
    with torch.autocast("cpu", precision):
        loss = case.fast(0.1)
        gradients = torch.autograd.grad(loss, case.inputs)
    want = torch.autograd.grad(case.slow(0.1).sum(), case.inputs)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, case.slow(0.1).sum(), rtol=0.02, atol=0)
    for a, b in zip(gradients, want, strict=True):
        assert a.dtype == torch.float32
        torch.testing.assert_close(a, b, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("attention", [1.0, 1e-30, 1e-42])
def test_target_that_can_only_be_copied_has_a_finite_loss(attention: float, precision: torch.dtype) -> None:
    """The softmax gives it nothing that a float holds, and attention all or next to nothing."""
    case = Case(torch.float32)
    with torch.no_grad():
        case.output.bias[4:] = -2e4
        case.mass[0, 0] = torch.tensor([attention, 1 - attention, 0, 0])
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        loss = case.fast(0.0)
    gradients = torch.autograd.grad(loss, case.inputs)
    assert math.isfinite(loss.item())
    assert all(gradient.isfinite().all() for gradient in gradients)
