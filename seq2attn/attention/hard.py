"""Hard weights: the positions that have weight 1, and the probability of a sample of positions.

All are functions of scores, masks and noise alone. The largest of scores plus Gumbel noise is a sample from
the softmax of the scores; the k largest are k samples without replacement (Yellott 1977; Kool 2019, section
2.3).
"""

from typing import Any

import torch
from torch import Tensor

_BITS = (1 << 32) - 1


def largest(scores: Tensor, mask: Tensor, k: int) -> Tensor:
    """Positions (..., min(k, S)) of the k highest scores (..., S), the highest first. Of equal scores the
    earlier position comes first; masked positions come after all real ones.
    """
    hidden = scores.masked_fill(~mask, -torch.inf)
    return hidden.sort(dim=-1, descending=True, stable=True).indices[..., :k]


def ones_at(positions: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
    """Weights (..., S) with shape and type of the scores: 1 at those positions (..., k) that are real, else
    0.
    """
    return torch.zeros_like(scores).scatter(-1, positions, 1.0) * mask


def log_prob_of(positions: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
    """log p (...) of sampling the positions (..., k) in this order from softmax(scores) without replacement
    (Plackett 1975).

    It is sum_r (e_{i_r} - log sum_{j not in i_1 .. i_{r-1}} exp(e_j)) over the real positions; a masked
    position adds 0.
    """
    left, lowest = mask.expand_as(scores), torch.finfo(scores.dtype).min
    terms = []
    for position in positions.split(1, -1):
        log_prob = scores.masked_fill(~left, lowest).log_softmax(-1)
        terms.append(log_prob.gather(-1, position).masked_fill(~left.gather(-1, position), 0.0))
        left = left.scatter(-1, position, False)
    return torch.cat(terms, -1).sum(-1)


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hard: Tensor, soft: Tensor) -> Tensor:
        return hard

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor]:
        return None, gradient


def straight_through(hard: Tensor, soft: Tensor) -> Tensor:
    """`hard` exactly, with the gradient of `soft` (Bengio 2013, section 4)."""
    return _StraightThrough.apply(hard, soft)  # type: ignore[no-any-return]


def gumbel(like: Tensor) -> Tensor:
    """-log(-log(u)), where u is uniform, from torch's generator. Finite, with shape and type of `like`."""
    return -torch.empty_like(like).exponential_().clamp_(min=torch.finfo(like.dtype).tiny).log()


def gumbel_of(stream: Tensor, step: Tensor, positions: int, dtype: torch.dtype) -> Tensor:
    """Gumbel noise (..., S) that is a function of stream (...), step (...) and position alone. It is the same
    in any batch, in any order, with any padding and on any device.
    """
    position_S = torch.arange(positions, device=step.device)
    bits = _hash(_hash(_hash(stream) ^ (step + 0x9E3779B9))[..., None] ^ _hash(position_S))
    # 23 bits and 0.5: float32 holds the sum exactly, and u is neither 0 nor 1
    uniform = ((bits >> 9).to(dtype) + 0.5) / (1 << 23)
    return -(-uniform.log()).log()


def _hash(x: Tensor) -> Tensor:
    """A bijection of 32-bit numbers in int64, by xorshift and multiplication: each input bit changes each
    output bit. No product reaches 63 bits.
    """
    x = x & _BITS
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & _BITS
    x = ((x ^ (x >> 15)) * 0x735A2D97) & _BITS
    return x ^ (x >> 15)
