"""Stands in for scaled_dot_product_attention: one operation, as on a GPU. It counts which of torch's kernels
would be chosen, by torch's own rules.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from . import counts
from .cuda_module import capability

HALVES = (torch.float16, torch.bfloat16)


def kernel(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, grouped: bool) -> str:
    """flash, efficient or math."""
    is_new_half = q.dtype in HALVES and capability() >= (8, 0)
    multiple = 8 if is_new_half else 4
    if any(x.stride(-1) != 1 for x in (q, k, v)):
        return "math"
    if mask is None and is_new_half and q.size(-1) <= 256 and q.size(-1) == v.size(-1):
        return "flash"
    fits = q.size(-1) % multiple == 0 and v.size(-1) % multiple == 0
    return "efficient" if fits and not grouped and q.dtype != torch.float64 else "math"


def install() -> None:
    plain = F.scaled_dot_product_attention

    def attention(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Any:
        more = {"is_causal": is_causal, "scale": scale, "enable_gqa": enable_gqa}
        if not query.is_cuda:
            return plain(query, key, value, attn_mask, dropout_p, **more)
        if torch.is_autocast_enabled("cuda"):
            dtype = torch.get_autocast_dtype("cuda")
            query, key, value = (x.to(dtype) for x in (query, key, value))
            if attn_mask is not None and attn_mask.is_floating_point():
                attn_mask = attn_mask.to(dtype)
        refuse_mixed(query, key, value, attn_mask)
        name = kernel(query, key, value, attn_mask, enable_gqa)
        counts.add(f"sdpa:{name}")
        with torch.autocast("cuda", enabled=False):
            if name == "math" or query.size(-1) != value.size(-1):
                query, key, value = query.contiguous(), key.contiguous(), value.contiguous()
                return plain(query, key, value, attn_mask, dropout_p, **more)
            if enable_gqa:
                key, value = (x.repeat_interleave(query.size(1) // x.size(1), 1) for x in (key, value))
            if attn_mask is not None and attn_mask.dtype == torch.bool:
                none = torch.zeros(attn_mask.shape, dtype=query.dtype, device=query.device)
                attn_mask = none.masked_fill_(attn_mask.logical_not(), -torch.inf)
            return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
                query, key, value, 0.0, is_causal, attn_mask=attn_mask, scale=scale
            )[0]

    F.scaled_dot_product_attention = attention


def refuse_mixed(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> None:
    if not query.dtype == key.dtype == value.dtype:
        raise RuntimeError(
            "Expected query, key, and value to have the same dtype, but got query.dtype: "
            f"{query.dtype} key.dtype: {key.dtype} and value.dtype: {value.dtype} instead."
        )
    for tensor in (key, value, mask):
        if tensor is not None and tensor.device != query.device:
            raise RuntimeError("Expected query, key, and value to have the same device type")
