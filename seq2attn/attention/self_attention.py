"""Multi-head self-attention: scaled dot products of a sequence with itself (Vaswani 2017, section 3.2).

Keys and values of earlier steps are given to it, and those of new ones given back: it keeps nothing. It is
fused throughout; what is
explained is the attention to the source.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from seq2attn.kernels.dot_product import products


class SelfAttention(nn.Module):
    def __init__(self, size: int, heads: int, kv_heads: int | None, rotary: bool, bias: bool) -> None:
        """Queries of `heads` heads against keys and values of `kv_heads`, each of which several heads may
        share (Ainslie 2023).
        """
        super().__init__()
        self.heads, self.kv_heads, self.rotary = heads, kv_heads or heads, rotary
        self.head_size = size // heads
        # to queries, keys and values
        self.maps = nn.Linear(size, (heads + 2 * self.kv_heads) * self.head_size, bias=bias)
        self.out = nn.Linear(size, size, bias=bias)

    def parts(self) -> tuple[Tensor, ...]:
        """The matrices of queries, keys and values, each a view."""
        kv = self.kv_heads * self.head_size
        queries, keys, values = self.maps.weight.split((self.heads * self.head_size, kv, kv))
        return queries, keys, values

    def turn(self, position_T: Tensor, like: Tensor) -> "RotaryAngles | None":
        """What turns queries and keys at these positions, for all layers alike; None where nothing does."""
        return RotaryAngles.at(position_T, self.head_size, like.dtype) if self.rotary else None

    def project(self, x_BTD: Tensor, turn: "RotaryAngles | None") -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, H, T, d), keys and values (B, G, T, d) of tokens at the positions of `turn`."""
        heads_BHTd = self.maps(x_BTD).unflatten(-1, (-1, self.head_size)).transpose(1, 2)
        turned, value = heads_BHTd.split((self.heads + self.kv_heads, self.kv_heads), 1)
        if turn is not None:
            turned = rotate(turned, turn)
        query, key = turned.split((self.heads, self.kv_heads), 1)
        return query, key, value

    def read(
        self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool = False
    ) -> Tensor:
        """softmax(q k / sqrt(d)) v, out again: (B, T, D). The mask (B, 1, 1 or T, S) is True where a query
        may look; None: everywhere, or back alone where causal.
        """
        y: Tensor = self.out(products(query, key, value, mask, causal=causal).transpose(1, 2).flatten(2))
        return y

    def forward(self, x_BTD: Tensor, mask_BS: Tensor | None, turn: "RotaryAngles | None" = None) -> Tensor:
        """All tokens at once: each looks at the real ones of a mask, or, without one, at itself and those
        before it. `turn` is that of the first T positions,
        where several layers share it."""
        if turn is None:
            turn = self.turn(torch.arange(x_BTD.size(1), device=x_BTD.device), x_BTD)
        return self.read(
            *self.project(x_BTD, turn),
            None if mask_BS is None else mask_BS[:, None, None],
            causal=mask_BS is None,
        )


class RotaryAngles(NamedTuple):
    """Rotary positions (Su 2021): each pair (x_i, x_{i + d/2}) is turned by the angle position /
    10000^(2i/d).
    """

    cos_Td: Tensor
    sin_Td: Tensor  # negative for the first half: what the second adds to it

    @classmethod
    def at(cls, position_T: Tensor, size: int, dtype: torch.dtype) -> Self:
        """For heads of this size, at positions from 0."""
        pairs = size // 2
        rate = 10000 ** (-torch.arange(pairs, dtype=torch.float64, device=position_T.device) / pairs)
        angle = position_T[:, None] * rate
        # in half precision neighbours would turn by the same angle
        wide = torch.promote_types(dtype, torch.float32)
        cos, sin = angle.cos().to(wide), angle.sin().to(wide)
        return cls(torch.cat([cos, cos], 1), torch.cat([-sin, sin], 1))


def rotate(x: Tensor, turn: RotaryAngles) -> Tensor:
    """x (..., T, d) turned: products then know the distance alone (Su 2021, eq. 34, where a pair stands side
    by side).
    """
    return torch.addcmul(x * turn.cos_Td, x.roll(x.size(-1) // 2, -1), turn.sin_Td).to(x.dtype)
