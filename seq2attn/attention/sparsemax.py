"""Sparsemax and 1.5-entmax: distributions that are exactly 0 at positions far below the best. Functions of
scores and a mask alone.

Both are p_j = max((alpha - 1) e_j - tau, 0) ** (1 / (alpha - 1)) with the tau that makes the sum 1, found
exactly from the sorted scores;
with s_j = p_j ** (2 - alpha) on the support, the Jacobian is diag(s) - s s^T / sum(s) (Peters 2019, equations
10 and 14).
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# below the highest score; 1 is enough to be out of the support, and one more keeps rounding from letting it
# in
FLOOR = -2.0


def _shifted(scores_BTS: Tensor, hidden: Tensor) -> Tensor:
    """Scores whose highest is 0, which changes no weight, and hidden and hopeless ones at the floor."""
    filled = scores_BTS.masked_fill(hidden, torch.finfo(scores_BTS.dtype).min)
    return (filled - filled.amax(-1, keepdim=True)).clamp_(min=FLOOR)


def _back(s_BTS: Tensor, gradient_BTS: Tensor) -> Tensor:
    weighted = s_BTS * gradient_BTS
    # sum(s) is at least 1 where anything is read: the bound is for rows without
    return weighted - s_BTS * (weighted.sum(-1, keepdim=True) / s_BTS.sum(-1, keepdim=True).clamp_(min=0.5))


class _Sparsemax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores_BTS: Tensor, hidden: Tensor) -> Tensor:
        z = _shifted(scores_BTS, hidden)
        ordered = z.sort(-1, descending=True).values
        rank = torch.arange(1, z.size(-1) + 1, device=z.device, dtype=z.dtype)
        beyond = ordered.cumsum(-1) - 1
        size = (rank * ordered > beyond).sum(-1, keepdim=True)  # Martins 2016, algorithm 1
        weights = (z - beyond.gather(-1, size - 1) / size).clamp_(min=0).masked_fill_(hidden, 0.0)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BTS: Tensor) -> tuple[Tensor, None]:
        (weights,) = ctx.saved_tensors
        return _back(weights.sign(), gradient_BTS), None


class _Entmax15(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores_BTS: Tensor, hidden: Tensor) -> Tensor:
        z = _shifted(scores_BTS / 2, hidden)
        ordered = z.sort(-1, descending=True).values
        rank = torch.arange(1, z.size(-1) + 1, device=z.device, dtype=z.dtype)
        mean = ordered.cumsum(-1) / rank
        spread = ordered.square().cumsum(-1) / rank - mean.square()
        taus = mean - (1 / rank - spread).clamp_(min=0).sqrt_()  # Peters 2019, algorithm 2
        tau = taus.gather(-1, (taus <= ordered).sum(-1, keepdim=True) - 1)
        root = (z - tau).clamp_(min=0)
        # one step of Newton's: running sums leave an error in tau that would show in float32 over thousands
        # of positions
        tau = tau + (root.square().sum(-1, keepdim=True) - 1) / (2 * root.sum(-1, keepdim=True))
        root = (z - tau).clamp_(min=0).masked_fill_(hidden, 0.0)
        ctx.save_for_backward(root)
        return root.square()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BTS: Tensor) -> tuple[Tensor, None]:
        (root,) = ctx.saved_tensors
        return _back(root, gradient_BTS), None


def sparsemax(scores_BTS: Tensor, mask: Tensor) -> Tensor:
    """The point of the simplex nearest to the scores (Martins 2016, equations 2 and 3) over real positions;
    the mask is (B, 1 or T, S).
    """
    weights: Tensor = _Sparsemax.apply(scores_BTS, ~mask)
    return weights


def entmax15(scores_BTS: Tensor, mask: Tensor) -> Tensor:
    """Between softmax and sparsemax: alpha-entmax with alpha = 1.5 (Peters 2019, equation 10) over real
    positions; the mask is (B, 1 or T, S).
    """
    weights: Tensor = _Entmax15.apply(scores_BTS, ~mask)
    return weights
