"""Inference with a trained run: text or images in, translations or captions with scores and attention out.

Names are imported on first use, so that reading a file of saved attention does not import torch.
"""

import importlib
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seq2attn.inference.captioner import Captioner
    from seq2attn.inference.loading import names
    from seq2attn.inference.results import Caption, Translation
    from seq2attn.inference.searcher import BATCH_TOKENS
    from seq2attn.inference.translator import MAX_SOURCE, Translator

__all__ = ["BATCH_TOKENS", "MAX_SOURCE", "Caption", "Captioner", "Translation", "Translator", "load", "names"]
_MODULES = {
    "BATCH_TOKENS": "searcher",
    "MAX_SOURCE": "translator",
    "Caption": "results",
    "Captioner": "captioner",
    "Translation": "results",
    "Translator": "translator",
    "names": "loading",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def load(
    run: str | os.PathLike[str],
    device: str = "auto",
    precision: str = "auto",
    settings: Iterable[str] = (),
    allow_code: bool = False,
    processes: bool = False,
) -> "Translator | Captioner":
    """A `Translator` or a `Captioner`, by the task of the (first) run. Arguments and errors: see their `load`."""
    from seq2attn.inference.captioner import Captioner
    from seq2attn.inference.loading import names
    from seq2attn.inference.translator import Translator
    from seq2attn.runs.directory import open_run

    if open_run(names(run)[0]).config.model.images:
        return Captioner.load(run, device, precision, settings, processes, allow_code)
    return Translator.load(run, device, precision, settings, processes)
