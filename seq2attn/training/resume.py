"""The last state of training, saved and restored: what a resumed run needs to continue exactly.

    RUN/training/state.json          the counters, and the name of the file of tensors
    RUN/training/STEP.safetensors    weights, moments of the optimizer, and weights that are averaged

Renaming state.json is the moment at which a new state counts: an interruption before leaves the old one,
whole and named. Two states of one step, before and after its validation, have two names for their tensors.
Everything in a state is checked before any of it is used: an optimizer trusts what it is
given, and reads and writes beyond the end of a moment that is smaller than its parameter. Names, shapes,
dtypes and ranges are checked. Values cannot be: two moments of one shape that were exchanged are accepted.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from seq2attn import config, files
from seq2attn.config import Config, TrainConfig
from seq2attn.errors import UserError
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.runs.directory import (
    Run,
    is_run,
    read_text,
    refuse_existing,
    traces,
    truncate_log,
    write,
    writing,
)
from seq2attn.runs.headers import refuse_damaged
from seq2attn.runs.tensors import (
    load_tensors,
    named_tensors,
    read_tensors,
    refuse_unfit_weights,
    write_tensors,
)
from seq2attn.training import muon
from seq2attn.training import state as states
from seq2attn.training.distributed import World
from seq2attn.training.sharding import divided_like, local, whole, whole_of
from seq2attn.training.state import SCALER, SCALER_COUNTS, State
from seq2attn.training.validation import WeightAverages

ADAM = ("step", "exp_avg", "exp_avg_sq")
MOMENTS = {"adam": ADAM, "adamw": ADAM, "sgd": ("momentum_buffer",), "muon": ADAM}


@dataclass(frozen=True)
class Trained:
    """Everything of a training that has tensors, or numbers beside them, to save."""

    model: Seq2Seq
    averages: WeightAverages
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler

    @property
    def parameters(self) -> list[Tensor]:
        """In the order of the optimizer, which numbers them."""
        return [p for group in self.optimizer.param_groups for p in group["params"]]

    @property
    def by_muon(self) -> list[bool]:
        """Of each parameter, in the same order, whether Muon trains it, and not the optimizer beside it."""
        groups = self.optimizer.param_groups
        return [bool(group.get("muon")) for group in groups for _ in group["params"]]


# Saving and restoring


def save(run: Run, state: State, elapsed: float, trained: Trained, world: World) -> State:
    """Make this the last state of the run, after `elapsed` seconds of training. All processes must call it.

    Returns the state with the counters of the tensors beside it.
    """
    moments = trained.optimizer.state_dict()["state"]
    numbers = {number for number, some in moments.items() if any(m is not None for m in some.values())}
    state = replace(
        state,
        elapsed=elapsed,
        scaler=trained.scaler.state_dict() or None,
        averaged=len(trained.averages.earlier),
        moments="".join("01"[number in numbers] for number in range(len(trained.parameters))),
    )
    own = named_tensors(trained.model)

    def averages(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: whole_of(tensor, own[name]) for name, tensor in weights.items()}

    tensors = _prefixed("model/", whole(own))
    tensors |= _prefixed("average/", averages(trained.averages.moving))
    for number, weights in enumerate(trained.averages.earlier):
        tensors |= _prefixed(f"earlier/{number}/", averages(weights))
    for number, some in moments.items():
        present = {name: moment for name, moment in some.items() if moment is not None}
        tensors |= _prefixed(f"optimizer/{number}/", whole(present))
    if world.is_main:
        save_state(run, state, tensors)
    return state


def restore(
    run: Run, fresh: State, trained: Trained, world: World, order: Callable[[int], Sequence[object]]
) -> State | None:
    """Continue from the last state of the run; None if none was saved.

    `fresh` has the fingerprints of the data, and `order(epoch)` are the batches of an epoch.
    Raises UserError, before anything is changed, if the state does not fit.
    """
    loaded = load_state(run)
    if loaded is None:
        return None
    state, tensors = loaded
    where = f"{run.path}/training"
    for what, then, now in (
        ("training", state.data, fresh.data),
        ("validation", state.validation, fresh.validation),
    ):
        if then != now:
            raise UserError(
                f"resume: the {what} data are not those of {run.path}: their content has changed; "
                "give it the same `data`, or start again with another `out`",
                setting="resume",
            )
    refuse_unfit(state, tensors, Expected.by(trained, run.config.train), where)
    if state.best is not None:
        refuse_unfit_weights(run, trained.model)
    if state.position > (length := len(order(state.epoch))):
        problem = f"position is {state.position}, and the epoch has {length} batches"
        raise UserError(f"{where}/state.json: damaged ({problem}); restore it, or train again with `force`")
    if world.is_main:
        truncate_log(run, state.step, state.validated)
    world.barrier()
    own = named_tensors(trained.model)

    def divided(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: divided_like(tensor, own[name]) for name, tensor in weights.items()}

    load_tensors(trained.model, divided(_below("model/", tensors)), where)
    for name, tensor in divided(_below("average/", tensors)).items():
        trained.averages.moving[name].copy_(local(tensor))
    earlier = _numbered("earlier/", tensors)
    trained.averages.earlier.extend(
        {name: local(tensor).cpu() for name, tensor in divided(earlier[number]).items()}
        for number in sorted(earlier)
    )
    moments = _numbered("optimizer/", tensors)
    for number, some in moments.items():
        parameter = trained.parameters[number]
        for name in some.keys() - {"step"}:
            some[name] = divided_like(some[name], parameter)
    groups = trained.optimizer.state_dict()["param_groups"]
    trained.optimizer.load_state_dict({"state": moments, "param_groups": groups})
    if state.scaler is not None and trained.scaler.is_enabled():
        trained.scaler.load_state_dict(dict(state.scaler))
    return state


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _numbered(prefix: str, tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """Tensors named PREFIX NUMBER/REST, by number and by the rest of the name."""
    numbered: dict[int, dict[str, Tensor]] = {}
    for name, tensor in _below(prefix, tensors).items():
        number, _, rest = name.partition("/")
        numbered.setdefault(int(number), {})[rest] = tensor
    return numbered


# Files


def save_state(run: Run, state: State, tensors: Mapping[str, Tensor]) -> None:
    """Make this the run's last state. The one before stays whole and named until the very end."""
    folder = run.path / "training"
    with writing(folder):
        folder.mkdir(exist_ok=True)
        named = ""
        with suppress(UserError):  # what somebody has damaged meanwhile is replaced
            named = _read_state(run.path)[1].name
        name = next(name for name in states.tensor_files(state.step) if name != named)
        write_tensors(folder / name, tensors)
        write(folder / "state.json", states.to_json(state, name).encode())
        files.sweep(folder)
        for old in folder.glob("*.safetensors"):
            if old.name != name:
                old.unlink()


def load_state(run: Run) -> tuple[State, dict[str, Tensor]] | None:
    """The run's last state, or None if none was saved. Raises UserError if it is damaged."""
    if not has_state(run):
        return None
    state, tensors = _read_state(run.path)
    return state, read_tensors(tensors)


def has_state(run: Run) -> bool:
    """Whether a state was saved, whole or not."""
    return os.path.lexists(_state_file(run.path))


def last_step(run: Run) -> int:
    """The step of the last state; 0 without one. Raises UserError if it is damaged."""
    return _read_state(run.path)[0].step if has_state(run) else 0


def _state_file(path: Path) -> Path:
    return path / "training" / "state.json"


def _read_state(path: Path) -> tuple[State, Path]:
    """The last state of the run at `path`, and the file of its tensors."""
    file = _state_file(path)
    try:
        state, name = states.parse(read_text(file))
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{file}: damaged ({error}); restore it, or train again with `force`") from None
    tensors = file.with_name(name)
    if tensors.is_symlink() and not tensors.resolve().is_relative_to(path.resolve()):
        advice = "put the file itself there, or train again with `force`"
        raise UserError(f"{tensors}: a link to a place outside of the run; {advice}")
    return state, tensors


# What cannot be resumed


def check_start(path: Path, *, resume: bool, force: bool) -> None:
    """Raise UserError if no training may begin (or continue, with `resume`) at `path`. It touches nothing."""
    if resume:
        refuse_resume(path)
    else:
        refuse_existing(path, force)


def refuse_resume(path: Path) -> None:
    """Raise UserError if the run at `path` can neither be resumed nor started. It touches nothing.

    Then a part of a training is there, and a part that it needs to continue is missing.
    """
    advice = "restore it, or start again with `force` or another `out`"
    if not is_run(path):
        refuse_existing(path, force=True)
        if left := traces(path):
            raise UserError(
                f"resume: {path} has {left}, but no config.json to continue from: {advice}", setting="resume"
            )
    elif not os.path.lexists(_state_file(path)):
        if left := traces(path):
            raise UserError(
                f"resume: {path} has {left}, but no training/state.json to continue from: {advice}",
                setting="resume",
            )
    else:
        state, tensors = _read_state(path)
        weights = path / "model.safetensors"
        if state.best is not None and not weights.is_file():
            problem = f"missing: the best weights so far, those of step {state.best.step}"
            raise UserError(f"{weights}: {problem}; {advice}")
        refuse_damaged(tensors)
        if weights.exists():
            refuse_damaged(weights)


def refuse_change(old: Config, new: Config, free: tuple[str, ...]) -> None:
    """Raise UserError for the first setting that differs; a resumed run may change those of `free`."""
    before, after = config.flat(old), config.flat(new)
    for key in [*before, *(key for key in after if key not in before)]:
        if key not in free and before.get(key) != after.get(key):
            was, now = json.dumps(before.get(key)), json.dumps(after.get(key))
            raise UserError(
                f"resume: {key} was {was} and would be {now}; a resumed run cannot change it: leave it out, "
                "or start again with another `out`",
                setting="resume",
            )


class Expected(NamedTuple):
    """What the state of a training must hold."""

    weights: Mapping[str, Tensor]  # of the model, by name
    averaged: Mapping[str, Tensor]  # those of them that are averaged
    parameters: Sequence[Tensor]  # in the order of the optimizer
    by_muon: Sequence[bool]  # of each parameter
    settings: TrainConfig
    scaled: bool  # whether the loss is scaled

    @classmethod
    def by(cls, trained: Trained, settings: TrainConfig) -> "Expected":
        own = named_tensors(trained.model)
        return cls(
            own,
            {name: own[name] for name in trained.averages.weights},
            trained.parameters,
            trained.by_muon,
            settings,
            trained.scaler.is_enabled(),
        )


def refuse_unfit(state: State, tensors: Mapping[str, Tensor], expected: Expected, where: str) -> None:
    """Raise UserError, which names `where` and the first tensor that this training would not have saved.

    Such a tensor is missing, unknown, of another shape or dtype, or of values that training never has.
    """
    own = dict(_expected_weights(state, tensors, expected, where))
    moments, steps = _expected_moments(state, expected, where)
    own |= moments
    for name in sorted({*own, *tensors} - steps):
        if name not in tensors:
            raise _unfit(where, f"{name} is missing")
        if name not in own:
            raise _unfit(where, f"{name} is unknown")
        _refuse_other(name, tensors[name], own[name], where)
    for name in sorted(steps):
        _refuse_count(name, tensors.get(name), state.step, where)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise _unfit(where, f"{name} has values that are not finite")
        if name.endswith("/exp_avg_sq") and tensor.numel() and float(tensor.min()) < 0:
            raise _unfit(where, f"{name} has values below 0, and it is a mean of squares")
    if expected.scaled and state.scaler is not None:
        for name in sorted({*SCALER, *SCALER_COUNTS} - state.scaler.keys()):
            raise _unfit(where, f"scaler.{name} is missing in state.json")


def _expected_weights(
    state: State, tensors: Mapping[str, Tensor], expected: Expected, where: str
) -> Iterator[tuple[str, Tensor]]:
    settings = expected.settings
    numbers = {name.split("/")[1] for name in tensors if name.startswith("earlier/")}
    if max(state.averaged, len(numbers)) >= settings.average:
        raise UserError(f"{where}: does not fit train.average={settings.average}")
    if any(name.startswith("average/") for name in tensors) != bool(settings.ema):
        raise UserError(f"{where}: does not fit train.ema={settings.ema}")
    yield from _prefixed("model/", expected.weights).items()
    if settings.ema:
        yield from _prefixed("average/", expected.averaged).items()
    for number in range(state.averaged):
        yield from _prefixed(f"earlier/{number}/", expected.averaged).items()


def _expected_moments(state: State, expected: Expected, where: str) -> tuple[dict[str, Tensor], set[str]]:
    """The moments by name, each with a parameter of its shape, and the names of the counts of steps."""
    optimizer, count = expected.settings.optimizer, len(expected.parameters)
    if optimizer == "sgd" and not expected.settings.momentum:
        return {}, set()
    if len(state.moments) != count:
        problem = f"state.json tells of {len(state.moments)} trained parameters, and there are {count}"
        raise _unfit(where, problem)
    numbers = [number for number, mark in enumerate(state.moments) if mark == "1"]
    names = {n: muon.MOMENTS if expected.by_muon[n] else MOMENTS[optimizer] for n in numbers}
    moments = {
        f"optimizer/{n}/{name}": expected.parameters[n]
        for n in numbers
        for name in names[n]
        if name != "step"
    }
    return moments, {f"optimizer/{n}/step" for n in numbers if "step" in names[n]}


def _refuse_other(name: str, tensor: Tensor, own: Tensor, where: str) -> None:
    if tensor.shape != own.shape:
        raise _unfit(where, f"{name} is {_shape(tensor)}, and it must be {_shape(own)}")
    if tensor.dtype != own.dtype:
        raise _unfit(where, f"{name} is {_dtype(tensor)}, and it must be {_dtype(own)}")


def _refuse_count(name: str, count: Tensor | None, most: int, where: str) -> None:
    if count is None:
        raise _unfit(where, f"{name} is missing")
    if count.shape != () or not count.is_floating_point():
        shape = _shape(count)
        raise _unfit(where, f"{name} is {_dtype(count)} of shape {shape}, and it must be one number")
    value = float(count)
    if not (0 <= value <= most and value == int(value)):
        raise _unfit(where, f"{name} is {value}, although at most {most} steps were made")


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _unfit(where: str, problem: str) -> UserError:
    return UserError(
        f"{where}: damaged, or of another run: {problem}; restore it, or train again with `force`"
    )
