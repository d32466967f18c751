"""`phrases`: English-French from a synchronous grammar of our own, any number of sentences, with gold word
alignments.

Pure Python, the same for the same seed. `generate` makes more.
"""

from seq2attn.samples.phrases.corpus import generate, splits, write
from seq2attn.samples.phrases.sentences import Sentence

__all__ = ["Sentence", "generate", "splits", "write"]
