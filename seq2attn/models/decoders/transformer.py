"""The Transformer decoder: layers of masked self-attention, attention to the source and a feed-forward
network (Vaswani 2017).

The same layers serve training, where the queries are the T tokens of a sentence, and search, where they are
the last tokens of its W rows. Only what self-attention may read differs: `Past` says it.
"""

from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from seq2attn.attention import Attention, AttentionHistory, AttentionOutput
from seq2attn.attention.attention import ProjectedMemory
from seq2attn.attention.self_attention import RotaryAngles, SelfAttention
from seq2attn.config import AttentionConfig, TransformerDecoderConfig
from seq2attn.kernels.dropout import dropout
from seq2attn.models.interfaces import Decoder, Sizes
from seq2attn.models.layers.kv_cache import Cache
from seq2attn.models.layers.positions import Positions
from seq2attn.models.layers.stack import Stack
from seq2attn.models.layers.transformer import FeedForward, ResidualLayer, build_norm
from seq2attn.models.memory import DecoderOutput, HiddenStates, Memory, stack_weights
from seq2attn.models.state import PerSentence


class TransformerSource(NamedTuple):
    """What every step reads: the memory as each layer projects it."""

    layers: tuple[ProjectedMemory, ...]


class TransformerState(NamedTuple):
    caches: PerSentence[tuple[Cache, ...]]  # one a layer
    # bool, (R, slots): the slots of the caches that are the row's own past; None where a sentence has one row
    past_RC: Tensor | None
    history: AttentionHistory | None  # of the attention to the source


class Past(NamedTuple):
    """What the queries of self-attention read in one layer."""

    rotary: RotaryAngles | None
    cache: Cache | None = (
        None  # None: all tokens of a sentence are queries, each reads itself and those before it
    )
    mask_B1WC: Tensor | None = None  # of the slots of the cache, new ones included; None: all


class DecoderLayer(ResidualLayer):
    def __init__(
        self,
        config: TransformerDecoderConfig,
        attention: AttentionConfig,
        sizes: Sizes,
        dropout: float,
        layer_index: int,
    ) -> None:
        super().__init__(config, dropout)
        rotary = config.positions == "rotary"
        self.self_attn = SelfAttention(config.size, config.heads, config.kv_heads, rotary, config.bias)
        self.cross_attn = Attention(
            attention,
            sizes.query,
            sizes.keys,
            sizes.values,
            sizes.attention,
            out_size=config.size,
            bias=config.bias,
            layer_index=layer_index,
        )
        self.ffn = FeedForward(config)
        self.self_attn_norm, self.cross_attn_norm, self.ffn_norm = (build_norm(config) for _ in range(3))

    def forward(
        self,
        x_BTD: Tensor,
        past: Past,
        memory: ProjectedMemory,
        history: AttentionHistory | None,
        weights: bool,
    ) -> tuple[Tensor, Cache | None, AttentionOutput]:
        """The layer's output, the cache with the new tokens, and the output of cross-attention."""
        y_BTD, cache = self._self_attend(self.before(x_BTD, self.self_attn_norm), past)
        x_BTD = self.add(x_BTD, y_BTD, self.self_attn_norm)
        read = self.cross_attn(self.before(x_BTD, self.cross_attn_norm), memory, history, weights)
        x_BTD = self.add(x_BTD, cast(Tensor, read.context), self.cross_attn_norm)
        x_BTD = self.add(x_BTD, self.ffn(self.before(x_BTD, self.ffn_norm)), self.ffn_norm)
        return x_BTD, cache, read

    def _self_attend(self, x_BTD: Tensor, past: Past) -> tuple[Tensor, Cache | None]:
        if past.cache is None:
            return self.self_attn(x_BTD, None, past.rotary), None
        query, key, value = self.self_attn.project(x_BTD, past.rotary)
        cache, keys, values = past.cache.append(key, value)
        return self.self_attn.read(query, keys, values, past.mask_B1WC), cache

    def self_attention(self, x_BTD: Tensor, rotary: RotaryAngles | None) -> Tensor:
        """The weights (B, H, T, T) that `forward` reads with where all tokens are queries."""
        return self.self_attn.weights(self.before(x_BTD, self.self_attn_norm), None, rotary)


class TransformerDecoder(Decoder):
    def __init__(
        self,
        config: TransformerDecoderConfig,
        attention: AttentionConfig,
        vocabulary: int,
        sizes: Sizes,
        *,
        tied: bool,
        dropout: float,
    ) -> None:
        """With `tied` the output layer's matrix is the target embedding."""
        super().__init__()
        self.dropout = dropout
        self.target_embedding = nn.Embedding(vocabulary, config.size)
        self.positions = Positions(config.positions, config.size, config.max_positions)
        self.layers = Stack[DecoderLayer](
            DecoderLayer(config, attention, sizes, dropout, index) for index in range(config.layers)
        )
        self.norm = build_norm(config) if config.prenorm else None
        self.output = nn.Linear(config.size, vocabulary)
        if tied:
            self.output.weight = self.target_embedding.weight
        # self-attention of the second layer reads what the first one read of the source
        self.context_feeds_later_steps = config.layers > 1

    def project_memory(self, memory: Memory) -> TransformerSource:
        return TransformerSource(
            tuple(
                layer.cross_attn.project_memory(memory.keys_BSK, memory.values_BSV, memory.mask_BS)
                for layer in self.layers
            )
        )

    def initial_state(self, memory: Memory, width: int = 1) -> TransformerState:
        sentences, like = len(memory.mask_BS), memory.values_BSV
        heads = self.layers.first.self_attn
        caches = tuple(Cache.empty(sentences, heads.kv_heads, heads.head_size, like) for _ in self.layers)
        past_RC = None if width == 1 else memory.mask_BS.new_zeros(sentences * width, 0)
        history = self._history(memory, sentences * width)
        return TransformerState(PerSentence(caches, sentences, width), past_RC, history)

    def step(
        self, token_R: Tensor, state: TransformerState, source: TransformerSource, weights: bool = True
    ) -> tuple[DecoderOutput, TransformerState]:
        sentences, width = state.caches.sentences, state.caches.width
        time = state.caches.parts[0].used // width
        x_BWD = self._embed(token_R.view(sentences, width), time, 1)
        rotary = self._rotary(torch.full((width,), time, device=token_R.device), x_BWD)
        mask = past_RC = None
        if state.past_RC is not None:
            own = torch.eye(width, dtype=torch.bool, device=token_R.device).repeat(sentences, 1)
            past_RC = torch.cat([state.past_RC, own], 1)
            mask = past_RC.view(sentences, 1, width, -1)
        pasts = (Past(rotary, cache, mask) for cache in state.caches.parts)
        history = None if state.history is None else state.history.by_sentence(sentences)
        x_BWD, caches, read = self._layers(x_BWD, pasts, source, history, weights)
        weights_BWLHS = stack_weights(read) if weights else None
        weights_RLHS = None if weights_BWLHS is None else weights_BWLHS.flatten(0, 1)
        history = self.layers.first.cross_attn.update_history(state.history, None)
        after = TransformerState(PerSentence(tuple(caches), sentences, width), past_RC, history)
        return DecoderOutput(self.output(x_BWD.flatten(0, 1)), weights_RLHS), after

    def hidden_states(self, tokens_BT: Tensor, memory: Memory, weights: bool = False) -> HiddenStates:
        steps = tokens_BT.size(1)
        history = self._history(memory, len(tokens_BT))
        history = None if history is None else history.for_all_steps(steps)
        x_BTD = self._embed(tokens_BT, 0, steps)
        past = Past(self._rotary(torch.arange(steps, device=x_BTD.device), x_BTD))
        source = self.project_memory(memory)
        x_BTD, _, read = self._layers(x_BTD, [past] * len(self.layers), source, history, weights)
        return HiddenStates.of_layers(x_BTD, read, weights)

    def self_attention(self, tokens_BT: Tensor, memory: Memory) -> Tensor:
        steps = tokens_BT.size(1)
        history = self._history(memory, len(tokens_BT))
        history = None if history is None else history.for_all_steps(steps)
        x_BTD, weights = self._embed(tokens_BT, 0, steps), []
        rotary = self._rotary(torch.arange(steps, device=x_BTD.device), x_BTD)
        for layer, projected in zip(self.layers, self.project_memory(memory).layers, strict=True):
            weights.append(layer.self_attention(x_BTD, rotary))
            x_BTD, *_ = layer(x_BTD, Past(rotary), projected, history, False)
        return torch.stack(weights, 1)

    def _layers(
        self,
        x_BTD: Tensor,
        pasts: Iterable[Past],
        source: TransformerSource,
        history: AttentionHistory | None,
        weights: bool,
    ) -> tuple[Tensor, list[Cache], list[AttentionOutput]]:
        """The features, and of each layer its cache and the output of its attention to the source."""
        caches, read = [], []
        for layer, past, memory in zip(self.layers, pasts, source.layers, strict=True):
            x_BTD, cache, output = layer(x_BTD, past, memory, history, weights)
            caches.append(cache)
            read.append(output)
        return x_BTD if self.norm is None else self.norm(x_BTD), caches, read

    def _embed(self, tokens_BT: Tensor, first: int, count: int) -> Tensor:
        x_BTD = self.target_embedding(tokens_BT) * self.target_embedding.embedding_dim**0.5
        return dropout(self.positions.add_to(x_BTD, first, count), self.dropout, self.training)

    def _rotary(self, position_T: Tensor, like: Tensor) -> RotaryAngles | None:
        return self.layers.first.self_attn.rotary_angles(position_T, like)

    def _history(self, memory: Memory, rows: int) -> AttentionHistory | None:
        attention = self.layers.first.cross_attn
        return attention.initial_history(rows, memory.mask_BS, memory.values_BSV, memory.stream_B)
