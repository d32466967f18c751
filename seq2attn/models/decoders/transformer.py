"""The Transformer decoder: layers of masked self-attention, attention to the source and a feed-forward
network (Vaswani 2017).

Training and search differ only in what self-attention may read, which `LayerPast` holds.
"""

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seq2attn.attention import Attention
from seq2attn.attention.self_attention import RotaryAngles
from seq2attn.config import TransformerDecoderConfig
from seq2attn.config.sizes import SharedSettings
from seq2attn.kernels.dropout import dropout
from seq2attn.models.decoders.parallel import ParallelDecoder, SourceReader
from seq2attn.models.layers.kv_cache import Cache
from seq2attn.models.layers.positions import Positions
from seq2attn.models.layers.stack import Stack
from seq2attn.models.layers.transformer import FeedForward, TransformerLayer, build_norm
from seq2attn.models.memory import Memory
from seq2attn.models.state import PerSentence


class TransformerPast(NamedTuple):
    """What self-attention needs of the earlier tokens of R rows."""

    caches: PerSentence[tuple[Cache, ...]]  # one cache for each layer
    # bool (R, slots): the slots of the caches that are the row's past; None if a sentence has one row
    slots_RC: Tensor | None


class LayerPast(NamedTuple):
    """What self-attention reads in one layer."""

    rotary: RotaryAngles | None
    # None: all tokens of a sentence are queries; each reads itself and the tokens before it
    cache: Cache | None = None
    mask_B1WC: Tensor | None = None  # slots that each of W rows reads, with the new ones; None: all slots


class DecoderLayer(TransformerLayer):
    def __init__(self, config: TransformerDecoderConfig, shared: SharedSettings, layer_index: int) -> None:
        super().__init__(config, shared.dropout)
        self.cross_attn = Attention(shared.attention, *shared.sizes, config.size, config.bias, layer_index)
        self.ffn = FeedForward(config)
        self.self_attn_norm, self.cross_attn_norm, self.ffn_norm = (build_norm(config) for _ in range(3))

    def forward(self, x_BTD: Tensor, past: LayerPast, reader: SourceReader) -> tuple[Tensor, Cache | None]:
        """The layer's output (B, T, D), and the cache with the new tokens."""
        y_BTD, cache = self._self_attend(self.before(x_BTD, self.self_attn_norm), past)
        x_BTD = self.add(x_BTD, y_BTD, self.self_attn_norm)
        context = reader.contexts(self.cross_attn, self.before(x_BTD, self.cross_attn_norm))
        x_BTD = self.add(x_BTD, context, self.cross_attn_norm)
        return self.add(x_BTD, self.ffn(self.before(x_BTD, self.ffn_norm)), self.ffn_norm), cache

    def _self_attend(self, x_BTD: Tensor, past: LayerPast) -> tuple[Tensor, Cache | None]:
        if past.cache is None:
            return self.self_attn(x_BTD, None, past.rotary), None
        query, key, value = self.self_attn.project(x_BTD, past.rotary)
        cache, keys, values = past.cache.append(key, value)
        return self.self_attn.read(query, keys, values, past.mask_B1WC), cache


class TransformerDecoder(ParallelDecoder):
    def __init__(self, config: TransformerDecoderConfig, shared: SharedSettings, vocabulary: int) -> None:
        """If `shared.tied`, the matrix of the output layer is the target embedding."""
        super().__init__()
        self.dropout = shared.dropout
        self.target_embedding = nn.Embedding(vocabulary, config.size)
        self.positions = Positions(config.positions, config.size, config.max_positions)
        self.layers = Stack[DecoderLayer](DecoderLayer(config, shared, i) for i in range(config.layers))
        self.norm = build_norm(config) if config.prenorm else None
        self.output = self.output_layer(config.size, vocabulary, shared.tied)
        # self-attention of the second layer reads the contexts of the first
        self.context_feeds_later_steps = config.layers > 1

    def attentions(self) -> list[Attention]:
        return [layer.cross_attn for layer in self.layers]

    def initial_past(self, memory: Memory, width: int) -> TransformerPast:
        sentences, like = len(memory.mask_BS), memory.values_BSV
        heads = self.layers.first.self_attn
        caches = tuple(Cache.empty(sentences, heads.kv_heads, heads.head_size, like) for _ in self.layers)
        slots_RC = None if width == 1 else memory.mask_BS.new_zeros(sentences * width, 0)
        return TransformerPast(PerSentence(caches, sentences, width), slots_RC)

    def layers_forward(
        self, tokens_RT: Tensor, past: TransformerPast | None, reader: SourceReader
    ) -> tuple[Tensor, TransformerPast | None]:
        if past is None:
            x_BTD, pasts = self._all_tokens(tokens_RT)
        else:
            x_BTD, pasts, past = self._last_tokens(tokens_RT, past)
        caches = []
        for layer, layer_past in zip(self.layers, pasts, strict=True):
            x_BTD, cache = layer(x_BTD, layer_past, reader)
            caches.append(cache)
        if past is not None:
            past = past._replace(caches=replace(past.caches, parts=tuple(caches)))
        return x_BTD if self.norm is None else self.norm(x_BTD), past

    def self_attention(self, tokens_BT: Tensor, memory: Memory) -> Tensor:
        reader, weights = self.reader_of_steps(tokens_BT, memory, False), []
        x_BTD, pasts = self._all_tokens(tokens_BT)
        for layer, past in zip(self.layers, pasts, strict=True):
            weights.append(layer.self_attention(x_BTD, None, past.rotary))
            x_BTD, _ = layer(x_BTD, past, reader)
        return torch.stack(weights, 1)

    def _all_tokens(self, tokens_BT: Tensor) -> tuple[Tensor, list[LayerPast]]:
        """The input of the first layer and the past of each layer, where all tokens of a sentence are
        queries.
        """
        x_BTD = self._embed(tokens_BT, 0)
        position_T = torch.arange(tokens_BT.size(1), device=x_BTD.device)
        rotary = self.layers.first.self_attn.rotary_angles(position_T, x_BTD)
        return x_BTD, [LayerPast(rotary)] * len(self.layers)

    def _last_tokens(
        self, tokens_R1: Tensor, past: TransformerPast
    ) -> tuple[Tensor, list[LayerPast], TransformerPast]:
        """The input of the first layer and the past of each layer, where the queries are the last tokens of
        the W rows of a sentence; and `past` with the slots of these tokens.
        """
        caches, width, mask = past.caches.parts, past.caches.width, None
        time: int | Tensor = caches[0].used // width  # a tensor (1) in a CUDA graph
        tokens_BW = tokens_R1.view(-1, width)
        x_BWD = self._embed(tokens_BW, time, 1)
        rotary = self.layers.first.self_attn.rotary_angles(self.positions.numbers(time, 1, x_BWD), x_BWD)
        if past.slots_RC is not None:
            own = torch.eye(width, dtype=torch.bool, device=x_BWD.device).repeat(len(tokens_BW), 1)
            slots_RC = torch.cat([past.slots_RC, own], 1)
            past, mask = past._replace(slots_RC=slots_RC), slots_RC.view(len(tokens_BW), 1, width, -1)
        return x_BWD, [LayerPast(rotary, cache, mask) for cache in caches], past

    def _embed(self, tokens_BT: Tensor, first: int | Tensor, count: int | None = None) -> Tensor:
        x_BTD = self.target_embedding(tokens_BT) * self.target_embedding.embedding_dim**0.5
        return dropout(self.positions.add_to(x_BTD, first, count), self.dropout, self.training)
