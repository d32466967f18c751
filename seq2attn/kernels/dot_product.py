"""softmax(scale q k) v for many heads at once, where nobody asks for the weights: the fastest way that torch
has to say it.

It knows tensors alone; what the readable way of `read` gives, it gives too.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

FEW = 16  # numbers of a register


def products(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Queries (B, H, T, d), keys and values (B, G, S, d) of which H / G heads share one -> (B, H, T, d).

    The mask (B, 1, 1 or T, S) is True where a query may look; one that may look nowhere reads zeros.
    `causal`, without a mask: at itself and back alone.
    `scale`, if not 1 / sqrt(d), is what scores are multiplied by.
    """
    dtype = query.dtype
    # On a CPU, for the few queries of a search's step torch's fused call, and any product in half precision,
    # take up to five times as long as plain products in
    # float32; and the way back through the fused call takes half precision eight times as long as plain
    # products, forward twice.
    within = torch.promote_types(dtype, torch.float32) if not torch.is_grad_enabled() else dtype
    if query.device.type == "cpu" and (
        not torch.is_grad_enabled() or dtype in (torch.bfloat16, torch.float16)
    ):
        with torch.autocast("cpu", enabled=False):
            return _plain(
                query.to(within),
                key.to(within),
                value.to(within),
                mask,
                causal,
                query.size(-1) ** -0.5 if scale is None else scale,
            ).to(dtype)
    return F.scaled_dot_product_attention(
        query, key, value, mask, is_causal=causal, scale=scale, enable_gqa=query.size(1) != key.size(1)
    )


def to_compute_dtype(x: Tensor) -> Tensor:
    """Keys or values as steps that come later read them fastest: in float32 at least, a head's positions side
    by side. As they are where gradients are kept.
    """
    return x if torch.is_grad_enabled() else x.to(torch.promote_types(x.dtype, torch.float32)).contiguous()


def _plain(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, scale: float
) -> Tensor:
    heads, steps, sharing = query.size(1), query.size(2), query.size(1) // key.size(1)
    if sharing > 1:  # the queries of heads that share keys, one below the other
        query = query.unflatten(1, (-1, sharing)).flatten(2, 3)
    score = (query * scale) @ key.mT
    if causal:
        mask = torch.ones(steps, key.size(2), dtype=torch.bool, device=query.device).tril()[None, None]
    hidden = None if mask is None else ~mask
    if hidden is not None:
        if sharing > 1 and hidden.size(2) > 1:
            hidden = hidden.repeat(1, 1, sharing, 1)
        score = score.masked_fill(hidden, torch.finfo(score.dtype).min)
    weights = _softmax(score)
    if hidden is not None and not causal:
        weights = weights.masked_fill(hidden, 0.0)  # else one that may look nowhere would read the mean
    context: Tensor = weights @ value
    return (
        context.unflatten(2, (sharing, steps)).flatten(1, 2).view(len(query), heads, steps, -1)
        if sharing > 1
        else context
    )


def _softmax(score: Tensor) -> Tensor:
    """Over the last dimension. Of fewer than FEW numbers torch's own goes one by one, which takes up to ten
    times as long as to fill them up.
    """
    count = score.size(-1)
    if torch.is_grad_enabled() or count >= FEW:
        return score.softmax(-1)
    return F.pad(score, (0, FEW - count), value=-torch.inf).softmax(-1)[..., :count]
