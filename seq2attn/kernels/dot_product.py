"""softmax(scale q k) v for many heads at once, by the fastest way of torch on this device. It does not return
the attention weights.

Slow twin: score, softmax and matmul in `Attention.forward`, and `SelfAttention.weights`. Held equal by
tests/attention/test_attention.py and test_self_attention.py; the two ways in this file by
tests/kernels/test_dot_product.py.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2attn.kernels.deferred_gradients import product_dtype

VECTOR = 16  # float32 numbers in a vector register


def dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    *,
    causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """The contexts (B, H, T, d) of queries (B, H, T, d), keys and values (B, G, S, d). H / G heads of queries
    share one head of keys and values.

    The mask (B, 1, 1 or T, S) is True where a query may read; a query that may read no position gets zeros.
    With `causal`, and without a mask, a query reads its own position and earlier ones. `scale` is the factor
    on the scores; None: 1 / sqrt(d).
    """
    dtype, cpu, learns = query.dtype, query.device.type == "cpu", torch.is_grad_enabled()
    # On a CPU plain products in float32 are faster than torch's fused call for the few queries of a search's
    # step (up to five times) and for half precision (forward twice, backward eight times).
    # And torch.compile knows no backward pass of the fused call on a CPU for lengths that change.
    if cpu and (not learns or dtype in (torch.bfloat16, torch.float16) or torch.compiler.is_compiling()):
        wide = dtype if learns else torch.promote_types(dtype, torch.float32)
        scale = query.size(-1) ** -0.5 if scale is None else scale
        with torch.autocast("cpu", enabled=False):
            return _plain(query.to(wide), key.to(wide), value.to(wide), mask, causal, scale).to(dtype)
    group = query.size(1) // key.size(1)
    if not cpu:
        # Of torch's fused kernels none reads shared heads beside a mask, or keys whose numbers lie apart.
        if group > 1 and mask is not None:
            key, value, group = key.repeat_interleave(group, 1), value.repeat_interleave(group, 1), 1
        query, key, value = (x if x.stride(-1) == 1 else x.contiguous() for x in (query, key, value))
    return F.scaled_dot_product_attention(
        query, key, value, mask, is_causal=causal, scale=scale, enable_gqa=group > 1
    )


def to_compute_dtype(x: Tensor) -> Tensor:
    """Keys or values as later steps read them fastest: contiguous, and in `compute_dtype`. While gradients
    are recorded, x itself.
    """
    return x if torch.is_grad_enabled() else x.to(compute_dtype(x)).contiguous()


def compute_dtype(x: Tensor) -> torch.dtype:
    """The type in which the steps of a search read keys and values fastest: on a CPU float32 or wider, on
    CUDA that of products, to which each step would otherwise convert them all.
    """
    return product_dtype(x) if x.is_cuda else torch.promote_types(x.dtype, torch.float32)


def _plain(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, scale: float
) -> Tensor:
    heads, steps, group = query.size(1), query.size(2), query.size(1) // key.size(1)
    if group > 1:  # the queries of heads that share keys become the rows of one matrix
        query = query.unflatten(1, (-1, group)).flatten(2, 3)
    score = (query * scale) @ key.mT
    if causal:
        mask = torch.ones(steps, key.size(2), dtype=torch.bool, device=query.device).tril()[None, None]
    hidden = None if mask is None else ~mask
    if hidden is not None:
        if group > 1 and hidden.size(2) > 1:
            hidden = hidden.repeat(1, 1, group, 1)
        score = score.masked_fill(hidden, torch.finfo(score.dtype).min)
    weights = _softmax(score)
    if hidden is not None and not causal:
        weights = weights.masked_fill(hidden, 0.0)  # a query that may read no position would read the mean
    context: Tensor = weights @ value
    if group > 1:
        context = context.unflatten(2, (group, steps)).flatten(1, 2).view(len(query), heads, steps, -1)
    return context


def _softmax(score: Tensor) -> Tensor:
    """The softmax over the last dimension. If that has fewer numbers than a vector register, torch computes
    them one by one, which takes up to ten times as long as padded ones.
    """
    count = score.size(-1)
    if torch.is_grad_enabled() or count >= VECTOR:
        return score.softmax(-1)
    return F.pad(score, (0, VECTOR - count), value=-torch.inf).softmax(-1)[..., :count]
