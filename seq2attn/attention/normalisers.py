"""Normalisers: scores to weights. Masked positions get exactly 0; a row with nothing to read gets zeros, and a finite gradient."""

from collections.abc import Callable

import torch
from torch import Tensor

Normaliser = Callable[[Tensor, Tensor, Tensor | None], Tensor]


def softmax(scores_BTS: Tensor, mask_BS: Tensor, past: Tensor | None = None) -> Tensor:
    """exp(e_ij) / sum_j exp(e_ij) over the real positions, in float32 or wider: weights (B, T, S)."""
    hidden = ~mask_BS[:, None]
    scores = scores_BTS.float() if scores_BTS.dtype in (torch.bfloat16, torch.float16) else scores_BTS
    # the most negative finite number, not -inf: a row that is all masked stays finite, and the second fill makes it zeros
    weights = scores.masked_fill(hidden, torch.finfo(scores.dtype).min).softmax(-1)
    return weights.masked_fill(hidden, 0.0)
