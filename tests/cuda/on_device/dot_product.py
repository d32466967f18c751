"""Attention by torch's fused kernels on CUDA beside the plain products of a CPU, where a kernel is choosy."""

import pytest
import torch
from simulated import counts

from seq2attn.kernels.dot_product import dot_product_attention

CUDA = torch.device("cuda", 0)
B, T, S, SIZE = 2, 3, 5, 8


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("shared", [1, 2])
@pytest.mark.parametrize("apart", [False, True], ids=["rows", "columns"])
def test_a_fused_kernel_reads_shared_heads_and_columns(masked: bool, shared: int, apart: bool) -> None:
    """`apart`: the numbers of a key lie apart, as in the map of a convolution."""
    torch.manual_seed(1)
    heads = (B, 4, T), (B, 4 // shared, S), (B, 4 // shared, S)
    tensors = [torch.randn(*shape[:2], SIZE, shape[2]).mT for shape in heads]
    tensors = [x if apart else x.contiguous() for x in tensors]
    mask = (torch.arange(S) < torch.tensor([S, 2])[:, None])[:, None, None] if masked else None
    with torch.no_grad():
        want = dot_product_attention(*tensors, mask)
    counts.reset()
    got = dot_product_attention(*(x.to(CUDA) for x in tensors), None if mask is None else mask.to(CUDA))
    torch.testing.assert_close(got.cpu(), want)
    if masked or shared == 1:  # without a mask, one kernel alone takes shared heads, in half precision
        assert "sdpa:math" not in counts.read()
