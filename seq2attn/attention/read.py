"""Attention itself: score, normalise, read."""

from torch import Tensor

from seq2attn.attention.normalisers import Normaliser
from seq2attn.attention.scores import Score
from seq2attn.attention.unrolled import product


def read(
    query_BTQ: Tensor, keys: Tensor, values_BSV: Tensor, mask_BS: Tensor, score: Score, normalise: Normaliser, past: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """c_i = sum_j a_ij v_j with a = normalise(score(q, k)): context (B, T, V), weights (B, T, S). `keys` comes from `score.keys`."""
    weights_BTS = normalise(score(query_BTQ, keys, past), mask_BS, past)
    return product(weights_BTS.to(values_BSV.dtype), values_BSV), weights_BTS
