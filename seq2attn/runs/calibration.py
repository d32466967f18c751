"""How a run turns what it computes of an output word into the probability that the word is right.

It is a logistic regression, in RUN/confidence.json. `seq2attn calibrate` writes it. The file holds numbers
for one set of weights, and says which: after more training it has to be made again.
"""

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seq2attn import strict_json
from seq2attn.config import ModelConfig
from seq2attn.errors import UserError
from seq2attn.notes import warn
from seq2attn.runs.directory import open_run, read_text, write

NAME = "confidence.json"
FORMAT = 1  # a higher number is from a newer program
MOST = 1e6  # absolute value of a number in the file
LEAST_SCALE = 1e-9
_BLOCK = 2**20  # bytes that are read at once
_WAY_OUT = "run `seq2attn calibrate` again"


class Calibration(NamedTuple):
    """A logistic regression on F standardised features of a word."""

    features: tuple[str, ...]  # their names
    mean: tuple[float, ...]
    scale: tuple[float, ...]  # standard deviation of each, above 0
    weights: tuple[float, ...]  # of the standardised features; above 0: a sign that the word is right
    bias: float
    words: int  # by which it was fitted


def save(run: Path, calibration: Calibration, weights_crc32: int) -> None:
    """Write RUN/confidence.json, whole or not at all. The weights of that checksum were calibrated."""
    tree = {"format": FORMAT, "weights_crc32": weights_crc32, **calibration._asdict()}
    write(run / NAME, (json.dumps(tree, indent=1) + "\n").encode())


def load(run: str | os.PathLike[str], features: Sequence[str], model: ModelConfig) -> Calibration:
    """The calibration of a run by the `features` that this program computes.

    `model` are the settings in use. If they are not those of the run, which were calibrated, a warning says
    so. Raises UserError if the run has none, or if the file is damaged, of other features or weights.
    """
    file = Path(run) / NAME
    if not os.path.lexists(file):
        raise UserError(f"{run}: has no {NAME}: `seq2attn calibrate {run}` makes it from the validation set")
    try:
        tree = strict_json.parse(read_text(file))
        number = tree.get("format") if isinstance(tree, dict) else None
        if isinstance(number, int) and number > FORMAT:
            raise UserError(f"{file}: is from a newer seq2attn; update, or {_WAY_OUT}")
        if number != FORMAT or isinstance(number, bool):
            raise ValueError(f"its format is not {FORMAT}")
        calibration = _calibration(tree, features)
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{file}: damaged ({error}); {_WAY_OUT}") from None
    if tree["weights_crc32"] != checksum(Path(run)):
        raise UserError(f"{file}: was made for other weights than model.safetensors has; {_WAY_OUT}")
    if open_run(Path(run)).config.model != model:
        warn(f"{file}: was made without the present change of model settings: confidence may be too high")
    return calibration


def _calibration(tree: dict[str, Any], features: Sequence[str]) -> Calibration:
    if set(tree) != {"format", "weights_crc32", *Calibration._fields}:
        raise ValueError("it has other keys than a calibration")
    if tree["features"] != list(features):
        raise ValueError(f"it has other features than {', '.join(features)}")
    mean, scale, weights = (_numbers(tree, name, len(features)) for name in ("mean", "scale", "weights"))
    if min(scale) < LEAST_SCALE:
        raise ValueError(f"its scale has a number below {LEAST_SCALE}")
    [bias] = _numbers({"bias": [tree["bias"]]}, "bias", 1)
    words = tree["words"]
    if not isinstance(words, int) or isinstance(words, bool) or not 0 < words < 2**40:
        raise ValueError("its words are no number from 1")
    return Calibration(tuple(features), mean, scale, weights, bias, words)


def _numbers(tree: dict[str, Any], name: str, count: int) -> tuple[float, ...]:
    values = tree[name]
    if not isinstance(values, list) or len(values) != count:
        raise ValueError(f"its {name} are not {count} numbers")
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not abs(value) <= MOST:  # NaN is no less than anything
            raise ValueError(f"its {name} hold something else than numbers up to {MOST:,.0f}")
    return tuple(map(float, values))


def checksum(run: Path) -> int:
    """The checksum of the run's weights."""
    total = 0
    try:
        with (run / "model.safetensors").open("rb") as file:
            while block := file.read(_BLOCK):
                total = zlib.crc32(block, total)
    except OSError as error:
        raise UserError(f"{run / 'model.safetensors'}: cannot be read: {error.strerror}") from None
    return total
