"""seq2attn: train, run and explain sequence-to-sequence models with attention.

Importing this package is cheap. The first `load` imports torch and the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seq2attn.version import __version__ as __version__

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from seq2attn.inference import Captioner, SearchOptions, Translator

__all__ = ["SearchOptions", "__version__", "load"]


def __getattr__(name: str) -> Any:
    if name != "SearchOptions":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seq2attn import inference

    return inference.SearchOptions


def load(
    run: str | os.PathLike[str],
    device: str = "auto",
    precision: str = "auto",
    settings: Iterable[str] = (),
    allow_code: bool = False,
    processes: bool = False,
) -> Translator | Captioner:
    """A trained run, ready to translate text or to describe images.

    `run` is a run directory. Several, joined by commas, are an ensemble. `device` is auto, cpu, cuda or
    cuda:N. `precision` is auto, fp32, bf16 or fp16. `settings` change the run's settings, as in
    `["model.attention.temperature=2"]`. A setting that changes the shape of a parameter is refused.

    `allow_code` allows the run to import and call the function named in its `model.encoder.backbone`. Use it
    only for runs that you trust. With `processes`, large calls on a CPU run in processes instead of threads.
    That is faster and gives the same bits. The processes end with `close()`. Do not use it if other threads
    of the program compute.

    Raises `seq2attn.errors.UserError` if the run is missing, incomplete, damaged or from a newer version, and
    `UsageError` for settings that do not fit it.
    """
    from seq2attn import inference

    return inference.load(
        run, device=device, precision=precision, settings=settings, allow_code=allow_code, processes=processes
    )
