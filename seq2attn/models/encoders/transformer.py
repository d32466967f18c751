"""The Transformer encoder: self-attention and a position-wise network, layer upon layer (Vaswani 2017). It
knows nothing of who reads it.
"""

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from seq2attn.attention.self_attention import RotaryAngles, SelfAttention
from seq2attn.config import ModelConfig, TransformerConfig
from seq2attn.kernels.dropout import dropout
from seq2attn.models.interfaces import TextEncoder
from seq2attn.models.layers.positions import Positions
from seq2attn.models.layers.transformer import FeedForward, Sublayer, norm
from seq2attn.models.memory import Memory, mean_over, part_of


class Layer(nn.Module):
    def __init__(self, settings: TransformerConfig, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(
            settings.size, settings.heads, settings.kv_heads, settings.positions == "rotary", settings.bias
        )
        self.feedforward = FeedForward(settings)
        self.attending, self.feeding = Sublayer(settings, dropout), Sublayer(settings, dropout)

    def forward(self, x_BSD: Tensor, mask_BS: Tensor, turn: RotaryAngles | None) -> Tensor:
        x_BSD = self.attending(x_BSD, lambda x: self.attention(x, mask_BS, turn))
        y: Tensor = self.feeding(x_BSD, self.feedforward)
        return y


class TransformerEncoder(TextEncoder):
    def __init__(self, model: ModelConfig, vocabulary: int) -> None:
        """The encoder of `model.encoder`, over a source vocabulary of this size."""
        super().__init__()
        assert model.encoder.kind == "transformer"
        settings = model.encoder
        self.keys, self.values = model.parts
        self.dropout = model.dropout
        self.embedding = nn.Embedding(vocabulary, settings.size)
        self.positions = Positions(settings.positions, settings.size, settings.max_positions)
        self.layers = nn.ModuleList(Layer(settings, model.dropout) for _ in range(settings.layers))
        self.norm = norm(settings) if settings.prenorm else None

    def forward(self, source_BS: Tensor, mask_BS: Tensor) -> Memory:
        embedded = self.embedding(source_BS) * self.embedding.embedding_dim**0.5
        position = self.positions(0, source_BS.size(1), embedded)
        x = embedded = dropout(
            embedded if position is None else embedded + position, self.dropout, self.training
        )
        layers = cast(list[Layer], list(cast(Iterable[Layer], self.layers)))
        turn = layers[0].attention.rotary_angles(torch.arange(source_BS.size(1), device=x.device), x)
        for layer in layers:
            x = layer(x, mask_BS, turn)
        if self.norm is not None:
            x = self.norm(x)
        return Memory(
            part_of(self.keys, x, embedded), part_of(self.values, x, embedded), mask_BS, mean_over(mask_BS, x)
        )
