"""The log of a run, RUN/metrics.jsonl, as columns to draw: losses, scores and speed by step."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seq2attn import strict_json
from seq2attn.errors import UserError

MAX_FILE = 2**28  # bytes
MOST_STEPS = 2**53
MOST = 1e100  # of a value: a larger one comes from a training that has failed, and no axis can show it
NAMES = ("loss", "valid_loss", "bleu", "cider", "speed")


class Column(NamedTuple):
    """The values of one name in the log, and where they stand."""

    steps: Sequence[float]
    seconds: Sequence[float]  # of training; NaN where a line has no time
    values: Sequence[float]


def read(run: Path) -> dict[str, Column]:
    """The columns of a run by name: loss, valid_loss, bleu, cider and speed, as far as the log has them.

    Numbers that are not finite, or beyond MOST, are left out. Raises UserError, one line with file and line,
    if there is no log, or if it is damaged.
    """
    file = run / "metrics.jsonl"
    if not run.is_dir():
        raise UserError(f"{run}: no such run directory; `seq2attn train` makes one")
    if not file.is_file():
        raise UserError(f"{run}: has no metrics.jsonl: it was not trained yet, or is no run")
    columns: dict[str, list[tuple[float, float, float]]] = {}
    number = 1
    try:
        if file.stat().st_size > MAX_FILE:
            raise ValueError(f"longer than {MAX_FILE:,} bytes")
        with file.open(encoding="utf-8") as content:
            for line in content:
                tree = strict_json.parse(line, constants=True)
                if not isinstance(tree, dict) or not _is_number(tree.get("step")):
                    raise ValueError("no object with a step")
                step: float = tree["step"]
                if not 0 <= step <= MOST_STEPS:  # neither is NaN
                    raise ValueError(f"step {step}: it is from 0 to {MOST_STEPS:,}")
                at = float(step), _value(tree.get("elapsed"))
                for name in NAMES:
                    if name in tree and abs(value := _value(tree[name])) <= MOST:  # neither is NaN
                        columns.setdefault(name, []).append((*at, value))
                number += 1
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        problem = "no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise UserError(f"{file}, line {number}: damaged ({problem}); restore or remove the line") from None
    if not columns:
        raise UserError(f"{file}: has no loss and no score in it yet; continue the training with `resume`")
    return {name: Column(*zip(*sorted(rows), strict=True)) for name, rows in columns.items()}


def _value(value: Any) -> float:
    if value is None:
        return math.nan
    if not _is_number(value):
        raise ValueError(f"{str(value)[:40]!r} is no number")
    return float(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
