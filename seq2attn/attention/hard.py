"""Hard weights: which positions are read, 0 or 1 each, and how probable a sample was. Functions of scores,
masks and noise alone.

The largest of scores plus Gumbel noise is a sample from their softmax; the k largest are k samples without
replacement (Yellott 1977; Kool 2019, section 2.3).
"""

from typing import Any

import torch
from torch import Tensor

_BITS = (1 << 32) - 1


def largest(scores: Tensor, mask: Tensor, k: int) -> Tensor:
    """Positions (..., min(k, S)) of the k highest scores (..., S), highest first, the earlier among equals;
    masked ones come after all real ones.
    """
    hidden = scores.masked_fill(~mask, -torch.inf)
    return hidden.sort(dim=-1, descending=True, stable=True).indices[..., :k]


def ones_at(positions: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
    """Weights (..., S), shaped and typed as the scores: 1 at the positions (..., k) that are real, else 0."""
    return torch.zeros_like(scores).scatter(-1, positions, 1.0) * mask


def log_prob_of(positions: Tensor, scores: Tensor, mask: Tensor) -> Tensor:
    """log p (...) of sampling the positions (..., k) in this order from softmax(scores) without replacement
    (Plackett 1975).

    sum_r e_{i_r} - log sum_{j not among i_1 .. i_{r-1}} exp(e_j), over the real positions; masked ones add
    nothing.
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
    weights: Tensor = _StraightThrough.apply(hard, soft)
    return weights


def gumbel(like: Tensor) -> Tensor:
    """-log(-log(u)), u uniform, from torch's generator: shaped and typed as `like`, finite."""
    return -torch.empty_like(like).exponential_().clamp_(min=torch.finfo(like.dtype).tiny).log()


def gumbel_of(stream: Tensor, step: Tensor, positions: int, dtype: torch.dtype) -> Tensor:
    """Gumbel noise (..., S) that is a function of stream (...), step (...) and position alone: the same in
    any batch, order, padding, and on any device.
    """
    position_S = torch.arange(positions, device=step.device)
    bits = _hash(_hash(_hash(stream) ^ (step + 0x9E3779B9))[..., None] ^ _hash(position_S))
    # 23 bits and a half: float32 holds them exactly, and neither 0 nor 1 occurs
    uniform = ((bits >> 9).to(dtype) + 0.5) / (1 << 23)
    return -(-uniform.log()).log()


def _hash(x: Tensor) -> Tensor:
    """A bijection of 32-bit numbers, held in int64, in which each input bit changes each output bit: xorshift
    and multiply. No product reaches 63 bits.
    """
    x = x & _BITS
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & _BITS
    x = ((x ^ (x >> 15)) * 0x735A2D97) & _BITS
    return x ^ (x >> 15)
