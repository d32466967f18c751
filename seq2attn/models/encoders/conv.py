"""The convolutional encoder: gated convolutions over a window of the source, layer upon layer (Gehring 2017).
It knows nothing of who reads it.

Each layer sees `kernel` positions of the one below. Beyond either end of a sentence stand zeros, as its
padding does, which is made zero before
each convolution.
"""

from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

from seq2attn.config import ModelConfig
from seq2attn.kernels.dropout import dropout
from seq2attn.models.interfaces import TextEncoder
from seq2attn.models.layers.gated_conv import ROOT_HALF, Convolution, Map
from seq2attn.models.layers.positions import Positions
from seq2attn.models.memory import Memory, mean_over, part_of


class _ScaleGradient(torch.autograd.Function):
    """x as it is, a share of its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float) -> Tensor:
        ctx.share = share
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * ctx.share, None


class ConvEncoder(TextEncoder):
    """With e_j = embedding + position, h = W e + b; layer by layer h = sqrt(1/2) (h + gated convolution of
    h); states z = V h + c, as long as e.
    """

    def __init__(self, model: ModelConfig, vocabulary: int) -> None:
        """The encoder of `model.encoder`, over a source vocabulary of this size."""
        super().__init__()
        assert model.encoder.kind == "conv"
        settings, kept = model.encoder, 1 - model.dropout
        self.keys, self.values = model.parts
        self.dropout = model.dropout
        # each layer of a convolutional decoder reads the states twice, as keys and as values: what comes back
        # from all is made that of one (section 3.4)
        self.share = 1 / (2 * model.decoder.layers) if model.decoder.kind == "conv" else 1.0
        self.embedding = nn.Embedding(vocabulary, model.embedding)
        self.positions = Positions(settings.positions, model.embedding, settings.max_positions)
        self.into = Map(model.embedding, settings.size, kept)
        self.layers = nn.ModuleList(
            Convolution(settings.size, settings.kernel, kept, padding=settings.kernel // 2)
            for _ in range(settings.layers)
        )
        self.out = Map(settings.size, model.embedding)

    def forward(self, source_BS: Tensor, mask_BS: Tensor) -> Memory:
        embedded = self.embedding(source_BS)
        position = self.positions(0, source_BS.size(1), embedded)
        embedded = dropout(embedded if position is None else embedded + position, self.dropout, self.training)
        x = self.into(embedded)
        padding_BS1 = ~mask_BS[..., None]
        for layer in cast(Iterable[Convolution], self.layers):
            x = (x + layer(dropout(x, self.dropout, self.training).masked_fill(padding_BS1, 0.0))) * ROOT_HALF
        # the embeddings' own gradient, where values hold them, is whole
        x = cast(Tensor, _ScaleGradient.apply(self.out(x), self.share))
        return Memory(
            part_of(self.keys, x, embedded), part_of(self.values, x, embedded), mask_BS, mean_over(mask_BS, x)
        )
