"""Which attention of a run is shown where the caller names none: a layer, a head, and the step it is read at.

A run may remember one, in RUN/attention.json. `seq2attn audit --remember` writes it, and a training with
train.guide does, with the head that it teaches.
"""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from seq2attn import strict_json
from seq2attn.errors import UserError
from seq2attn.runs.directory import read_text, write

NAME = "attention.json"
_WAY_OUT = "remove the file, or run `seq2attn audit --remember`"
SHIFTS = ("written", "read")  # by `AttentionChoice.shift`


class AttentionChoice(NamedTuple):
    """One matrix of attention: numbers from 1, None for the mean of all."""

    layer: int | None = None
    head: int | None = None
    shift: int = 0  # 0: the step that writes the word; 1: the next step, which reads it

    def __str__(self) -> str:
        """For people: "layer 2, head 3, read one step later"."""
        parts = [f"{name} {number}" for name, number in zip(("layer", "head"), self, strict=False) if number]
        where = ", ".join(parts) if parts else "the mean of all layers and heads"
        return where + (", read one step later" if self.shift else "")

    def check(self, run: str | os.PathLike[str], layers: int, heads: int) -> None:
        """Raise UserError if the attention of the run has no such layer or head."""
        for name, number, count in (("layer", self.layer, layers), ("head", self.head, heads)):
            if number is not None and number > count:
                has = f"{count} {name}s" if count > 1 else f"one {name}"
                raise UserError(
                    f"{Path(run) / NAME}: {name} {number}, and the attention has {has}; {_WAY_OUT}"
                )


MEAN = AttentionChoice()


def remember(run: Path, choice: AttentionChoice) -> None:
    """Write the choice to RUN/attention.json, whole or not at all."""
    write(run / NAME, (json.dumps(choice._asdict()) + "\n").encode())


def remembered(run: str | os.PathLike[str]) -> AttentionChoice | None:
    """The choice that a run remembers; None if it has none, and for several runs joined by commas.

    Raises UserError if the file is damaged.
    """
    file = Path(run) / NAME
    if not os.path.lexists(file):
        return None
    try:
        tree = strict_json.parse(read_text(file))
        if not isinstance(tree, dict) or set(tree) != set(AttentionChoice._fields):
            raise ValueError("it has other keys than layer, head and shift")
        layer, head = (_number(name, tree[name]) for name in ("layer", "head"))
        if tree["shift"] not in (0, 1) or isinstance(tree["shift"], bool):
            raise ValueError("its shift is neither 0 nor 1")
        return AttentionChoice(layer, head, int(tree["shift"]))
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{file}: damaged ({error}); {_WAY_OUT}") from None


def _number(name: str, value: Any) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**16):
        return value
    raise ValueError(f"its {name} is no number from 1")
