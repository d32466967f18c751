"""Hard weights: which positions are read, 0 or 1 each, and how probable a draw was. Functions of scores,
masks and noise alone.

Adding Gumbel noise to scores and taking the largest draws from their softmax; taking the k largest draws k
positions one after another
without putting back (Yellott 1977; Kool 2019, section 2.3).
"""

from typing import Any

import torch
from torch import Tensor

_BITS = (1 << 32) - 1


def largest(scores_BTS: Tensor, mask: Tensor, k: int) -> Tensor:
    """Positions (B, T, min(k, S)) of the k highest scores, highest first, the earlier among equals; masked
    ones come after all real ones.
    """
    return (
        scores_BTS.masked_fill(~mask, -torch.inf).sort(dim=-1, descending=True, stable=True).indices[..., :k]
    )


def ones_at(positions_BTK: Tensor, scores_BTS: Tensor, mask: Tensor) -> Tensor:
    """Weights (B, T, S), shaped and typed as the scores: 1 at the positions that are real, else 0."""
    return torch.zeros_like(scores_BTS).scatter(-1, positions_BTK, 1.0) * mask


def log_p_of(positions_BTK: Tensor, scores_BTS: Tensor, mask: Tensor) -> Tensor:
    """log p (B, T) of drawing the positions one after another from softmax(scores) without putting back
    (Plackett 1975).

    sum_r e_{i_r} - log sum_{j not among i_1 .. i_{r-1}} exp(e_j), over the real positions; masked ones add
    nothing.
    """
    left, lowest = mask.expand_as(scores_BTS), torch.finfo(scores_BTS.dtype).min
    terms = []
    for position in positions_BTK.split(1, -1):
        log_p = scores_BTS.masked_fill(~left, lowest).log_softmax(-1)
        terms.append(log_p.gather(-1, position).masked_fill(~left.gather(-1, position), 0.0))
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


def gumbel_of(stream_BT: Tensor, time_BT: Tensor, positions: int, dtype: torch.dtype) -> Tensor:
    """Gumbel noise (B, T, S) that is a function of stream, step and position alone: the same in any batch,
    order, padding, and on any device.
    """
    position_S = torch.arange(positions, device=time_BT.device)
    bits = _mixed(_mixed(_mixed(stream_BT) ^ (time_BT + 0x9E3779B9))[..., None] ^ _mixed(position_S))
    # 23 bits and a half: float32 holds them exactly, and neither 0 nor 1 occurs
    uniform = ((bits >> 9).to(dtype) + 0.5) / (1 << 23)
    return -(-uniform.log()).log()


def _mixed(x: Tensor) -> Tensor:
    """A bijection of 32-bit numbers, held in int64, in which each bit in moves each bit out: xorshift and
    multiply. No product reaches 63 bits.
    """
    x = x & _BITS
    x = ((x ^ (x >> 16)) * 0x21F0AAAD) & _BITS
    x = ((x ^ (x >> 15)) * 0x735A2D97) & _BITS
    return x ^ (x >> 15)
