"""A penalty on attention that reads some positions always and others never (Xu 2015, section 4.2.1)."""

import torch
from torch import Tensor


def doubly_stochastic(
    weights_BTS: Tensor, real_M: Tensor | None, mask_BS: Tensor, mask_M: Tensor | None = None
) -> Tensor:
    """The sum over targets and real source positions i of (1 - sum_t a_ti)^2, 0-dim (equation 14).

    t runs over the real steps of a target: `real_M` are their positions among the B*T. Without them `mask_M`
    is True at the real steps among the B*T, and a target without a real step adds 0. The weights of one
    step sum to 1 over the positions; the penalty is 0 where those of each position also sum to 1 over the
    steps.
    """
    steps = weights_BTS.size(1)
    if real_M is None:
        assert mask_M is not None
        real_BT = mask_M.view(-1, steps)
        wide = torch.promote_types(weights_BTS.dtype, torch.float32)
        read_BS = (weights_BTS.to(wide) * real_BT[..., None]).sum(1)
        return ((1 - read_BS) * (mask_BS & real_BT[:, :1])).square().sum()
    weights_MS = weights_BTS.flatten(0, 1).index_select(0, real_M)
    wide = torch.promote_types(weights_MS.dtype, torch.float32)
    read_BS = weights_MS.new_zeros(mask_BS.shape, dtype=wide).index_add(
        0, real_M // steps, weights_MS.to(wide)
    )
    return ((1 - read_BS) * mask_BS).square().sum()
