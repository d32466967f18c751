"""Attention = score x normaliser x values. Every variant lives in this package; `attention.py` is the file to
read first, then `scores.py` and `normalisers.py`.

It needs torch, the settings and `kernels/`, and knows no model.
"""

from seq2attn.attention.attention import Attention, AttentionOutput, OneLayer, Weights
from seq2attn.attention.history import AttentionHistory, History

__all__ = ["Attention", "AttentionHistory", "AttentionOutput", "History", "OneLayer", "Weights"]
