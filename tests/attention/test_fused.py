"""The fused call: what torch's own gives, for few queries as for many; the same bits in any batch, on one thread and on two."""

from collections.abc import Iterator

import pytest
import torch
from torch.nn import functional as F

from seq2attn.attention.fused import ROWS, fused

B, H, S, D = 12, 4, 13, 8


@pytest.fixture(params=[1, 2])
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("queries", range(1, ROWS + 2))
@pytest.mark.parametrize("kind", ["all", "source", "own", "causal"])
@pytest.mark.parametrize("heads", [H, 2])
def test_it_is_torchs_own(queries: int, kind: str, heads: int) -> None:
    query = torch.randn(B, H, queries, D, requires_grad=True)
    keys = S if kind != "causal" else queries
    key, value = (torch.randn(B, heads, keys, D, requires_grad=True) for _ in range(2))
    mask = {"all": None, "causal": None, "source": torch.rand(B, 1, 1, keys) > 0.4, "own": torch.rand(B, 1, queries, keys) > 0.4}[kind]
    if mask is not None:
        mask[..., 0] = True
    found = fused(query, key, value, mask, causal=kind == "causal", scale=0.3, shared=heads < H)
    expected = F.scaled_dot_product_attention(query, key, value, mask, is_causal=kind == "causal", scale=0.3, enable_gqa=heads < H)
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(expected)
    for mine, theirs in zip(*(torch.autograd.grad((out * weight).sum(), (query, key, value)) for out in (found, expected)), strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.usefixtures("_threads")
@torch.no_grad()
def test_a_sentence_gets_the_same_bits_in_any_batch() -> None:
    for queries in range(1, 7):
        for positions in range(1, 50):
            query, (key, value) = torch.randn(B, H, queries, 32), torch.randn(2, B, H, positions, 32)
            whole = fused(query, key, value, None)
            for some in (slice(0, 4), slice(4, 12), slice(7, 8)):
                assert torch.equal(fused(query[some].clone(), key[some].clone(), value[some].clone(), None), whole[some])
