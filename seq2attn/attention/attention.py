"""One attention made of its named parts: score x normaliser x values, in heads, with a window and a term that
reads past weights.

It is given queries and a memory, whoever they come from, and knows no recurrence: what earlier steps leave to
later ones is a value, `Past`,
that it makes and whoever steps carries.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from seq2attn.attention.history import AttentionHistory, build_history_feature
from seq2attn.attention.normalisers import build_normaliser
from seq2attn.attention.read import read
from seq2attn.attention.scores import Keyed, build_score
from seq2attn.attention.windows import build_window
from seq2attn.config import AttentionConfig
from seq2attn.kernels.deferred_gradients import Linear, product_dtype
from seq2attn.kernels.dot_product import products, to_compute_dtype


class ProjectedMemory(NamedTuple):
    """What every step reads and none changes; dim 0 is the sentence, dim 1 the head."""

    keys: Tensor  # (B, H, S, any)
    values: Tensor  # (B, H, S, V / H)
    term: Tensor | None  # (B, H, S): what a past term makes once of its keys
    mask_BS: Tensor


class AttentionOutput(NamedTuple):
    """What T queries of B sentences got, or R rows with the two first dimensions in one."""

    context: Tensor | None  # (B, T, V)
    weights: Tensor | None = None  # (B, T, H, S)
    log_p: Tensor | None = None  # (B, T), of the draws of all heads
    entropy: Tensor | None = None  # (B, T), of what they were drawn from


class Attention(nn.Module):
    def __init__(
        self,
        settings: AttentionConfig,
        query_size: int,
        key_size: int,
        value_size: int,
        size: int,
        out_size: int | None = None,
        bias: bool = False,
        number: int = 0,
    ) -> None:
        """`size` is the hidden size of the score, of all heads together.

        The context has the values' size; or `out_size`: then queries, keys, values and context are mapped
        even with one head, the values to `size`
        (Vaswani 2017, section 3.2.2), with a `bias` or without. `number` tells the attentions of one decoder
        apart, so that each draws by itself.
        """
        super().__init__()
        maps = settings.heads > 1 or out_size is not None
        self.settings = settings
        self.number = number
        self.heads = settings.heads
        self.kv_heads = settings.kv_heads or settings.heads
        inner = value_size if out_size is None else size
        self.query = Linear(query_size, size, bias=bias) if maps else None
        self.key = (
            nn.Linear(key_size, size // self.heads * self.kv_heads, bias=bias)
            if maps and settings.compares
            else None
        )
        map_values = maps or settings.value_map != "identity"
        self.value = (
            nn.Linear(
                value_size,
                inner // self.heads * self.kv_heads,
                bias=bias or settings.value_map == "nonlinear",
            )
            if map_values
            else None
        )
        self.out = Linear(inner, out_size or value_size, bias=bias) if maps else None
        size //= self.heads
        if maps:
            query_size = key_size = size
        self.term = build_history_feature(settings, key_size)
        self.score = build_score(
            settings, query_size, key_size, size, 0 if self.term is None else self.term.size
        )
        self.window = build_window(settings, query_size, size)
        self.normalise = build_normaliser(settings)
        # a softmax of products, which torch has in one call where nobody asks for the weights
        simple = self.term is None and self.window is None and settings.normaliser == "softmax"
        self.can_fuse = simple and self.score.scale(1) is not None
        self.needs_history = self.term is not None  # a step's weights wait for those of the steps before
        # it matters which step it is
        self.counts = settings.window == "local-m" or settings.normaliser == "hard-sample"

    def project_memory(self, keys_BSK: Tensor, values_BSV: Tensor, mask_BS: Tensor) -> ProjectedMemory:
        """The memory, projected once."""
        if self.key is not None:
            keys_BSK = self.key(keys_BSK)
        elif self.heads > 1:
            # the heads of a location score only count them
            keys_BSK = keys_BSK[..., :1].expand(-1, -1, self.kv_heads)
        if self.value is not None:
            values_BSV = self.value(values_BSV)
        if self.settings.value_map == "nonlinear":
            values_BSV = values_BSV.tanh()
        keys, values = self._fold(keys_BSK, self.kv_heads), self._fold(values_BSV, self.kv_heads)
        term = None if self.term is None else self.term.source(keys)
        if "location" in self.settings.score:  # a position that the score has no weight for is as padding
            mask_BS = mask_BS & (
                torch.arange(mask_BS.size(1), device=mask_BS.device) < self.settings.max_positions
            )
        keys_BHSd, values_BHSd = self._for_heads(self.score.keys(keys)), self._for_heads(values)
        if self.can_fuse:
            keys_BHSd, values_BHSd = to_compute_dtype(keys_BHSd), to_compute_dtype(values_BHSd)
        return ProjectedMemory(
            keys_BHSd, values_BHSd, None if term is None else self._for_heads(term), mask_BS
        )

    def initial_history(
        self, rows: int, mask_BS: Tensor, like: Tensor, stream_B: Tensor | None = None
    ) -> AttentionHistory | None:
        """The past of R rows before the first step: time (R), last and total (R, H, S), expected (R), stream
        (R); None where no step asks for it.

        `stream_B` numbers the random numbers of each sentence, for draws outside training.
        """
        if not (self.needs_history or self.counts):
            return None
        zeros = (
            like.new_zeros(
                rows, self.heads, mask_BS.size(1), dtype=torch.promote_types(like.dtype, torch.float32)
            )
            if self.needs_history
            else None
        )
        expected = None
        if self.training and self.settings.normaliser == "hard-sample":
            expected = torch.rand(rows, device=like.device) < self.settings.expectation_prob
        stream = None if stream_B is None else stream_B.repeat_interleave(rows // len(mask_BS))
        return AttentionHistory(
            torch.zeros(rows, dtype=torch.long, device=like.device), zeros, zeros, expected, stream
        )

    def update_history(
        self, past: AttentionHistory | None, weights_RHS: Tensor | None
    ) -> AttentionHistory | None:
        """The past one step on."""
        if past is None or past.total is None:
            return None if past is None else past._replace(time=past.time + 1)
        assert weights_RHS is not None
        return past._replace(time=past.time + 1, last=weights_RHS, total=past.total + weights_RHS)

    def forward(
        self,
        query_BTQ: Tensor,
        source: ProjectedMemory,
        past: AttentionHistory | None = None,
        weights: bool = True,
    ) -> AttentionOutput:
        """T queries of each sentence at once; `past` is theirs: time (B, T), last and total (B, T, H, S),
        expected (B, T).

        Without `weights` none may be given back, and the context comes from torch's fused call where that can
        say the same.
        """
        if self.query is not None:
            query_BTQ = self.query(query_BTQ)
        if self.can_fuse and not weights:
            return self._fused(query_BTQ, source, cast(Keyed, self.score))
        dtype = query_BTQ.dtype
        if self.can_fuse and not torch.is_grad_enabled():
            query_BTQ = query_BTQ.to(source.keys.dtype)
        query, keys, values = (
            self._fold(query_BTQ, self.heads),
            source.keys.flatten(0, 1),
            source.values.flatten(0, 1),
        )
        mask_BS = source.mask_BS.repeat_interleave(self.heads, 0) if self.heads > 1 else source.mask_BS
        if past is not None:
            drawn = self._of_heads(past.expected), self._of_heads(past.stream)
            past = AttentionHistory(
                past.time.repeat_interleave(self.heads, 0),
                self._by_heads(past.last),
                self._by_heads(past.total),
                *drawn,
            )
        features = None
        if self.term is not None and past is not None:
            features = self.term(past, None if source.term is None else source.term.flatten(0, 1))
        mask_BTS, factor_BTS = mask_BS[:, None], None
        if self.window is not None:
            mask_BTS, factor_BTS = self.window(query, mask_BS, past)
        # each head of each layer from a stream of its own
        if past is not None and self.settings.at_inference == "sample":
            head_BH = (
                torch.arange(self.heads, device=past.time.device).repeat(len(source.mask_BS))
                + self.number * self.heads
            )
            stream = torch.zeros_like(past.time) if past.stream is None else past.stream
            past = past._replace(stream=(stream << 12) + head_BH[:, None])
        context, chosen = read(
            query, keys, values, mask_BTS, self.score, self.normalise, past, features, factor_BTS
        )
        shape = (len(source.mask_BS), self.heads)
        context = context.to(dtype).unflatten(0, shape).transpose(1, 2).flatten(2)
        if self.out is not None:
            context = self.out(context)
        log_p, entropy = (None if part is None else part.unflatten(0, shape).sum(1) for part in chosen[1:])
        return AttentionOutput(context, chosen.weights.unflatten(0, shape).transpose(1, 2), log_p, entropy)

    def _fused(self, query_BTQ: Tensor, source: ProjectedMemory, score: Keyed) -> AttentionOutput:
        query: Tensor = score.query(query_BTQ.unflatten(-1, (self.heads, -1)).transpose(1, 2))
        scale = score.scale(query.size(-1)) / self.settings.temperature
        read = products(
            query.to(product_dtype(query)),
            source.keys,
            source.values,
            source.mask_BS[:, None, None],
            scale=scale,
        )
        context = read.transpose(1, 2).flatten(2)
        return AttentionOutput(context if self.out is None else self.out(context))

    @staticmethod
    def _fold(x_BTD: Tensor, heads: int) -> Tensor:
        """(B, T, D) -> (B * H, T, D / H): a head is a sentence of its own."""
        if heads == 1:
            return x_BTD
        folded: Tensor = x_BTD.unflatten(-1, (heads, -1)).transpose(1, 2).flatten(0, 1)
        return folded

    def _for_heads(self, x: Tensor) -> Tensor:
        """(B * G, S, any) of G shared heads -> (B, H, S, any)."""
        x = x.unflatten(0, (-1, self.kv_heads))
        return x if self.kv_heads == self.heads else x.repeat_interleave(self.heads // self.kv_heads, 1)

    def _by_heads(self, weights_BTHS: Tensor | None) -> Tensor | None:
        return None if weights_BTHS is None else weights_BTHS.transpose(1, 2).flatten(0, 1)

    def _of_heads(self, x_BT: Tensor | None) -> Tensor | None:
        return None if x_BT is None else x_BT.repeat_interleave(self.heads, 0)
