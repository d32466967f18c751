"""A trained run at work: text or images in, translations or captions with scores and attention out."""

import os
from collections.abc import Iterable

from seq2attn.inference.caption import Caption
from seq2attn.inference.captioner import Captioner
from seq2attn.inference.searcher import BATCH_TOKENS
from seq2attn.inference.translation import Translation
from seq2attn.inference.translator import MAX_SOURCE, Translator
from seq2attn.runs.directory import open_run
from seq2attn.runs.loading import run_paths

__all__ = [
    "BATCH_TOKENS",
    "MAX_SOURCE",
    "Caption",
    "Captioner",
    "Translation",
    "Translator",
    "load",
    "run_paths",
]


def load(
    run: str | os.PathLike[str],
    device: str = "auto",
    precision: str = "auto",
    settings: Iterable[str] = (),
    allow_code: bool = False,
    processes: bool = False,
) -> Translator | Captioner:
    """What the (first) run is for: to translate text, or to describe images. Arguments and errors as the
    two have them.
    """
    if open_run(run_paths(run)[0]).config.model.images:
        return Captioner.load(
            run,
            device=device,
            precision=precision,
            settings=settings,
            processes=processes,
            allow_code=allow_code,
        )
    return Translator.load(run, device=device, precision=precision, settings=settings, processes=processes)
