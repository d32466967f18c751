"""Inference with a trained run: text or images in, translations or captions with scores and attention out.

Names are imported on first use, so that reading a file of saved attention does not import torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seq2attn.inference.captioner import Captioner
    from seq2attn.inference.options import BATCH_TOKENS, SearchOptions
    from seq2attn.inference.results import Caption, Translation
    from seq2attn.inference.translator import MAX_SOURCE, Translator
    from seq2attn.runs.loading import run_paths

__all__ = [
    "BATCH_TOKENS",
    "MAX_SOURCE",
    "Caption",
    "Captioner",
    "SearchOptions",
    "Translation",
    "Translator",
    "run_paths",
]
_MODULES = {
    "BATCH_TOKENS": "seq2attn.inference.options",
    "MAX_SOURCE": "seq2attn.inference.translator",
    "Caption": "seq2attn.inference.results",
    "Captioner": "seq2attn.inference.captioner",
    "SearchOptions": "seq2attn.inference.options",
    "Translation": "seq2attn.inference.results",
    "Translator": "seq2attn.inference.translator",
    "run_paths": "seq2attn.runs.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
