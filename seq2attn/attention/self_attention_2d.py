"""Self-attention over a map of features: every cell reads all others (Zhang 2019, section 3). It knows
tensors alone, and no image.
"""

import torch
from torch import Tensor, nn

from seq2attn.kernels.dot_product import products

LESS = 8  # channels of queries, keys and values: so many times fewer than of the map


class SelfAttention2d(nn.Module):
    """x + g W_v softmax(q k) h, with 1x1 convolutions q, k, h of x. The gain g starts at 0: at first the map
    is as it was.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        fewer = max(1, channels // LESS)
        self.query, self.key, self.value = (nn.Conv2d(channels, fewer, 1) for _ in range(3))
        self.out = nn.Conv2d(fewer, channels, 1)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x_BCYX: Tensor) -> Tensor:
        # (B, 1, Y X, C / LESS)
        query, key, value = (
            convolution(x_BCYX).flatten(2).mT[:, None] for convolution in (self.query, self.key, self.value)
        )
        read_BCYX = products(query, key, value, scale=1.0)[:, 0].mT.unflatten(2, x_BCYX.shape[2:])
        y: Tensor = x_BCYX + self.gain * self.out(read_BCYX)
        return y
