"""A trained run at work: text in, translations with scores and attention out."""

from seq2attn.inference.translation import Translation
from seq2attn.inference.translator import BATCH_TOKENS, MAX_SOURCE, Translator

load = Translator.load

__all__ = ["BATCH_TOKENS", "MAX_SOURCE", "Translation", "Translator", "load"]
