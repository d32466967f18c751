"""A trained run at work: text or pictures in, translations or captions with scores and attention out."""

from seq2attn.inference.searcher import BATCH_TOKENS
from seq2attn.inference.translation import Translation
from seq2attn.inference.translator import MAX_SOURCE, Translator

load = Translator.load

__all__ = ["BATCH_TOKENS", "MAX_SOURCE", "Translation", "Translator", "load"]
