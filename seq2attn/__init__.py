"""seq2attn: sequence-to-sequence models with attention, to train, run and look into.

Importing this package is cheap: torch and the rest are imported by the first `load`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seq2attn.version import __version__ as __version__

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from seq2attn.inference import Captioner, Translator

__all__ = ["__version__", "load"]


def load(
    run: str | os.PathLike[str],
    device: str = "auto",
    precision: str = "auto",
    settings: Iterable[str] = (),
    allow_code: bool = False,
    processes: bool = False,
) -> Translator | Captioner:
    """A trained run, ready to translate text or to describe images.

    `run` is a run directory; several, joined by commas, are an ensemble. `device` is auto, cpu, cuda or
    cuda:N. `precision` is auto, fp32, bf16 or fp16. `settings` change the run's settings, as in
    `["model.attention.temperature=2"]`: those that change no shape of a parameter. `allow_code` allows the
    run to import and call the function named in its `model.encoder.backbone`: only for runs that you trust.
    `processes` computes large calls on a CPU in processes instead of threads. That is faster and gives the
    same bits; the processes end with `close()`. Do not use it where other threads of the program compute.

    Raises `seq2attn.errors.UserError` when the run is missing, incomplete, damaged or from a newer version,
    and `UsageError` for settings that do not suit it.
    """
    from seq2attn import inference

    return inference.load(
        run, device=device, precision=precision, settings=settings, allow_code=allow_code, processes=processes
    )
