"""Attention = score x normaliser x values. Every variant lives in this package; `attention.py` is the file to
read first, then `scores.py` and `normalisers.py`.

It needs torch, the settings and `kernels/`, and knows no model.
"""

from seq2attn.attention.attention import Attention, AttentionOutput, ProjectedMemory
from seq2attn.attention.history import AttentionHistory
from seq2attn.attention.normalisers import AttentionWeights, Normaliser, build_normaliser
from seq2attn.attention.scores import Score, build_score

__all__ = [
    "Attention",
    "AttentionHistory",
    "AttentionOutput",
    "AttentionWeights",
    "Normaliser",
    "ProjectedMemory",
    "Score",
    "build_normaliser",
    "build_score",
]
