"""Losses and gradients that are not finite end a training. It knows no model."""

import math

from seq2attn.errors import UserError
from seq2attn.runs.directory import Run


def refuse_non_finite(run: Run, step: int, what: str, value: float) -> None:
    """Raise UserError if the `what` of this step is infinite or not a number."""
    if not math.isfinite(value):
        raise UserError(
            f"step {step}: the {what} is {value}: training stopped before any weight changed, and "
            f"{run.path} has what was saved before; try a lower train.lr, a longer train.warmup, "
            "train.clip_norm=1, or train.precision=fp32"
        )
