"""The counters of training that are saved beside its tensors, and their form as JSON, checked field by field.

It knows no tensor and no training loop. An edited or damaged file is a ValueError that names the field.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from seq2attn import strict_json
from seq2attn.config import TrainConfig
from seq2attn.training.schedules import PlateauTracker

SCALER, SCALER_COUNTS = ("scale", "growth_factor", "backoff_factor"), ("growth_interval", "_growth_tracker")
MAX_COUNT = 2**53  # every program reads integers of JSON exactly up to here


class Best(NamedTuple):
    """The best validation so far, scheduled or at the end."""

    metric: float  # the two numbers of `schedules.selection_score`
    negative_loss: float
    step: int

    @property
    def score(self) -> tuple[float, float]:
        return self.metric, self.negative_loss


@dataclass(frozen=True)
class State:
    """Training after `step` updates. With its tensors it determines everything that follows."""

    step: int = 0
    epoch: int = 0
    position: int = 0  # batches of the epoch already used
    elapsed: float = 0.0  # seconds of training, earlier sessions included
    validated: int = 0  # step of the last scheduled validation
    plateau: PlateauTracker = field(default_factory=PlateauTracker)  # of the scheduled validations
    best: Best | None = None  # None: there was no validation yet, so there are no best weights
    data: str = ""  # fingerprint of the training data
    validation: str = ""  # fingerprint of the validation data
    scaler: Mapping[str, float] | None = None  # of the fp16 loss scale
    baseline: float | None = None  # moving average of the reward per token, where attention samples
    averaged: int = 0  # number of earlier validations whose weights are averaged with the next
    moments: str = ""  # for each trained parameter "1" where the optimizer has moments of it, else "0"

    def reason_to_end(self, settings: TrainConfig, spent: float) -> str | None:
        """Why training has ended, after so many seconds of it; None while it goes on."""
        if self.step >= settings.max_steps:
            return "max_steps"
        if settings.max_minutes is not None and spent >= settings.max_minutes * 60:
            return "max_minutes"
        return "patience" if self.plateau.exhausted(settings) else None


def tensor_files(step: int) -> tuple[str, str]:
    """The names that the tensors of a step may have. A new state takes the one that the state before it does
    not have, and so never replaces its file.
    """
    return f"{step}.safetensors", f"{step}-2.safetensors"


def to_json(state: State, tensors: str) -> str:
    """The state as JSON, with the name of the file of its tensors."""
    return json.dumps({"tensors": tensors} | asdict(state), indent=1) + "\n"


def parse(content: str) -> tuple[State, str]:
    """The state, and the name of the file of its tensors.

    Raises ValueError, one line, for whatever `to_json` would not write.
    """
    tree = _mapping(strict_json.parse(content), "the file")
    readers: dict[str, Callable[[Any, str], Any]] = {
        "step": _count,
        "epoch": _count,
        "position": _count,
        "elapsed": _time,
        "validated": _count,
        "plateau": _plateau,
        "best": _best,
        "data": _text,
        "validation": _text,
        "scaler": _scaler,
        "baseline": lambda value, name: None if value is None else _number(value, name),
        "averaged": _count,
        "moments": _bits,
    }
    assert readers.keys() == {one.name for one in fields(State)}
    _refuse_names(tree, {"tensors", *readers}, set(), "")
    state = State(**{name: reader(tree[name], name) for name, reader in readers.items()})
    name, names = tree["tensors"], tensor_files(state.step)
    if name not in names:
        raise ValueError(f"tensors is {_quoted(name)}, and that of step {state.step} is {names[0]}")
    for what, step in (("validated", state.validated), ("best", state.best.step if state.best else 0)):
        if step > state.step:
            raise ValueError(f"{what} is of step {step}, after the step of the state, {state.step}")
    if state.best is None and (state.validated or state.plateau != PlateauTracker()):
        raise ValueError(f"best is null, although step {state.validated} was validated")
    if state.best is not None and state.plateau.best is not None and state.best.score < state.plateau.best:
        raise ValueError("best is worse than plateau.best, a score of the same validations")
    return state, name


def _refuse_names(tree: Mapping[str, Any], known: set[str], optional: set[str], of: str) -> None:
    for name in sorted(known - optional - tree.keys()):
        raise ValueError(f"{of}{name} is missing")
    for name in sorted(tree.keys() - known):
        raise ValueError(f"{of}{_quoted(name)} is unknown")


def _quoted(value: Any) -> str:
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):
        return "a value"
    return text if len(text) <= 60 else text[:60] + "..."


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError(f"{name} is {_quoted(value)}, and it must be an object")


def _count(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_COUNT:
        raise ValueError(f"{name} is {_quoted(value)}, and it must be a whole number from 0 on")
    return value


def _number(value: Any, name: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) <= 1e300:  # nor is NaN
        raise ValueError(f"{name} is {_quoted(value)}, and it must be a number")
    return float(value)


def _time(value: Any, name: str) -> float:
    if _number(value, name) < 0:
        raise ValueError(f"{name} is {_quoted(value)}: time cannot be negative")
    return float(value)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError(f"{name} is {_quoted(value)}, and it must be a short text")
    return value


def _bits(value: Any, name: str) -> str:
    if not isinstance(value, str) or not re.fullmatch("[01]*", value):
        raise ValueError(f"{name} is {_quoted(value)}, and it must be ones and zeros")
    return value


def _list(value: Any, name: str, length: int) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        raise ValueError(f"{name} is {_quoted(value)}, and it must be {length} numbers")
    return value


def _plateau(value: Any, name: str) -> PlateauTracker:
    tree = _mapping(value, name)
    counts = [one.name for one in fields(PlateauTracker) if one.name != "best"]
    _refuse_names(tree, {"best", *counts}, set(), f"{name}.")
    best = tree["best"]
    if best is not None:
        metric, loss = _list(best, f"{name}.best", 2)
        best = _number(metric, f"{name}.best"), _number(loss, f"{name}.best")
    return PlateauTracker(best=best, **{key: _count(tree[key], f"{name}.{key}") for key in counts})


def _best(value: Any, name: str) -> Best | None:
    if value is None:
        return None
    metric, loss, step = _list(value, name, 3)
    return Best(_number(metric, name), _number(loss, name), _count(step, name))


def _scaler(value: Any, name: str) -> dict[str, float] | None:
    if value is None:
        return None
    tree = _mapping(value, name)
    _refuse_names(tree, {*SCALER, *SCALER_COUNTS}, {*SCALER, *SCALER_COUNTS}, f"{name}.")
    for key, number in tree.items():
        if key in SCALER_COUNTS:
            _count(number, f"{name}.{key}")
        elif _number(number, f"{name}.{key}") <= 0:
            raise ValueError(f"{name}.{key} is {_quoted(number)}, and it must be more than 0")
    return tree
