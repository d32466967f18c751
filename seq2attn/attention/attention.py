"""One attention made of its named parts: score x normaliser x values, in heads, with a window and a term that reads past weights.

It is given queries and a memory, whoever they come from, and knows no recurrence: what earlier steps leave to later ones is a value, `Past`,
that it makes and whoever steps carries.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from seq2attn.attention.normalisers import normaliser_named
from seq2attn.attention.past import Past, term_named
from seq2attn.attention.read import read
from seq2attn.attention.scores import score_named
from seq2attn.attention.unrolled import Linear
from seq2attn.attention.window import window_named
from seq2attn.config import Attention as Settings


class Source(NamedTuple):
    """What every step reads and none changes; dim 0 is the sentence, dim 1 the head."""

    keys: Tensor  # (B, H, S, any)
    values: Tensor  # (B, H, S, V / H)
    term: Tensor | None  # (B, H, S): what a past term makes once of its keys
    mask_BS: Tensor


class Reading(NamedTuple):
    """What T queries of B sentences got, or R rows with the two first dimensions in one."""

    context: Tensor | None  # (B, T, V)
    weights: Tensor | None = None  # (B, T, H, S)
    log_p: Tensor | None = None  # (B, T), of the draws of all heads
    entropy: Tensor | None = None  # (B, T), of what they were drawn from


class Attention(nn.Module):
    def __init__(self, settings: Settings, query_size: int, key_size: int, value_size: int, size: int) -> None:
        """`size` is the hidden size of the score, of all heads together. The context has the values' size."""
        super().__init__()
        many = settings.heads > 1
        self.settings = settings
        self.heads = settings.heads
        self.query = Linear(query_size, size, bias=False) if many else None
        self.key = nn.Linear(key_size, size, bias=False) if many and settings.compares else None
        self.value = nn.Linear(value_size, value_size, bias=settings.value_map == "nonlinear") if many or settings.value_map != "identity" else None
        self.out = Linear(value_size, value_size, bias=False) if many else None
        size //= self.heads
        if many:
            query_size = key_size = size
        self.term = term_named(settings, key_size)
        self.score = score_named(settings, query_size, key_size, size, 0 if self.term is None else self.term.size)
        self.window = window_named(settings, query_size, size)
        self.normalise = normaliser_named(settings)
        self.remembers = self.term is not None  # a step's weights wait for those of the steps before
        self.counts = settings.window == "local-m" or settings.normaliser == "hard-sample"  # it matters which step it is

    def source(self, keys_BSK: Tensor, values_BSV: Tensor, mask_BS: Tensor) -> Source:
        """The memory, projected once."""
        if self.key is not None:
            keys_BSK = self.key(keys_BSK)
        elif self.heads > 1:
            keys_BSK = keys_BSK[..., :1].expand(-1, -1, self.heads)  # the heads of a location score only count them
        if self.value is not None:
            values_BSV = self.value(values_BSV)
        if self.settings.value_map == "nonlinear":
            values_BSV = values_BSV.tanh()
        keys, values = self._fold(keys_BSK), self._fold(values_BSV)
        term = None if self.term is None else self.term.source(keys)
        shape = (len(mask_BS), self.heads)
        if "location" in self.settings.score:  # a position that the score has no weight for is as padding
            mask_BS = mask_BS & (torch.arange(mask_BS.size(1), device=mask_BS.device) < self.settings.positions)
        return Source(self.score.keys(keys).unflatten(0, shape), values.unflatten(0, shape), None if term is None else term.unflatten(0, shape), mask_BS)

    def start(self, rows: int, mask_BS: Tensor, like: Tensor) -> Past | None:
        """The past of R rows before the first step: time (R), last and total (R, H, S), expected (R); None where no step asks for it."""
        if not (self.remembers or self.counts):
            return None
        zeros = like.new_zeros(rows, self.heads, mask_BS.size(1), dtype=torch.promote_types(like.dtype, torch.float32)) if self.remembers else None
        expected = None
        if self.training and self.settings.normaliser == "hard-sample":
            expected = torch.rand(rows, device=like.device) < self.settings.expected
        return Past(torch.zeros(rows, dtype=torch.long, device=like.device), zeros, zeros, expected)

    def after(self, past: Past | None, weights_RHS: Tensor | None) -> Past | None:
        """The past one step on."""
        if past is None or weights_RHS is None:
            return None
        if past.total is None:
            return past._replace(time=past.time + 1)
        return past._replace(time=past.time + 1, last=weights_RHS, total=past.total + weights_RHS)

    def forward(self, query_BTQ: Tensor, source: Source, past: Past | None = None) -> Reading:
        """T queries of each sentence at once; `past` is theirs: time (B, T), last and total (B, T, H, S), expected (B, T)."""
        if self.query is not None:
            query_BTQ = self.query(query_BTQ)
        query, keys, values = self._fold(query_BTQ), source.keys.flatten(0, 1), source.values.flatten(0, 1)
        mask_BS = source.mask_BS.repeat_interleave(self.heads, 0) if self.heads > 1 else source.mask_BS
        if past is not None:
            past = Past(past.time.repeat_interleave(self.heads, 0), self._by_heads(past.last), self._by_heads(past.total), self._of_heads(past.expected))
        features = None
        if self.term is not None and past is not None:
            features = self.term(past, None if source.term is None else source.term.flatten(0, 1))
        mask_BTS, factor_BTS = mask_BS[:, None], None
        if self.window is not None:
            mask_BTS, factor_BTS = self.window(query, mask_BS, past)
        if past is not None and self.settings.decoding == "sample":  # by noise that is a function of the step: each head has its own
            head_BH = torch.arange(self.heads, device=past.time.device).repeat(len(source.mask_BS))
            past = past._replace(time=past.time * self.heads + head_BH[:, None])
        context, chosen = read(query, keys, values, mask_BTS, self.score, self.normalise, past, features, factor_BTS)
        shape = (len(source.mask_BS), self.heads)
        context = context.unflatten(0, shape).transpose(1, 2).flatten(2)
        if self.out is not None:
            context = self.out(context)
        log_p, entropy = (None if part is None else part.unflatten(0, shape).sum(1) for part in chosen[1:])
        return Reading(context, chosen.weights.unflatten(0, shape).transpose(1, 2), log_p, entropy)

    def _fold(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) -> (B * H, T, D / H): a head is a sentence of its own."""
        if self.heads == 1:
            return x_BTD
        folded: Tensor = x_BTD.unflatten(-1, (self.heads, -1)).transpose(1, 2).flatten(0, 1)
        return folded

    def _by_heads(self, weights_BTHS: Tensor | None) -> Tensor | None:
        return None if weights_BTHS is None else weights_BTHS.transpose(1, 2).flatten(0, 1)

    def _of_heads(self, x_BT: Tensor | None) -> Tensor | None:
        return None if x_BT is None else x_BT.repeat_interleave(self.heads, 0)
