"""A trained run at work: text in, translations with scores and attention out."""

import os
from collections.abc import Iterable

from seq2attn.inference.translation import Translation
from seq2attn.inference.translator import BATCH_TOKENS, MAX_SOURCE, Translator
from seq2attn.models.backbones import allow_code as permitted


def load(run: str | os.PathLike[str], device: str = "auto", precision: str = "auto", settings: Iterable[str] = (), allow_code: bool = False) -> Translator:
    """`Translator.load`; with `allow_code`, code that a run names, as the backbone of its encoder, may be run. Without, such a run is refused by UserError."""
    with permitted(allow_code):
        return Translator.load(run, device=device, precision=precision, settings=settings)


__all__ = ["BATCH_TOKENS", "MAX_SOURCE", "Translation", "Translator", "load"]
