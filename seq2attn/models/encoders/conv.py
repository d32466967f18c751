"""The convolutional encoder: layers of gated convolutions over a window of the source (Gehring 2017).

    h = W (embedding + position) + b;  layer by layer h = sqrt(1/2) (h + gated convolution of h);  states V h
    + c

Each layer reads `kernel` positions of the layer below. Before the first and after the last position of a
sentence are zeros. Padding is set to 0 before each convolution, so that it reads as those zeros do.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn

from seq2attn.config import ConvEncoderConfig
from seq2attn.config.sizes import SharedSettings
from seq2attn.kernels.dropout import dropout
from seq2attn.models.interfaces import TextEncoder
from seq2attn.models.layers.gated_conv import ROOT_HALF, ConvSide, GatedConv, WeightNormLinear
from seq2attn.models.layers.positions import Positions
from seq2attn.models.layers.stack import Stack
from seq2attn.models.memory import Memory, mean_over, part_of


class _ScaleGradient(torch.autograd.Function):
    """x forward, and `factor` times its gradient backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.factor, None


class ConvEncoder(ConvSide, TextEncoder):
    def __init__(
        self, config: ConvEncoderConfig, shared: SharedSettings, vocabulary: int, share: float
    ) -> None:
        """`share` multiplies the gradient of the states."""
        super().__init__()
        self.parts, self.gradient_share, self.dropout = shared.parts, share, shared.dropout
        embedding, keep_prob, padding = shared.embedding, 1 - shared.dropout, config.kernel // 2
        self.embedding = nn.Embedding(vocabulary, embedding)
        self.positions = Positions(config.positions, embedding, config.max_positions)
        self.in_proj = WeightNormLinear(embedding, config.size, keep_prob)
        self.layers = Stack[GatedConv](
            GatedConv(config.size, config.kernel, keep_prob, padding) for _ in range(config.layers)
        )
        self.out_proj = WeightNormLinear(config.size, embedding)

    def forward(self, source_BS: Tensor, mask_BS: Tensor) -> Memory:
        embedded = dropout(self.positions.add_to(self.embedding(source_BS)), self.dropout, self.training)
        x = self.in_proj(embedded)
        padding_BS1 = ~mask_BS[..., None]
        for layer in self.layers:
            x = (x + layer(dropout(x, self.dropout, self.training).masked_fill(padding_BS1, 0.0))) * ROOT_HALF
        # `share` does not multiply the gradient of the embeddings, which keys or values may hold
        x = cast(Tensor, _ScaleGradient.apply(self.out_proj(x), self.gradient_share))
        keys, values = (part_of(part, x, embedded) for part in self.parts)
        return Memory(keys, values, mask_BS, mean_over(mask_BS, x), source_BS=source_BS)
