"""A penalty on attention that reads some positions always and others never (Xu 2015, section 4.2.1)."""

import torch
from torch import Tensor


def doubly_stochastic(weights_BTS: Tensor, real_M: Tensor, mask_BS: Tensor) -> Tensor:
    """The sum over targets and real source positions i of (1 - sum_t a_ti)^2, 0-dim (equation 14).

    t runs over the real steps of a target: `real_M` are their positions among the B*T. The weights of one
    step sum to 1 over the positions; the penalty is 0 where those of each position also sum to 1 over the
    steps.
    """
    steps = weights_BTS.size(1)
    weights_MS = weights_BTS.flatten(0, 1).index_select(0, real_M)
    wide = torch.promote_types(weights_MS.dtype, torch.float32)
    read_BS = weights_MS.new_zeros(mask_BS.shape, dtype=wide).index_add(
        0, real_M // steps, weights_MS.to(wide)
    )
    return ((1 - read_BS) * mask_BS).square().sum()
