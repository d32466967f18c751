"""Scores: how well each key answers each query.

`project_keys` runs once for a source, `project_query` at every step, and `forward` compares their results. A
score works on any leading dimensions, heads among them: queries (..., T, Q) and keys (..., S, K) give scores
(..., T, S). A score knows no masks, and it does not compute the features f of earlier weights: it adds U f,
where the matrix U is its own.

A new score is a class here with its case in `build_score`, a row in the table of `config/scores.py`, a preset
in `presets/`, and its formula in the tests' `reference/attention.py`. Its matrices are
`kernels.deferred_gradients.Linear`, or multiply by `matmul` from there, which a loop over steps needs.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.attention.part import AttentionPart
from seq2attn.config import AttentionConfig, Map
from seq2attn.kernels.additive_score import additive_score
from seq2attn.kernels.deferred_gradients import Linear, matmul
from seq2attn.own_code.parts import own_score

# The score of a position beyond `max_positions`, which an attention also masks: finite in half precision.
LOWEST = -10000.0
MIN_LENGTH = 1e-6  # a shorter vector has no direction
Function = Callable[[Tensor], Tensor]


class Score(AttentionPart):
    """Maps of queries and keys, and a comparison of the two."""

    is_product = False  # True: it is a `ProductScore`, which torch's fused call can compute
    max_positions: int | None = None  # source positions that it can score; attention masks later ones

    def __init__(
        self, query: Function | None = None, key: Function | None = None, history_size: int = 0, size: int = 1
    ) -> None:
        """`query` and `key` are maps of queries and keys; None is the identity. The matrix U takes
        `history_size` features of earlier weights, 0 for none, to `size` units: 1 unit is added to the score.
        """
        super().__init__()
        self.history_proj = Linear(history_size, size, bias=False) if history_size else None
        self.query, self.key = query, key

    def project_query(self, query: Tensor) -> Tensor:
        """The queries that `forward` compares, (..., T, any)."""
        return query if self.query is None else self.query(query)

    def project_keys(self, memory: Tensor) -> Tensor:
        """The keys that `forward` compares, (..., S, any), computed once for a source."""
        return memory if self.key is None else self.key(memory)

    def scale(self, size: int) -> float:
        """The factor on a product of two vectors of this size."""
        return 1.0

    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        """Scores (..., T, S) of projected queries and keys: what a new score overrides."""
        raise NotImplementedError(f"write compare(self, query, keys) in {type(self).__name__}")

    def forward(self, query: Tensor, keys: Tensor, features: Tensor | None = None) -> Tensor:
        """compare(q, k) + U f, with features f (..., T, S, P) of earlier weights if the score was built with
        a `history_size`.
        """
        scores = self.compare(query, keys)
        if self.history_proj is None or features is None:
            return scores
        return scores + self.history_proj(features).squeeze(-1)


class ProductScore(Score):
    """e_ij = f(q_i) . g(k_j), where f and g are the maps of queries and keys.

    Without maps it is dot (Luong 2015, section 3.1), which needs queries and keys of one size. With a map of
    the keys alone it is general, q_i W k_j (same section).
    """

    is_product = True

    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        scores, scale = matmul(query, keys.mT), self.scale(keys.size(-1))
        return scores if scale == 1 else scores * scale


class ScaledDot(ProductScore):
    """e_ij = q_i . k_j / sqrt(d) (Vaswani 2017, eq. 1)."""

    def scale(self, size: int) -> float:
        return float(size**-0.5)


class Cosine(Score):
    """e_ij = 10 exp(p) cos(q_i, k_j), p learned: a cosine alone, within +-1, leaves a softmax almost flat. A
    zero vector scores 0.
    """

    def __init__(self, history_size: int = 0) -> None:
        super().__init__(_direction, _direction, history_size)
        self.p = nn.Parameter(torch.zeros(()))

    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return matmul(query, keys.mT) * (10 * self.p.exp())


class ConcatLinear(Score):
    """e_ij = w . [q_i; k_j], without tanh and bias. The query adds the same number to all scores of a row,
    and a softmax does not change by that.
    """

    def __init__(self, query_size: int, key_size: int, history_size: int = 0, bias: bool = False) -> None:
        super().__init__(Linear(query_size, 1, bias=bias), Linear(key_size, 1, bias=False), history_size)

    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return query + keys.mT


class SigmoidScore(ConcatLinear):
    """e_ij = sigmoid(p . q_i + u . k_j + r). Through the sigmoid the query changes how far apart the scores
    of the keys are.
    """

    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        return super().compare(query, keys).sigmoid()


class Location(Score):
    """e_ij = (W q_i)_j (Luong 2015, eq. 8: a = softmax(W s)): a score of the query alone. W has a row for
    each of `max_positions` positions.
    """

    def __init__(self, query_size: int, max_positions: int, history_size: int, bias: bool = False) -> None:
        super().__init__(history_size=history_size)
        self.max_positions = max_positions
        self.positions = Linear(query_size, max_positions, bias=bias)

    def project_keys(self, memory: Tensor) -> Tensor:
        return memory[..., :0].detach()  # only the number of keys is used

    def compare(self, query: Tensor, keys: Tensor) -> Tensor:
        count, bias = keys.size(-2), self.positions.bias
        scores = matmul(query, self.positions.weight[:count].t())
        if bias is not None:
            scores = scores + bias[:count].to(scores.dtype)
        return F.pad(scores, (0, count - scores.size(-1)), value=LOWEST)


class Additive(Score):
    """e_ij = v . tanh(W q_i + V k_j + b) (Bahdanau 2015, appendix A.1.2). Features f of earlier weights add
    U f inside the tanh (Chorowski 2015, eq. 9; Tu 2016, section 3).
    """

    def __init__(self, query: Linear | None, key: Linear | None, history_size: int, size: int) -> None:
        super().__init__(query, key, history_size, size)
        self.v = nn.Parameter(torch.empty(size))

    def forward(self, query: Tensor, keys: Tensor, features: Tensor | None = None) -> Tensor:
        u = None if self.history_proj is None else self.history_proj.weight.t()
        return additive_score(query, keys, self.v, features, u)


class Concat(Additive):
    """e_ij = v . tanh(W [q_i; k_j]) (Luong 2015, section 3.1): one matrix W over both, without bias. Its two
    halves are applied to queries and keys separately.
    """

    def __init__(self, query_size: int, key_size: int, history_size: int, size: int) -> None:
        super().__init__(None, None, history_size, size)
        self.query_size = query_size
        self.weight = nn.Parameter(torch.empty(size, query_size + key_size))

    def project_query(self, query: Tensor) -> Tensor:
        return matmul(query, self.weight[:, : self.query_size].t())

    def project_keys(self, memory: Tensor) -> Tensor:
        return memory @ self.weight[:, self.query_size :].t()


class Nonlinear(Linear):
    """tanh(W x + b)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).tanh()


def build_map(name: Map, size_in: int, size_out: int) -> Linear | None:
    """The map of queries or keys that a setting names: None for the identity, W x, or tanh(W x + b)."""
    if name == "identity":
        return None
    return Nonlinear(size_in, size_out) if name == "nonlinear" else Linear(size_in, size_out, bias=False)


def build_score(
    config: AttentionConfig, query_size: int, key_size: int, size: int, history_size: int = 0
) -> Score:
    """The score that `config.score` names. `size` is the hidden size of scores that have one, `history_size`
    the number of history features of a position.
    """
    match config.score:
        case "dot":
            return ProductScore(history_size=history_size)
        case "scaled-dot":
            return ScaledDot(history_size=history_size)
        case "general":  # W k_j is computed once for a source
            return ProductScore(None, Linear(key_size, query_size, bias=False), history_size)
        case "keyed":  # a side without a map decides the size of the other
            size = key_size if config.key_map == "identity" else size
            size = query_size if config.query_map == "identity" else size
            query = build_map(config.query_map, query_size, size)
            return ProductScore(query, build_map(config.key_map, key_size, size), history_size)
        case "cosine":
            return Cosine(history_size)
        case "additive":
            return Additive(Linear(query_size, size), Linear(key_size, size, bias=False), history_size, size)
        case "concat":
            return Concat(query_size, key_size, history_size, size)
        case "concat-linear":
            return ConcatLinear(query_size, key_size, history_size)
        case "sigmoid":
            return SigmoidScore(query_size, key_size, history_size, bias=True)
        case "location" | "concat-location" as name:
            return Location(query_size, config.max_positions, history_size, name == "concat-location")
        case own:
            return own_score(own, Score, query_size, key_size, size, history_size)


def _direction(x: Tensor) -> Tensor:
    """x / |x| in float32 or wider. A vector shorter than `MIN_LENGTH` is divided by 1, so that its gradient
    is neither infinite nor huge.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / length.masked_fill(length < MIN_LENGTH, 1.0)
