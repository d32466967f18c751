"""Attention that is taught where to read (Chen 2016; Garg 2019, section 4.1).

It is the cross-entropy of its weights with a distribution over the source, at each step that has one.
"""

import torch
from torch import Tensor

SMALLEST = 1e-30  # a weight that underflowed has no logarithm; its gradient must stay finite in float32


def guided_attention(weights_BTS: Tensor, guide_BTS: Tensor) -> Tensor:
    """The sum over steps t and positions s of -g_ts log a_ts, 0-dim.

    The guide g of a step is a distribution over positions, times any factor; it is 0 at steps that have no
    guide, and at padding.
    """
    wide = torch.promote_types(weights_BTS.dtype, torch.float32)
    return -(guide_BTS * weights_BTS.to(wide).clamp_min(SMALLEST).log()).sum()
