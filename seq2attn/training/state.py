"""Where training stands: the counters beside its tensors, and their form as JSON, checked field by field.

It knows no tensor and no training loop. An edited or damaged file is a ValueError that names the field.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from seq2attn import strict_json
from seq2attn.training.schedules import Course

SCALER, SCALER_COUNTS = ("scale", "growth_factor", "backoff_factor"), ("growth_interval", "_growth_tracker")
LARGEST = 2**53  # of a counter: what a file of JSON holds exactly, whoever wrote it


@dataclass(frozen=True)
class State:
    """Where training stands after `step` updates. With its tensors it determines all that follows."""

    step: int = 0
    epoch: int = 0
    position: int = 0  # batches of the epoch already used
    elapsed: float = 0.0  # seconds of training, those of earlier sessions included
    validated: int = 0  # step of the last scheduled validation
    course: Course = field(default_factory=Course)  # what those validations have shown
    kept: tuple[float, float, int] | None = None  # (metric, -loss, step) of the best, of any validation
    data: str = ""  # fingerprint of the training data
    scaler: Mapping[str, float] | None = None  # of the fp16 loss scale
    baseline: float | None = None  # moving average of the reward per token, where attention draws
    validation: str = ""  # fingerprint of the validation data, where the state is not older than that
    averaged: int | None = None  # how many earlier validations are averaged with the next
    moments: str | None = None  # of each trained parameter, 1 where the optimizer has moments of it, else 0


def text(state: State, tensors: str) -> str:
    """The state as JSON, which names the file of its tensors."""
    return json.dumps({"tensors": tensors} | asdict(state), indent=1) + "\n"


def parse(content: str) -> tuple[State, str]:
    """The state, and the name of the file of its tensors.

    Raises ValueError, one line, for whatever `text` would not write.
    """
    tree = _mapping(strict_json.parse(content), "it")
    readers: dict[str, Callable[[Any, str], Any]] = {
        "step": _count,
        "epoch": _count,
        "position": _count,
        "elapsed": _time,
        "validated": _count,
        "course": _course,
        "kept": _kept,
        "data": _text,
        "scaler": _scaler,
        "baseline": _optional(_number),
        "validation": _text,
        "averaged": _optional(_count),
        "moments": _optional(_bits),
    }
    assert readers.keys() == {one.name for one in fields(State)}
    later = {"baseline", "validation", "averaged", "moments"}  # which older states have not
    _refuse_names(tree, {"tensors", *readers}, later, "")
    state = State(**{name: reader(tree[name], name) for name, reader in readers.items() if name in tree})
    name = f"{state.step}.safetensors"  # a plain name beside this file, and that of this very step
    if tree["tensors"] != name:
        raise ValueError(f"tensors is {_shown(tree['tensors'])}, where step {state.step} has {name}")
    for what, step in (("validated", state.validated), ("kept", state.kept[2] if state.kept else 0)):
        if step > state.step:
            raise ValueError(f"{what} is of step {step}, after the step of the state, {state.step}")
    return state, name


def _refuse_names(tree: Mapping[str, Any], known: set[str], optional: set[str], of: str) -> None:
    for name in sorted(known - optional - tree.keys()):
        raise ValueError(f"{of}{name} is missing")
    for name in sorted(tree.keys() - known):
        raise ValueError(f"{of}{_shown(name)} is unknown")


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value)
    except (ValueError, RecursionError):
        return "a value"
    return text if len(text) <= 60 else text[:60] + "..."


def _mapping(value: Any, name: str) -> dict[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError(f"{name} is {_shown(value)}, where a table of names is wanted")


def _count(value: Any, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST:
        raise ValueError(f"{name} is {_shown(value)}, where a count is wanted")
    return value


def _number(value: Any, name: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not abs(value) <= 1e300:  # nor is NaN
        raise ValueError(f"{name} is {_shown(value)}, where a number is wanted")
    return float(value)


def _time(value: Any, name: str) -> float:
    if _number(value, name) < 0:
        raise ValueError(f"{name} is {_shown(value)}: time does not run backwards")
    return float(value)


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError(f"{name} is {_shown(value)}, where a short text is wanted")
    return value


def _bits(value: Any, name: str) -> str:
    if not isinstance(value, str) or not re.fullmatch("[01]*", value):
        raise ValueError(f"{name} is {_shown(value)}, where ones and zeros are wanted")
    return value


def _optional(read: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    return lambda value, name: None if value is None else read(value, name)


def _list(value: Any, name: str, length: int) -> list[Any]:
    if not isinstance(value, list) or len(value) != length:
        raise ValueError(f"{name} is {_shown(value)}, where {length} numbers are wanted")
    return value


def _course(value: Any, name: str) -> Course:
    tree = _mapping(value, name)
    counts = [one.name for one in fields(Course) if one.name != "best"]
    _refuse_names(tree, {"best", *counts}, set(), f"{name}.")
    best = tree["best"]
    if best is not None:
        metric, loss = _list(best, f"{name}.best", 2)
        best = _number(metric, f"{name}.best"), _number(loss, f"{name}.best")
    return Course(best=best, **{key: _count(tree[key], f"{name}.{key}") for key in counts})


def _kept(value: Any, name: str) -> tuple[float, float, int] | None:
    if value is None:
        return None
    metric, loss, step = _list(value, name, 3)
    return _number(metric, name), _number(loss, name), _count(step, name)


def _scaler(value: Any, name: str) -> dict[str, float] | None:
    if value is None:
        return None
    tree = _mapping(value, name)
    _refuse_names(tree, {*SCALER, *SCALER_COUNTS}, {*SCALER, *SCALER_COUNTS}, f"{name}.")
    for key, number in tree.items():
        if key in SCALER_COUNTS:
            _count(number, f"{name}.{key}")
        elif _number(number, f"{name}.{key}") <= 0:
            raise ValueError(f"{name}.{key} is {_shown(number)}, where more than 0 is wanted")
    return tree
