"""attention = a score of queries against keys x a normaliser that turns scores into weights x values that are
read.

Every variant lives in this package. It needs torch and the settings alone, and knows no model.
"""

from seq2attn.attention.attention import Attention, AttentionOutput
from seq2attn.attention.history import AttentionHistory
from seq2attn.attention.normalisers import Chosen, Normaliser, build_normaliser
from seq2attn.attention.read import read
from seq2attn.attention.scores import Score, build_score

__all__ = [
    "Attention",
    "AttentionHistory",
    "AttentionOutput",
    "Chosen",
    "Normaliser",
    "Score",
    "build_normaliser",
    "build_score",
    "read",
]
