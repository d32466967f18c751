"""attention = a score of queries against keys x a normaliser that turns scores into weights x values that are
read.

Every variant lives in this package. It needs torch and the settings alone, and knows no model.
"""

from seq2attn.attention.attention import Attention, Reading
from seq2attn.attention.history import Past
from seq2attn.attention.normalisers import Chosen, Normaliser, normaliser_named
from seq2attn.attention.read import read
from seq2attn.attention.scores import Score, score_named

__all__ = [
    "Attention",
    "Chosen",
    "Normaliser",
    "Past",
    "Reading",
    "Score",
    "normaliser_named",
    "read",
    "score_named",
]
