"""Attention: a score, a normaliser and values, in one head or several. Read this file first.

    weights a_ij = normalise(score(query_i, key_j))        context c_i = sum_j a_ij value_j

A window may restrict which positions j a query reads. A history feature lets a score see the weights of
earlier steps. An attention knows neither encoder nor decoder, and it stores nothing between two calls: what
one step leaves to the next is an `AttentionHistory`, which the caller holds and hands in.

Shapes: B sentences, T queries of each sentence, S source positions, H heads, G heads of keys and values. In
training the T queries are the steps of a sentence; in a search they are the rows of its beam.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from seq2attn.attention.history import AttentionHistory, History, build_history_feature
from seq2attn.attention.normalisers import build_normaliser
from seq2attn.attention.scores import build_map, build_score
from seq2attn.attention.windows import build_window
from seq2attn.config import AttentionConfig
from seq2attn.kernels.deferred_gradients import Linear, matmul, product_dtype
from seq2attn.kernels.dot_product import dot_product_attention, to_compute_dtype
from seq2attn.kernels.dropout import dropout


class ProjectedMemory(NamedTuple):
    """Keys and values of a source, projected once for all steps."""

    keys: Tensor  # (B, H, S, any)
    values: Tensor  # (B, H, S, V / H)
    history_keys: Tensor | None  # (B, H, S, any): what the history feature computes once for a source
    mask_BS: Tensor  # bool, True = a real position, False = padding


class AttentionOutput(NamedTuple):
    """What T queries of each sentence read."""

    context: Tensor | None  # (B, T, V)
    weights: Tensor | None = None  # (B, T, H, S)
    log_prob: Tensor | None = None  # (B, T): log-probability of the sampled positions of all heads
    entropy: Tensor | None = None  # (B, T): entropy of the distributions they were sampled from, nats


class OneLayer(NamedTuple):
    """Asks a decoder for the weights of one of its layers alone: the place of that layer, from 0."""

    place: int


Weights = bool | OneLayer  # whether weights are asked for, and whose


class Attention(nn.Module):
    def __init__(
        self,
        config: AttentionConfig,
        query_size: int,
        key_size: int,
        value_size: int,
        size: int,
        out_size: int | None = None,
        bias: bool = False,
        layer_index: int = 0,
    ) -> None:
        """`size` is the hidden size of the score, of all heads together.

        A single head without an `out_size` compares queries and keys as they are, and its context has the
        size of the values. Otherwise linear maps project queries, keys, values and context (Vaswani 2017,
        section 3.2.2), with a `bias` or without. `layer_index` gives each attention of a decoder random
        numbers of its own.
        """
        super().__init__()
        projects = config.heads > 1 or out_size is not None
        inner = value_size if out_size is None else size
        self.heads, self.kv_heads = config.heads, config.kv_heads or config.heads
        head_size = size // self.heads
        self.query = Linear(query_size, size, bias=bias) if projects else None
        self.key = self.out = None
        self.value = build_map(config.value_map, value_size, inner)
        if projects and config.compares:
            self.key = nn.Linear(key_size, head_size * self.kv_heads, bias=bias)
        if projects:
            self.value = Linear(value_size, inner // self.heads * self.kv_heads, bias=bias)
            self.out = Linear(inner, out_size or value_size, bias=bias)
            query_size = key_size = head_size
        self.expectation_prob = config.expectation_prob
        self.dropout = 0.0  # of weights as they read the values; a training sets it
        self.history_feature = build_history_feature(config, key_size)
        history_size = 0 if self.history_feature is None else self.history_feature.size
        self.score = build_score(config, query_size, key_size, head_size, history_size)
        self.window = build_window(config, query_size, head_size)
        self.normalise = build_normaliser(config, first_head=layer_index * self.heads)
        self.needs_history = self.history_feature is not None  # a step reads the weights of earlier steps
        # a step reads its own number
        self.needs_step = self.normalise.draws or (self.window is not None and self.window.needs_step)
        # one call of torch computes the context, if nobody asks for the weights
        bare = self.window is None and self.history_feature is None and not config.own_code
        self.can_fuse = bare and self.score.is_product and self.normalise.fusible

    def project_memory(self, keys_BSK: Tensor, values_BSV: Tensor, mask_BS: Tensor) -> ProjectedMemory:
        """Keys and values as every step reads them, from keys (B, S, K), values (B, S, V) and their mask."""
        keys, values = keys_BSK, values_BSV
        if self.key is not None:  # without this map all heads share the keys
            keys = _split(self.key(keys), self.kv_heads).contiguous()
        if self.value is not None:
            values = _split(self.value(values), self.kv_heads).contiguous()
        history_keys = None
        if self.history_feature is not None:
            history_keys = self._for_heads(self.history_feature.project_keys(keys))
        keys, values = self._for_heads(self.score.project_keys(keys)), self._for_heads(values)
        if self.can_fuse:
            keys, values = to_compute_dtype(keys), to_compute_dtype(values)
        if self.score.max_positions is not None:
            position_S = torch.arange(mask_BS.size(1), device=mask_BS.device)
            mask_BS = mask_BS & (position_S < self.score.max_positions)
        return ProjectedMemory(keys, values, history_keys, mask_BS)

    def forward(
        self, query_BTQ: Tensor, memory: ProjectedMemory, history: History = None, weights: bool = True
    ) -> AttentionOutput:
        """What T queries (B, T, Q) of each sentence read. `history` is None if `initial_history` returned
        None.

        If `weights` is False, torch's fused call may compute the context, and then the output has no weights.
        """
        if self.query is not None:
            query_BTQ = self.query(query_BTQ)
        if self.can_fuse and not weights and not (self.dropout and self.training):
            return AttentionOutput(self._merge(self._fused(query_BTQ, memory)))
        dtype = query_BTQ.dtype
        if self.can_fuse and not torch.is_grad_enabled():
            query_BTQ = query_BTQ.to(memory.keys.dtype)  # `project_memory` has widened the keys
        query = _split(query_BTQ, self.heads).contiguous()
        features, mask, finish = None, memory.mask_BS[:, None, None], None
        if self.history_feature is not None and history is not None:
            features = self.history_feature(history, memory.history_keys)
        if self.window is not None:
            mask, finish = self.window(self._for_heads(query), memory.mask_BS, history)
        query = self._for_heads(self.score.project_query(query))
        scores = self.score(query, memory.keys, features)
        weights_BHTS, *statistics = self.normalise(scores, mask, history)
        weights_BHTS = weights_BHTS if finish is None else finish(weights_BHTS)
        reading = dropout(weights_BHTS, self.dropout, self.training)
        context = matmul(reading.to(memory.values.dtype), memory.values).to(dtype)
        log_prob, entropy = (None if part_BHT is None else part_BHT.sum(1) for part_BHT in statistics)
        return AttentionOutput(self._merge(context), weights_BHTS.transpose(1, 2), log_prob, entropy)

    def _fused(self, query_BTQ: Tensor, memory: ProjectedMemory) -> Tensor:
        query = self.score.project_query(self._for_heads(_split(query_BTQ, self.heads)))
        scale = self.score.scale(query.size(-1)) / self.normalise.temperature
        mask, query = memory.mask_BS[:, None, None], query.to(product_dtype(query))
        return dot_product_attention(query, memory.keys, memory.values, mask, scale=scale)

    def _merge(self, context: Tensor) -> Tensor:
        """(B, H, T, V / H) -> (B, T, V)"""
        context_BTV = context.transpose(1, 2).flatten(2)
        return context_BTV if self.out is None else self.out(context_BTV)

    def _for_heads(self, x: Tensor) -> Tensor:
        """(B, G, S, any) of G heads, or (B, S, any) that all heads share -> (B, H, S, any)"""
        x = x if x.dim() == 4 else x[:, None]
        return x if x.size(1) == self.heads else x.repeat_interleave(self.heads // x.size(1), 1)

    def initial_history(
        self, rows: int, mask_BS: Tensor, like: Tensor, rng_stream_B: Tensor | None = None
    ) -> History:
        """The history of R rows before the first step, R / B rows of each sentence: step and rng_stream
        (R), previous and cumulative (R, H, S), use_expectation (R). None if no step needs a history.

        It has the device of `like`. `rng_stream_B` selects the random numbers of each sentence outside
        training.
        """
        if not (self.needs_history or self.needs_step):
            return None
        zeros = use_expectation = None
        if self.needs_history:
            wide = torch.promote_types(like.dtype, torch.float32)
            zeros = like.new_zeros(rows, self.heads, mask_BS.size(1), dtype=wide)
        if self.training and self.normalise.draws:
            use_expectation = torch.rand(rows, device=like.device) < self.expectation_prob
        rng_stream = None if rng_stream_B is None else rng_stream_B.repeat_interleave(rows // len(mask_BS))
        step = torch.zeros(rows, dtype=torch.long, device=like.device)
        return AttentionHistory(step, zeros, zeros, use_expectation, rng_stream)

    def update_history(self, history: History, weights_RHS: Tensor | None) -> History:
        """The history one step later, from the weights of this step. They may be None if `needs_history`
        is False.
        """
        if history is None:
            return None
        step, cumulative = history.step + 1, history.cumulative
        if cumulative is None:
            return history._replace(step=step)
        assert weights_RHS is not None
        return history._replace(step=step, previous=weights_RHS, cumulative=cumulative + weights_RHS)


def _split(x_BTD: Tensor, heads: int) -> Tensor:
    """(B, T, D) -> (B, H, T, D / H); for one head (B, T, D), which is not changed."""
    return x_BTD if heads == 1 else x_BTD.unflatten(-1, (heads, -1)).transpose(1, 2)
