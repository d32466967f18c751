"""Sparsemax and 1.5-entmax beside the library of their authors, the definition they come from, and themselves
in more digits.
"""

from collections.abc import Callable

import entmax
import pytest
import reference
import torch
from torch import Tensor

from seq2attn.kernels.sparsemax import entmax15, sparsemax

Sparse = Callable[[Tensor, Tensor], Tensor]
BOTH = pytest.mark.parametrize(
    ("ours", "library", "name"),
    [(sparsemax, entmax.sparsemax, "sparsemax"), (entmax15, entmax.entmax15, "entmax15")],
    ids=["sparsemax", "entmax15"],
)


def all_real(scores: Tensor) -> Tensor:
    return torch.ones(len(scores), 1, scores.size(-1), dtype=torch.bool)


@BOTH
@pytest.mark.parametrize("spread", [0.01, 0.3, 1.0, 10.0])
@pytest.mark.parametrize("size", [1, 2, 7, 100])
def test_weights_and_gradients_equal_the_entmax_library(
    ours: Sparse, library: Callable[..., Tensor], name: str, spread: float, size: int, float64: None
) -> None:
    scores = (torch.randn(5, 4, size) * spread + 30).requires_grad_()
    weights, expected = ours(scores, all_real(scores)), library(scores, dim=-1)
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(weights.sum(-1), torch.ones(5, 4), rtol=0, atol=1e-12)
    gradient = torch.randn(5, 4, size)
    (got,), (other,) = (
        torch.autograd.grad(weights, scores, gradient),
        torch.autograd.grad(expected, scores, gradient),
    )
    torch.testing.assert_close(got, other, rtol=0, atol=1e-12)
    assert size == 1 or spread > 1 or (got != 0).any()


@BOTH
def test_masked_rows_equal_shorter_rows_of_the_entmax_library(
    ours: Sparse, library: Callable[..., Tensor], name: str, float64: None
) -> None:
    mask = torch.rand(6, 3, 8) < 0.6
    mask[..., 2] = True
    scores, gradient = torch.randn(6, 3, 8, requires_grad=True), torch.randn(6, 3, 8)
    weights = ours(scores, mask)
    (got,) = torch.autograd.grad(weights, scores, gradient)
    assert (weights[~mask] == 0).all()
    assert (got[~mask] == 0).all()
    for row in range(6):
        for step in range(3):
            real = mask[row, step]
            short = scores[row, step][real].detach().requires_grad_()
            expected = library(short, dim=-1)
            torch.testing.assert_close(weights[row, step][real], expected, rtol=0, atol=1e-12)
            (other,) = torch.autograd.grad(expected, short, gradient[row, step][real])
            torch.testing.assert_close(got[row, step][real], other, rtol=0, atol=1e-12)


@BOTH
def test_equal_scores_have_equal_weights(
    ours: Sparse, library: Callable[..., Tensor], name: str, float64: None
) -> None:
    scores = torch.tensor(
        [[[1.0, 1.0, 1.0, -3.0], [0.0, 0.0, 0.0, 0.0], [5.0, 4.0, 4.0, 3.0], [2.0, 0.0, 0.0, 0.0]]]
    )
    weights = ours(scores, all_real(scores))[0]
    torch.testing.assert_close(weights[0], torch.tensor([1 / 3, 1 / 3, 1 / 3, 0.0]))
    torch.testing.assert_close(weights[1], torch.full((4,), 0.25))
    for got, row in zip(weights, scores[0], strict=True):
        torch.testing.assert_close(
            got, torch.from_numpy(reference.NORMALISERS[name](row.tolist())), rtol=0, atol=1e-12
        )


def test_sparsemax_is_the_nearest_distribution(float64: None) -> None:
    scores = torch.randn(50, 1, 6) * 2
    weights = sparsemax(scores, all_real(scores))
    others = torch.distributions.Dirichlet(torch.full((6,), 0.3)).sample((50, 400))
    # far and near
    others = torch.cat([others, torch.eye(6).expand(50, 6, 6), weights + 0.01 * (others - weights)], 1)
    assert (
        (weights - scores).square().sum(-1)
        <= (others - scores).square().sum(-1).amin(-1, keepdim=True) + 1e-12
    ).all()


def test_entmax15_maximises_its_objective(float64: None) -> None:
    """p . e + H(p) with the Tsallis entropy H = 4/3 (sum_j p_j - p_j ** 1.5) (Peters 2019, equations 7 and
    8).
    """
    scores = torch.randn(50, 1, 6) * 2
    weights = entmax15(scores, all_real(scores))
    others = torch.distributions.Dirichlet(torch.full((6,), 0.3)).sample((50, 400))
    others = torch.cat([others, torch.eye(6).expand(50, 6, 6), weights + 0.01 * (others - weights)], 1)

    def objective(p: Tensor) -> Tensor:
        return (p * scores).sum(-1) + 4 / 3 * (p - p**1.5).sum(-1)

    assert (objective(weights) >= objective(others).amax(-1, keepdim=True) - 1e-12).all()


@BOTH
@pytest.mark.parametrize("spread", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("hidden", [0, 500])
def test_float32_is_accurate_over_thousands_of_positions(
    ours: Sparse, library: Callable[..., Tensor], name: str, spread: float, hidden: int
) -> None:
    scores, mask = torch.randn(4, 3, 3000) * spread, torch.arange(3000).expand(4, 1, 3000) >= hidden
    scores[0, 0, 700] = scores[0, 0].amax() + 0.99  # nearly alone: a long tail at the edge of the support
    weights, exact = ours(scores, mask), ours(scores.double(), mask)
    torch.testing.assert_close(weights.double(), exact, rtol=0, atol=5e-7)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4, 3), rtol=0, atol=1e-4)


@BOTH
def test_positions_far_below_the_best_are_exactly_zero(
    ours: Sparse, library: Callable[..., Tensor], name: str
) -> None:
    scores = torch.tensor([[[0.0, -2.1, -5.0, -1e30]]], requires_grad=True)
    weights = ours(scores, all_real(scores))
    assert weights.tolist() == [[[1.0, 0.0, 0.0, 0.0]]]
    weights.backward(torch.randn(1, 1, 4))
    assert scores.grad is not None
    assert (scores.grad == 0).all()
