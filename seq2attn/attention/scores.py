"""Scores: how well each key answers each query.

`keys` projects the memory once per source; `forward` compares queries with those keys. `past` is for scores that read the weights of
earlier steps. Masks are the normaliser's business.
"""

from abc import abstractmethod
from typing import cast

import torch
from torch import Tensor, nn

from seq2attn.attention.energy import tanh_energy
from seq2attn.attention.unrolled import Linear, product


class Score(nn.Module):
    @abstractmethod
    def keys(self, memory_BSK: Tensor) -> Tensor:
        """What `forward` compares with, (B, S, any): made once per source."""

    @abstractmethod
    def forward(self, query_BTQ: Tensor, keys: Tensor, past: Tensor | None = None) -> Tensor:
        """Scores (B, T, S) of queries (B, T, Q) against what `keys` made."""


class Dot(Score):
    """e_ij = q_i . k_j (Luong 2015, eq. 8): no weights, so queries and keys have one size."""

    def keys(self, memory_BSK: Tensor) -> Tensor:
        return memory_BSK

    def forward(self, query_BTQ: Tensor, keys: Tensor, past: Tensor | None = None) -> Tensor:
        return product(query_BTQ, keys.mT)


class ScaledDot(Dot):
    """e_ij = q_i . k_j / sqrt(d) (Vaswani 2017, eq. 1)."""

    def forward(self, query_BTQ: Tensor, keys: Tensor, past: Tensor | None = None) -> Tensor:
        scores: Tensor = super().forward(query_BTQ, keys) * keys.size(-1) ** -0.5
        return scores


class General(Score):
    """e_ij = q_i W k_j (Luong 2015, eq. 8): W k_j is made once per source."""

    def __init__(self, query_size: int, key_size: int) -> None:
        super().__init__()
        self.key = Linear(key_size, query_size, bias=False)

    def keys(self, memory_BSK: Tensor) -> Tensor:
        return cast(Tensor, self.key(memory_BSK))

    def forward(self, query_BTQ: Tensor, keys: Tensor, past: Tensor | None = None) -> Tensor:
        return product(query_BTQ, keys.mT)


class Additive(Score):
    """e_ij = v . tanh(W q_i + U k_j + b) (Bahdanau 2015, appendix A.1.2)."""

    def __init__(self, query_size: int, key_size: int, size: int) -> None:
        super().__init__()
        self.query = Linear(query_size, size)
        self.key = Linear(key_size, size, bias=False)
        self.v = nn.Parameter(torch.empty(size))

    def keys(self, memory_BSK: Tensor) -> Tensor:
        return cast(Tensor, self.key(memory_BSK))

    def forward(self, query_BTQ: Tensor, keys: Tensor, past: Tensor | None = None) -> Tensor:
        return tanh_energy(self.query(query_BTQ), keys, self.v)


class Concat(Score):
    """e_ij = v . tanh(W [q_i; k_j]) (Luong 2015, eq. 8): one matrix over both, no bias; its halves are applied apart."""

    def __init__(self, query_size: int, key_size: int, size: int) -> None:
        super().__init__()
        self.query_size = query_size
        self.weight = nn.Parameter(torch.empty(size, query_size + key_size))
        self.v = nn.Parameter(torch.empty(size))

    def keys(self, memory_BSK: Tensor) -> Tensor:
        return memory_BSK @ self.weight[:, self.query_size :].t()

    def forward(self, query_BTQ: Tensor, keys: Tensor, past: Tensor | None = None) -> Tensor:
        query = product(query_BTQ.flatten(0, 1), self.weight[:, : self.query_size].t()).unflatten(0, query_BTQ.shape[:2])
        return tanh_energy(query, keys, self.v)


def score_named(name: str, query_size: int, key_size: int, size: int) -> Score:
    """The score that a config names; `size` is the hidden size of those that have one."""
    match name:
        case "additive":
            return Additive(query_size, key_size, size)
        case "concat":
            return Concat(query_size, key_size, size)
        case "general":
            return General(query_size, key_size)
        case "dot":
            return Dot()
        case "scaled-dot":
            return ScaledDot()
    raise ValueError(f"no score is named {name}")
