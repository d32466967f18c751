"""The reading itself: score, normalise, and the sum of the values by their weights."""

from torch import Tensor

from seq2attn.attention.history import AttentionHistory
from seq2attn.attention.normalisers import Chosen, Normaliser
from seq2attn.attention.scores import Score
from seq2attn.kernels.deferred_gradients import product


def read(
    query_BTQ: Tensor,
    keys: Tensor,
    values_BSV: Tensor,
    mask_BTS: Tensor,
    score: Score,
    normalise: Normaliser,
    past: AttentionHistory | None = None,
    features_BTSP: Tensor | None = None,
    factor_BTS: Tensor | None = None,
) -> tuple[Tensor, Chosen]:
    """c_i = sum_j a_ij v_j with a = normalise(score(q, k)): context (B, T, V), and the weights (B, T, S) with
    what a draw leaves.

    `keys` comes from `score.keys`; the mask has one row for all queries, (B, 1, S), or one each. `features`
    are those of a past term, `factor` multiplies the
    weights after the normaliser (Luong 2015, eq. 10).
    """
    chosen = normalise(score(query_BTQ, keys, features_BTSP), mask_BTS, past)
    if factor_BTS is not None:
        chosen = chosen._replace(weights=chosen.weights * factor_BTS)
    return product(chosen.weights.to(values_BSV.dtype), values_BSV), chosen
