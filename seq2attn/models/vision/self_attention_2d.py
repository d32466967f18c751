"""Self-attention over a feature map, in which every cell reads all cells (Zhang 2019, section 3)."""

import torch
from torch import Tensor, nn

from seq2attn.kernels.dot_product import dot_product_attention

REDUCTION = 8  # queries, keys and values have this many times fewer channels than the map


class SelfAttention2d(nn.Module):
    """x + g W_v softmax(q k) h, with 1x1 convolutions q, k, h of x. The gain g starts at 0: at first the
    output is the input.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // REDUCTION)
        self.query, self.key, self.value = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.out = nn.Conv2d(inner, channels, 1)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x_BCYX: Tensor) -> Tensor:
        query, key, value = (_cells(x_BCYX, part) for part in (self.query, self.key, self.value))
        context = dot_product_attention(query, key, value, scale=1.0)
        context_BCYX = context[:, 0].mT.unflatten(2, x_BCYX.shape[2:])
        y: Tensor = x_BCYX + self.gain * self.out(context_BCYX)
        return y

    def weights(self, x_BCYX: Tensor) -> Tensor:
        """The attention weights (B, 1, S, S) of `forward` over the S = Y X cells, row by row."""
        return (_cells(x_BCYX, self.query) @ _cells(x_BCYX, self.key).mT).softmax(-1)


def _cells(x_BCYX: Tensor, convolution: nn.Conv2d) -> Tensor:
    """The convolution's output as (B, 1, Y X, channels)."""
    cells: Tensor = convolution(x_BCYX).flatten(2).mT[:, None]
    return cells
