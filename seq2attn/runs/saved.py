"""Whether the tensors of a saved state are those of this training, before any of them is used.

Optimizers trust what they are given: a moment of another shape than its parameter's is read and written
beyond its end. It knows no file.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from seq2attn.config import TrainConfig
from seq2attn.errors import UserError
from seq2attn.training.state import SCALER, SCALER_COUNTS, State

MOMENTS = {"adam": ("exp_avg", "exp_avg_sq"), "adamw": ("exp_avg", "exp_avg_sq"), "sgd": ("momentum_buffer",)}


class Expected(NamedTuple):
    """What the state of a training holds."""

    weights: Mapping[str, Tensor]  # of the model, by name
    averaged: Mapping[str, Tensor]  # those of them that are averaged over time
    parameters: Sequence[Tensor]  # in the order of the optimizer
    settings: TrainConfig
    scales: bool  # whether the loss is scaled


def refuse_unfit(state: State, tensors: Mapping[str, Tensor], expected: Expected, where: str) -> None:
    """Raise UserError, naming `where` and the first tensor that this training would not have saved.

    That is one that is missing, unknown, of another shape or dtype, or of values that training never has.
    """
    numbers = _earlier(state, tensors, expected.settings, where)
    wanted = {f"model/{name}": tensor for name, tensor in expected.weights.items()}
    if any(name.startswith("average/") for name in tensors) != bool(expected.settings.ema):
        raise UserError(f"{where}: does not fit train.ema={expected.settings.ema}")
    for prefix in [
        *(["average/"] if expected.settings.ema else []),
        *(f"earlier/{number}/" for number in numbers),
    ]:
        wanted |= {prefix + name: tensor for name, tensor in expected.averaged.items()}
    moments, steps = _moments(state, tensors, expected, where)
    wanted |= moments
    for name in sorted({*wanted, *tensors} - steps):
        if name not in tensors:
            raise _unfit(where, f"{name} is missing")
        if name not in wanted:
            raise _unfit(where, f"{name} is unknown")
        _refuse_other(name, tensors[name], wanted[name], where)
    for name in sorted(steps):
        _refuse_count(name, tensors.get(name), state.step, where)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise _unfit(where, f"{name} has values that are not finite")
        if name.endswith("/exp_avg_sq") and tensor.numel() and float(tensor.min()) < 0:
            raise _unfit(where, f"{name} has values below 0, and it is a mean of squares")
    if expected.scales and state.scaler is not None:
        for name in sorted({*SCALER, *SCALER_COUNTS} - state.scaler.keys()):
            raise _unfit(where, f"scaler.{name} is missing in state.json")


def _earlier(state: State, tensors: Mapping[str, Tensor], settings: TrainConfig, where: str) -> range:
    """The numbers of the earlier validations whose weights are averaged with the next ones."""
    numbers = {name.split("/")[1] for name in tensors if name.startswith("earlier/")}
    count = len(numbers) if state.averaged is None else state.averaged
    if max(count, len(numbers)) >= settings.average:
        raise UserError(f"{where}: does not fit train.average={settings.average}")
    return range(count)


def _moments(
    state: State, tensors: Mapping[str, Tensor], expected: Expected, where: str
) -> tuple[dict[str, Tensor], set[str]]:
    """The moments that are expected, by name, and the names of the counts of steps beside them."""
    names = MOMENTS[expected.settings.optimizer]
    if expected.settings.optimizer == "sgd" and not expected.settings.momentum:
        return {}, set()
    marks = state.moments
    if marks is None:  # of an older state: a parameter has all of its moments, or none
        present = {name.split("/")[1] for name in tensors if name.startswith("optimizer/")}
        marks = "".join("01"[str(number) in present] for number in range(len(expected.parameters)))
    if len(marks) != len(expected.parameters):
        raise _unfit(
            where,
            f"state.json tells of {len(marks)} trained parameters, and there are {len(expected.parameters)}",
        )
    trained = [number for number, mark in enumerate(marks) if mark == "1"]
    moments = {f"optimizer/{n}/{name}": expected.parameters[n] for n in trained for name in names}
    counts_steps = expected.settings.optimizer != "sgd"
    return moments, {f"optimizer/{n}/step" for n in trained} if counts_steps else set()


def _refuse_other(name: str, tensor: Tensor, wanted: Tensor, where: str) -> None:
    if tensor.shape != wanted.shape:
        raise _unfit(where, f"{name} is {_shape(tensor)}, where {_shape(wanted)} is wanted")
    if tensor.dtype != wanted.dtype:
        raise _unfit(where, f"{name} is {_dtype(tensor)}, where {_dtype(wanted)} is wanted")


def _refuse_count(name: str, count: Tensor | None, most: int, where: str) -> None:
    if count is None:
        raise _unfit(where, f"{name} is missing")
    if count.shape != () or not count.is_floating_point():
        raise _unfit(where, f"{name} is {_dtype(count)} of shape {_shape(count)}, where one number is wanted")
    value = float(count)
    if not (0 <= value <= most and value == int(value)):
        raise _unfit(where, f"{name} is {value}, where at most {most} steps were made")


def marks(parameters: Iterable[int], count: int) -> str:
    """Of each of `count` parameters a 1 where its number is among `parameters`, else a 0."""
    numbers = set(parameters)
    return "".join("01"[number in numbers] for number in range(count))


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _unfit(where: str, problem: str) -> UserError:
    way = "restore it, or train again with --force"
    return UserError(f"{where}: damaged, or of another run: {problem}; {way}")
