"""seq2attn: sequence-to-sequence models with attention, to train, run and look into.

Importing this is cheap: torch and the rest come with the first `load`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from seq2attn.inference import Captioner, Translator

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def load(
    run: str | os.PathLike[str],
    device: str = "auto",
    precision: str = "auto",
    settings: Iterable[str] = (),
    allow_code: bool = False,
    processes: bool = False,
) -> Translator | Captioner:
    """A trained run, ready to translate, or to describe images; several runs joined by commas are an
    ensemble.

    `device` is auto, cpu, cuda or cuda:N; `precision` is auto, fp32, bf16 or fp16; `settings` that hold no
    weights are changed, as in
    `["model.attention.temperature=2"]`. With `allow_code`, code that the run names (its
    `model.encoder.backbone`) may be run: say so for runs that you trust.
    With `processes`, large calls on a CPU are shared out to processes of its own instead of threads: faster,
    and the same to the last bit; they end with
    `close()`, or with the model. Leave it out where other threads of the program compute.
    Raises `seq2attn.errors.UserError` when the run is missing, incomplete, damaged or from a newer version,
    and `UsageError` for settings that do not suit it.
    """
    from seq2attn import inference

    return inference.load(
        run, device=device, precision=precision, settings=settings, allow_code=allow_code, processes=processes
    )
