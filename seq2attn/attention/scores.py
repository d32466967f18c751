"""Scores: how well each key answers each query.

`keys` projects the memory once per source; `forward` compares queries with those keys, and adds what a matrix
U makes of the
features of past weights where a score is built for them. How features come about, masks and heads are not its
business.
"""

from abc import abstractmethod
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.config import AttentionConfig, Map
from seq2attn.kernels.additive_score import additive_score
from seq2attn.kernels.deferred_gradients import Linear, product

# the score of a position that a location score has no weight for: finite in half precision, and nothing after
# a softmax
UNREAD = -10000.0
SHORTEST = 1e-6  # length below which a vector has no direction


class Score(nn.Module):
    def __init__(self, past_size: int = 0, size: int = 1) -> None:
        """`past_size` features of past weights are mapped to `size` units, one where they join the score
        itself.
        """
        super().__init__()
        self.past = Linear(past_size, size, bias=False) if past_size else None

    def keys(self, memory_BSK: Tensor) -> Tensor:
        """What `forward` compares with, (B, S, any): made once per source."""
        return memory_BSK

    def scale(self, size: int) -> float | None:
        """Of a score that is a product of two vectors, what that product is multiplied by; None for the
        others.
        """
        return None

    @abstractmethod
    def forward(self, query_BTQ: Tensor, keys: Tensor, features_BTSP: Tensor | None = None) -> Tensor:
        """Scores (B, T, S) of queries (B, T, Q) against what `keys` made, beside the features of past weights
        that it was built for.
        """


class Sum(Score):
    """compare(q, k) + U f: a score that past weights join from outside."""

    @abstractmethod
    def compare(self, query_BTQ: Tensor, keys: Tensor) -> Tensor:
        """Scores (B, T, S) without the past."""

    def forward(self, query_BTQ: Tensor, keys: Tensor, features_BTSP: Tensor | None = None) -> Tensor:
        scores = self.compare(query_BTQ, keys)
        if self.past is None or features_BTSP is None:
            return scores
        added: Tensor = self.past(features_BTSP)
        return scores + added.squeeze(-1)


class Keyed(Sum):
    """e_ij = q(s_i) . k(h_j), each map the identity, linear or nonlinear."""

    def __init__(self, query: nn.Module, key: nn.Module, past_size: int = 0) -> None:
        super().__init__(past_size)
        self.query = query
        self.key = key

    def keys(self, memory_BSK: Tensor) -> Tensor:
        return cast(Tensor, self.key(memory_BSK))

    def compare(self, query_BTQ: Tensor, keys: Tensor) -> Tensor:
        query: Tensor = self.query(query_BTQ)
        return product(query, keys.mT)

    def scale(self, size: int) -> float:
        return 1.0


class Dot(Keyed):
    """e_ij = q_i . k_j (Luong 2015, section 3.1): no weights, so queries and keys have one size."""

    def __init__(self, past_size: int = 0) -> None:
        super().__init__(nn.Identity(), nn.Identity(), past_size)


class ScaledDot(Dot):
    """e_ij = q_i . k_j / sqrt(d) (Vaswani 2017, eq. 1)."""

    def compare(self, query_BTQ: Tensor, keys: Tensor) -> Tensor:
        scores: Tensor = super().compare(query_BTQ, keys) * self.scale(keys.size(-1))
        return scores

    def scale(self, size: int) -> float:
        return cast(float, size**-0.5)


class General(Keyed):
    """e_ij = q_i W k_j (Luong 2015, section 3.1): W k_j is made once per source. It is W_q^T W_k of the keyed
    score with linear maps, merged.
    """

    def __init__(self, query_size: int, key_size: int, past_size: int = 0) -> None:
        super().__init__(nn.Identity(), Linear(key_size, query_size, bias=False), past_size)


class Cosine(Sum):
    """e_ij = 10 exp(p) cos(q_i, k_j), p learned: a cosine alone, within +-1, leaves a softmax almost flat. A
    zero vector scores 0.
    """

    def __init__(self, past_size: int = 0) -> None:
        super().__init__(past_size)
        self.p = nn.Parameter(torch.zeros(()))

    def keys(self, memory_BSK: Tensor) -> Tensor:
        return _direction(memory_BSK)

    def compare(self, query_BTQ: Tensor, keys: Tensor) -> Tensor:
        return product(_direction(query_BTQ), keys.mT) * (10 * self.p.exp())


class ConcatLinear(Sum):
    """e_ij = w . [q_i; k_j]: no tanh, no bias. The query adds one number to a whole row, so a softmax does
    not see it.
    """

    def __init__(self, query_size: int, key_size: int, past_size: int = 0, bias: bool = False) -> None:
        super().__init__(past_size)
        self.query = Linear(query_size, 1, bias=bias)
        self.key = Linear(key_size, 1, bias=False)

    def keys(self, memory_BSK: Tensor) -> Tensor:
        return cast(Tensor, self.key(memory_BSK))

    def compare(self, query_BTQ: Tensor, keys: Tensor) -> Tensor:
        query: Tensor = self.query(query_BTQ)
        return query + keys.mT


class SigmoidScore(ConcatLinear):
    """e_ij = sigma(p . q_i + u . k_j + r): the sigmoid lets the query decide how far apart the keys are."""

    def __init__(self, query_size: int, key_size: int, past_size: int = 0) -> None:
        super().__init__(query_size, key_size, past_size, bias=True)

    def compare(self, query_BTQ: Tensor, keys: Tensor) -> Tensor:
        return super().compare(query_BTQ, keys).sigmoid()


class Location(Sum):
    """e_ij = (W q_i)_j (Luong 2015, eq. 8: a = softmax(W s)): of the query alone. W has `positions` rows;
    later positions score UNREAD.
    """

    def __init__(self, query_size: int, positions: int, past_size: int = 0, bias: bool = False) -> None:
        super().__init__(past_size)
        self.positions = Linear(query_size, positions, bias=bias)

    def keys(self, memory_BSK: Tensor) -> Tensor:
        return memory_BSK[..., :0].detach()  # their number is all that counts

    def compare(self, query_BTQ: Tensor, keys: Tensor) -> Tensor:
        source, positions = keys.size(1), self.positions
        scores = product(query_BTQ.flatten(0, 1), positions.weight[:source].t()).unflatten(
            0, query_BTQ.shape[:2]
        )
        if positions.bias is not None:
            scores = scores + positions.bias[:source].to(scores.dtype)
        return F.pad(scores, (0, source - scores.size(-1)), value=UNREAD)


class Additive(Score):
    """e_ij = v . tanh(W q_i + U k_j + b) (Bahdanau 2015, appendix A.1.2), features of past weights inside the
    tanh (Chorowski 2015, eq. 9; Tu 2016, section 3).
    """

    def __init__(self, query_size: int, key_size: int, size: int, past_size: int = 0) -> None:
        super().__init__(past_size, size)
        self.query = Linear(query_size, size)
        self.key = Linear(key_size, size, bias=False)
        self.v = nn.Parameter(torch.empty(size))

    def keys(self, memory_BSK: Tensor) -> Tensor:
        return cast(Tensor, self.key(memory_BSK))

    def forward(self, query_BTQ: Tensor, keys: Tensor, features_BTSP: Tensor | None = None) -> Tensor:
        return additive_score(
            self.query(query_BTQ),
            keys,
            self.v,
            features_BTSP,
            None if self.past is None else self.past.weight.t(),
        )


class Concat(Score):
    """e_ij = v . tanh(W [q_i; k_j]) (Luong 2015, section 3.1): one matrix over both, no bias; its halves are
    applied apart. Past weights as in Additive.
    """

    def __init__(self, query_size: int, key_size: int, size: int, past_size: int = 0) -> None:
        super().__init__(past_size, size)
        self.query_size = query_size
        self.weight = nn.Parameter(torch.empty(size, query_size + key_size))
        self.v = nn.Parameter(torch.empty(size))

    def keys(self, memory_BSK: Tensor) -> Tensor:
        return memory_BSK @ self.weight[:, self.query_size :].t()

    def forward(self, query_BTQ: Tensor, keys: Tensor, features_BTSP: Tensor | None = None) -> Tensor:
        query = product(query_BTQ.flatten(0, 1), self.weight[:, : self.query_size].t()).unflatten(
            0, query_BTQ.shape[:2]
        )
        return additive_score(
            query, keys, self.v, features_BTSP, None if self.past is None else self.past.weight.t()
        )


class Nonlinear(Linear):
    """tanh(W x + b)."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = super().forward(x)
        return y.tanh()


def build_map(name: Map, size_in: int, size_out: int) -> nn.Module:
    """The map that a config names: x (of one size then), W x, or tanh(W x + b)."""
    match name:
        case "identity":
            return nn.Identity()
        case "linear":
            return Linear(size_in, size_out, bias=False)
        case "nonlinear":
            return Nonlinear(size_in, size_out)


def build_score(
    settings: AttentionConfig, query_size: int, key_size: int, size: int, past_size: int = 0
) -> Score:
    """The score that a config names; `size` is the hidden size of those that have one, `past_size` the
    features a position of the past term.
    """
    match settings.score:
        case "dot":
            return Dot(past_size)
        case "scaled-dot":
            return ScaledDot(past_size)
        case "general":
            return General(query_size, key_size, past_size)
        case "keyed":
            common = (
                query_size
                if settings.query_map == "identity"
                else key_size
                if settings.key_map == "identity"
                else size
            )
            return Keyed(
                build_map(settings.query_map, query_size, common),
                build_map(settings.key_map, key_size, common),
                past_size,
            )
        case "cosine":
            return Cosine(past_size)
        case "additive":
            return Additive(query_size, key_size, size, past_size)
        case "concat":
            return Concat(query_size, key_size, size, past_size)
        case "concat-linear":
            return ConcatLinear(query_size, key_size, past_size)
        case "sigmoid":
            return SigmoidScore(query_size, key_size, past_size)
        case "location":
            return Location(query_size, settings.max_positions, past_size)
        case "concat-location":
            return Location(query_size, settings.max_positions, past_size, bias=True)


def _direction(x: Tensor) -> Tensor:
    """x / |x| in float32 or wider. Zeros stay zeros: divided by 1, so that their gradient is neither infinite
    nor immense.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length.masked_fill(length < SHORTEST, 1.0)
