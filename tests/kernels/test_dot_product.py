"""The two ways of dot_product_attention are equal, forward and backward, with masks and shared heads."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from seq2attn.kernels import dot_product as module
from seq2attn.kernels.dot_product import dot_product_attention

B, H, T, S, D = 3, 4, 5, 6, 8
MASKS: dict[str, Callable[[], Tensor | None]] = {
    "none": lambda: None,
    "positions": lambda: torch.arange(S) < torch.tensor([S, 2, 1])[:, None, None, None],
    "each": lambda: torch.rand(B, 1, T, S, generator=torch.Generator().manual_seed(1)) < 0.5,
    "nowhere": lambda: torch.zeros(B, 1, 1, S, dtype=torch.bool),
}


def given(kv_heads: int, steps: int = S) -> tuple[Tensor, Tensor, Tensor]:
    draw = torch.Generator().manual_seed(7)
    shapes = ((H, T if steps == S else steps), (kv_heads, steps), (kv_heads, steps))
    query, key, value = (
        torch.randn(B, heads, length, D, dtype=torch.float64, generator=draw).requires_grad_()
        for heads, length in shapes
    )
    return query, key, value


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("mask", list(MASKS))
@pytest.mark.parametrize("scale", [0.3, D**-0.5])
def test_plain_products_equal_the_fused_call(kv_heads: int, mask: str, scale: float) -> None:
    inputs, visible = given(kv_heads), MASKS[mask]()
    plain = module._plain(*inputs, visible, False, scale)
    fused = F.scaled_dot_product_attention(*inputs, visible, scale=scale, enable_gqa=True)
    torch.testing.assert_close(plain, fused, rtol=0, atol=1e-12)
    up = torch.randn_like(plain)
    for a, b in zip(
        torch.autograd.grad(plain, inputs, up), torch.autograd.grad(fused, inputs, up), strict=True
    ):
        # torch's own has no gradient where a query looks nowhere
        torch.testing.assert_close(a, b.nan_to_num(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
def test_causal_plain_products_equal_the_fused_call(kv_heads: int) -> None:
    inputs = given(kv_heads, steps=7)
    fused = F.scaled_dot_product_attention(*inputs, is_causal=True, enable_gqa=True)
    torch.testing.assert_close(module._plain(*inputs, None, True, D**-0.5), fused, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("causal", [False, True])
def test_every_dtype_is_near_float64(dtype: torch.dtype, causal: bool) -> None:
    inputs = [x.detach().to(dtype) for x in given(2, steps=7)]
    want = F.scaled_dot_product_attention(*(x.double() for x in inputs), is_causal=causal, enable_gqa=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        got = dot_product_attention(*inputs, causal=causal)
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), want, rtol=0, atol=0.03 if dtype == torch.bfloat16 else 1e-6)
