"""Multi-head self-attention: scaled dot products of a sequence with itself (Vaswani 2017, section 3.2).

It stores nothing between two calls: the caller holds the keys and values of earlier steps and hands them in.
The output comes from a fused call that never has all weights in memory; `weights` computes them separately.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from seq2attn.attention.normalisers import softmax
from seq2attn.attention.part import StackedLinear
from seq2attn.kernels.dot_product import dot_product_attention
from seq2attn.kernels.dropout import dropout


class SelfAttention(nn.Module):
    def __init__(self, size: int, heads: int, kv_heads: int | None, rotary: bool, bias: bool) -> None:
        """heads / kv_heads heads of queries share one head of keys and values (Ainslie 2023). None: as many
        `kv_heads` as `heads`.
        """
        super().__init__()
        self.heads, self.kv_heads, self.rotary = heads, kv_heads or heads, rotary
        self.head_size = size // heads
        self.dropout = 0.0  # of weights as they read the values; a training sets it
        sizes = [number * self.head_size for number in (heads, self.kv_heads, self.kv_heads)]
        self.qkv = StackedLinear(size, sizes, bias)  # queries, keys and values
        self.out = nn.Linear(size, size, bias=bias)

    def rotary_angles(self, position_T: Tensor, like: Tensor) -> "RotaryAngles | None":
        """The rotations of queries and keys at these positions, which are the same for all layers; None if
        the positions are not rotary.
        """
        return RotaryAngles.at(position_T, self.head_size, like.dtype) if self.rotary else None

    def project(self, x_BTD: Tensor, rotary: "RotaryAngles | None") -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, d), keys and values (B, G, T, d) of tokens (B, T, D) at the positions of
        `rotary`.
        """
        heads_BHTd = self.qkv(x_BTD).unflatten(-1, (-1, self.head_size)).transpose(1, 2)
        query_key, value = heads_BHTd.split((self.heads + self.kv_heads, self.kv_heads), 1)
        if rotary is not None:
            query_key = apply_rotary(query_key, rotary)
        query, key = query_key.split((self.heads, self.kv_heads), 1)
        return query, key, value

    def read(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool = False
    ) -> Tensor:
        """softmax(q k / sqrt(d)) v, projected to (B, T, D). The mask (B, 1, 1 or T, S) is True where a query
        may read. Without a mask a query reads all positions, or, if `causal`, its own and earlier ones.
        """
        if self.dropout and self.training:
            weights = dropout(self._weights(query, key, mask, causal), self.dropout, True)
            context_BHTd = weights.to(value.dtype) @ value.repeat_interleave(self.heads // self.kv_heads, 1)
        else:
            context_BHTd = dot_product_attention(query, key, value, mask, causal=causal)
        return self.out(context_BHTd.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def forward(self, x_BTD: Tensor, mask_BS: Tensor | None, rotary: "RotaryAngles | None" = None) -> Tensor:
        """All tokens at once. With a mask (B, S) each token reads all real tokens; without one it reads
        itself and the tokens before it. `rotary` holds the rotations of the first T positions; None: compute
        them.
        """
        query, key, value = self.project(x_BTD, rotary or self._first_angles(x_BTD))
        if mask_BS is None:
            return self.read(query, key, value, None, causal=True)
        return self.read(query, key, value, mask_BS[:, None, None])

    def weights(self, x_BTD: Tensor, mask_BS: Tensor | None, rotary: "RotaryAngles | None" = None) -> Tensor:
        """The attention weights (B, H, T, T) of `forward`, in float32 or wider."""
        query, key, _ = self.project(x_BTD, rotary or self._first_angles(x_BTD))
        return self._weights(query, key, None if mask_BS is None else mask_BS[:, None, None], mask_BS is None)

    def _weights(self, query: Tensor, key: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
        key = key.repeat_interleave(self.heads // self.kv_heads, 1)
        wide = torch.promote_types(query.dtype, torch.float32)
        scores = query.to(wide) @ key.to(wide).mT * self.head_size**-0.5
        if mask is None:
            mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device)
        return softmax(scores, mask.tril() if causal else mask)

    def _first_angles(self, x_BTD: Tensor) -> "RotaryAngles | None":
        return self.rotary_angles(torch.arange(x_BTD.size(1), device=x_BTD.device), x_BTD)


class RotaryAngles(NamedTuple):
    """Rotary positions (Su 2021): the angle of the pair (x_i, x_{i + d/2}) is position / 10000^(2i/d)."""

    cos_Td: Tensor
    sin_Td: Tensor  # negative for the first half of a head

    @classmethod
    def at(cls, position_T: Tensor, size: int, dtype: torch.dtype) -> Self:
        """For heads of this size, at positions from 0."""
        pairs = size // 2
        rate = 10000 ** (-torch.arange(pairs, dtype=torch.float64, device=position_T.device) / pairs)
        angle = position_T[:, None] * rate
        # in half precision neighbouring positions would have the same angle
        wide = torch.promote_types(dtype, torch.float32)
        cos, sin = angle.cos().to(wide), angle.sin().to(wide)
        return cls(torch.cat([cos, cos], 1), torch.cat([-sin, sin], 1))


def apply_rotary(x: Tensor, rotary: RotaryAngles) -> Tensor:
    """Rotate x (..., T, d), so that the product of a query and a key depends on their distance alone (Su
    2021, eq. 34; there the two numbers of a pair are neighbours).
    """
    return torch.addcmul(x * rotary.cos_Td, x.roll(x.size(-1) // 2, -1), rotary.sin_Td).to(x.dtype)
