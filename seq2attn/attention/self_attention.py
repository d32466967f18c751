"""Multi-head self-attention: scaled dot products of a sequence with itself (Vaswani 2017, section 3.2).

Keys and values of earlier steps are given to it, and those of new ones given back: it keeps nothing. It is fused throughout; what is
explained is the attention to the source.
"""

import torch
from torch import Tensor, nn

from seq2attn.attention.fused import fused


class SelfAttention(nn.Module):
    def __init__(self, size: int, heads: int, kv_heads: int | None, rotary: bool, bias: bool) -> None:
        """Queries of `heads` heads against keys and values of `kv_heads`, each of which several heads may share (Ainslie 2023)."""
        super().__init__()
        self.heads, self.kv_heads, self.rotary = heads, kv_heads or heads, rotary
        self.head_size = size // heads
        self.maps = nn.Linear(size, (heads + 2 * self.kv_heads) * self.head_size, bias=bias)  # to queries, keys and values
        self.out = nn.Linear(size, size, bias=bias)

    def parts(self) -> tuple[Tensor, ...]:
        """The matrices of queries, keys and values, each a view."""
        kv = self.kv_heads * self.head_size
        queries, keys, values = self.maps.weight.split((self.heads * self.head_size, kv, kv))
        return queries, keys, values

    def project(self, x_BTD: Tensor, position_T: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, d), keys and values (B, G, T, d) of tokens at these positions."""
        heads_BHTd = self.maps(x_BTD).unflatten(-1, (-1, self.head_size)).transpose(1, 2)
        query, key, value = heads_BHTd.split((self.heads, self.kv_heads, self.kv_heads), 1)
        if self.rotary:
            query, key = rotate(query, position_T), rotate(key, position_T)
        return query, key, value

    def read(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool = False) -> Tensor:
        """softmax(q k / sqrt(d)) v, out again: (B, T, D). The mask (B, 1, 1 or T, S) is True where a query may look; None: everywhere, or back alone where causal."""
        read = fused(query, key, value, mask, causal=causal, shared=self.heads != self.kv_heads)
        y: Tensor = self.out(read.transpose(1, 2).flatten(2))
        return y

    def forward(self, x_BTD: Tensor, mask_BS: Tensor | None) -> Tensor:
        """All tokens at once: each looks at the real ones of a mask, or, without one, at itself and those before it."""
        position = torch.arange(x_BTD.size(1), device=x_BTD.device)
        return self.read(*self.project(x_BTD, position), None if mask_BS is None else mask_BS[:, None, None], causal=mask_BS is None)


def rotate(x: Tensor, position_T: Tensor) -> Tensor:
    """Each pair (x_i, x_{i + d/2}) of x (..., T, d) turned by the angle position / 10000^(2i/d): products then know the distance alone (Su 2021, eq. 34, where
    a pair stands side by side)."""
    pairs = x.size(-1) // 2
    rate = 10000 ** (-torch.arange(pairs, dtype=torch.float64, device=x.device) / pairs)
    angle = position_T[:, None] * rate
    wide = torch.promote_types(x.dtype, torch.float32)  # in half precision neighbours would turn by the same angle
    cos, sin = angle.cos().to(wide), angle.sin().to(wide)
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], -1).to(x.dtype)
