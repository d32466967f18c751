"""The Transformer encoder: layers of self-attention and a feed-forward network (Vaswani 2017)."""

import torch
from torch import Tensor, nn

from seq2attn.attention.self_attention import RotaryAngles
from seq2attn.config import TransformerConfig, TransformerEncoderConfig
from seq2attn.config.sizes import SharedSettings
from seq2attn.kernels.dropout import dropout
from seq2attn.models.interfaces import TextEncoder
from seq2attn.models.layers.positions import Positions
from seq2attn.models.layers.stack import Stack
from seq2attn.models.layers.transformer import FeedForward, TransformerLayer, build_norm
from seq2attn.models.memory import Memory, mean_over, part_of


class EncoderLayer(TransformerLayer):
    def __init__(self, config: TransformerConfig, dropout: float) -> None:
        super().__init__(config, dropout)
        self.ffn = FeedForward(config)
        self.self_attn_norm, self.ffn_norm = build_norm(config), build_norm(config)

    def forward(self, x_BSD: Tensor, mask_BS: Tensor, rotary: RotaryAngles | None) -> Tensor:
        y_BSD = self.self_attn(self.before(x_BSD, self.self_attn_norm), mask_BS, rotary)
        x_BSD = self.add(x_BSD, y_BSD, self.self_attn_norm)
        return self.add(x_BSD, self.ffn(self.before(x_BSD, self.ffn_norm)), self.ffn_norm)


class TransformerEncoder(TextEncoder):
    def __init__(self, config: TransformerEncoderConfig, shared: SharedSettings, vocabulary: int) -> None:
        super().__init__()
        self.parts, self.dropout = shared.parts, shared.dropout
        self.embedding = nn.Embedding(vocabulary, config.size)
        self.positions = Positions(config.positions, config.size, config.max_positions)
        self.layers = Stack[EncoderLayer](EncoderLayer(config, shared.dropout) for _ in range(config.layers))
        self.norm = build_norm(config) if config.prenorm else None

    def forward(self, source_BS: Tensor, mask_BS: Tensor) -> Memory:
        embedded, rotary = self._embed(source_BS)
        x = embedded
        for layer in self.layers:
            x = layer(x, mask_BS, rotary)
        if self.norm is not None:
            x = self.norm(x)
        keys, values = (part_of(part, x, embedded) for part in self.parts)
        return Memory(keys, values, mask_BS, mean_over(mask_BS, x), source_BS=source_BS)

    def self_attention(self, source_BS: Tensor, mask_BS: Tensor) -> list[Tensor]:
        x, rotary = self._embed(source_BS)
        weights = []
        for layer in self.layers:
            weights.append(layer.self_attention(x, mask_BS, rotary))
            x = layer(x, mask_BS, rotary)
        return weights

    def _embed(self, source_BS: Tensor) -> tuple[Tensor, RotaryAngles | None]:
        """Embeddings with their positions, and the rotations of rotary positions, which all layers share."""
        x = self.positions.add_to(self.embedding(source_BS) * self.embedding.embedding_dim**0.5)
        x, position_S = dropout(x, self.dropout, self.training), torch.arange(x.size(1), device=x.device)
        return x, self.layers.first.self_attn.rotary_angles(position_S, x)
