"""`phrases`: English-French sentences from a synchronous grammar, with gold word alignments.

It is pure Python. The same seed gives the same sentences. `generate` returns any number of them.
"""

from seq2attn.samples.phrases.corpus import generate, splits, write
from seq2attn.samples.phrases.sentences import Sentence

__all__ = ["Sentence", "generate", "splits", "write"]
