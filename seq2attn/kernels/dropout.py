"""Dropout (Srivastava 2014) from 16 random bits for each number.

On a CPU torch's own dropout draws a float for each number, which takes a tenth of a Transformer's training
step. Slow twin: `torch.nn.functional.dropout`, which serves other devices. tests/kernels/test_dropout.py
holds both to the same distribution; the random numbers differ.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 1 << 16  # number of values of 16 bits


def dropout(x: Tensor, p: float, training: bool) -> Tensor:
    """x, each number of which is set to 0 with probability p (to 1/65,536) and otherwise divided by 1 - p.
    The random bits are from torch's generator. Outside training: x itself.
    """
    if not training or p == 0:
        return x
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, p)
    nonzero = max(1, round((1 - p) * LEVELS))  # of LEVELS
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
    level = words.view(torch.int16)[: x.numel()].view(x.shape)
    return x * (level <= nonzero - LEVELS // 2 - 1).to(x.dtype).mul_(LEVELS / nonzero)
