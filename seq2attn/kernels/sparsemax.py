"""Sparsemax and 1.5-entmax, with their own derivative: distributions that are exactly 0 at positions far
below the best. Functions of scores (..., S) and a mask, which is broadcast to them.

Both are p_j = max((alpha - 1) e_j - tau, 0) ** (1 / (alpha - 1)) with the tau that makes the sum 1, computed
exactly from the sorted scores; with s_j = p_j ** (2 - alpha) on the support, the Jacobian is
diag(s) - s s^T / sum(s) (Peters 2019, equations 10 and 14).

Slow twin: the definition with tau by bisection, in tests/reference/attention.py. The tests in
tests/kernels/test_sparsemax.py and tests/attention/test_normalisers.py compare both, and the derivative with
finite differences.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# below the highest score: 1 puts a position outside the support, and one more keeps it there when rounded
FLOOR = -2.0


def _shifted(scores: Tensor, hidden: Tensor) -> Tensor:
    """Scores shifted so that the highest is 0, which changes no weight, and none below the floor."""
    filled = scores.masked_fill(hidden, torch.finfo(scores.dtype).min)
    return (filled - filled.amax(-1, keepdim=True)).clamp_(min=FLOOR)


def _back(s: Tensor, gradient: Tensor) -> Tensor:
    weighted = s * gradient
    # sum(s) is at least 1, but 0 in a row that is all masked
    return weighted - s * (weighted.sum(-1, keepdim=True) / s.sum(-1, keepdim=True).clamp_(min=0.5))


class _Sparsemax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, hidden: Tensor) -> Tensor:
        z = _shifted(scores, hidden)
        ordered = z.sort(-1, descending=True).values
        rank = torch.arange(1, z.size(-1) + 1, device=z.device, dtype=z.dtype)
        beyond = ordered.cumsum(-1) - 1
        size = (rank * ordered > beyond).sum(-1, keepdim=True)  # Martins 2016, algorithm 1
        weights = (z - beyond.gather(-1, size - 1) / size).clamp_(min=0).masked_fill_(hidden, 0.0)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (weights,) = ctx.saved_tensors
        return _back(weights.sign(), gradient), None


class _Entmax15(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor, hidden: Tensor) -> Tensor:
        z = _shifted(scores / 2, hidden)
        ordered = z.sort(-1, descending=True).values
        rank = torch.arange(1, z.size(-1) + 1, device=z.device, dtype=z.dtype)
        mean = ordered.cumsum(-1) / rank
        spread = ordered.square().cumsum(-1) / rank - mean.square()
        taus = mean - (1 / rank - spread).clamp_(min=0).sqrt_()  # Peters 2019, algorithm 2
        tau = taus.gather(-1, (taus <= ordered).sum(-1, keepdim=True) - 1)
        root = (z - tau).clamp_(min=0)
        # one step of Newton's method: the running sums leave an error in tau that shows in float32 over
        # thousands of positions
        tau = tau + (root.square().sum(-1, keepdim=True) - 1) / (2 * root.sum(-1, keepdim=True))
        root = (z - tau).clamp_(min=0).masked_fill_(hidden, 0.0)
        ctx.save_for_backward(root)
        return root.square()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (root,) = ctx.saved_tensors
        return _back(root, gradient), None


def sparsemax(scores: Tensor, mask: Tensor) -> Tensor:
    """The point of the simplex nearest to the scores (Martins 2016, equations 2 and 3); 0 where masked."""
    weights: Tensor = _Sparsemax.apply(scores, ~mask)
    return weights


def entmax15(scores: Tensor, mask: Tensor) -> Tensor:
    """alpha-entmax with alpha = 1.5, between softmax and sparsemax (Peters 2019, equation 10), over real
    positions.
    """
    weights: Tensor = _Entmax15.apply(scores, ~mask)
    return weights
