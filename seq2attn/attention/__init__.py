"""attention = a score of queries against keys x a normaliser that turns scores into weights x values that are read.

Every variant lives in this package. It needs torch alone and knows no model.
"""

from seq2attn.attention.normalisers import Normaliser, softmax
from seq2attn.attention.read import read
from seq2attn.attention.scores import Additive, Concat, Dot, General, ScaledDot, Score, score_named

__all__ = ["Additive", "Concat", "Dot", "General", "Normaliser", "ScaledDot", "Score", "read", "score_named", "softmax"]
