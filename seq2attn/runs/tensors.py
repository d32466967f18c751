"""Tensors of a model in files of safetensors, with the names, shapes and dtypes of the model."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from seq2attn import files
from seq2attn.errors import UserError
from seq2attn.runs.directory import DISK_ADVICE, Run, writing
from seq2attn.runs.headers import reading

DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64"}  # as safetensors names them


def named_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and persistent buffer of the model by name; a shared one under its first name alone."""
    ids: set[int] = set()
    tensors = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in ids:
            ids.add(id(tensor))
            tensors[name] = tensor.detach()
    return tensors


def load_tensors(model: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy tensors, named as by `named_tensors`, into the model.

    Raises UserError, which names `where`, if one is missing, unknown, or of another shape or dtype.
    """
    own = named_tensors(model)
    _refuse_unfit(_shapes(own), _shapes(tensors), where)
    for name, tensor in own.items():
        if tensor.dtype != tensors[name].dtype:
            raise _other_dtype(where, name, _dtype(tensors[name]), _dtype(tensor))
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def save_weights(run: Run, model: nn.Module) -> None:
    """Save the model's weights as the best of the run."""
    write_tensors(run.weights, named_tensors(model))


def load_weights(run: Run, model: nn.Module) -> None:
    """Copy the run's best weights into the model. Raises UserError if they are damaged or do not fit."""
    load_tensors(model, read_tensors(run.weights), str(run.weights))


def refuse_unfit_weights(run: Run, model: nn.Module) -> None:
    """Raise UserError if the best weights are damaged, or not those of the model by name, shape, dtype."""
    own = named_tensors(model)
    with reading(run.weights), safe_open(run.weights, framework="pt") as file:
        stored = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        shapes = {name: torch.Size(one.get_shape()) for name, one in stored.items()}
        dtypes = {name: one.get_dtype() for name, one in stored.items()}
    _refuse_unfit(_shapes(own), shapes, str(run.weights))
    for name, tensor in own.items():
        if tensor.dtype in DTYPES and dtypes[name] != DTYPES[tensor.dtype]:
            raise _other_dtype(str(run.weights), name, dtypes[name], DTYPES[tensor.dtype])


def write_tensors(path: Path, tensors: Mapping[str, Tensor], about: dict[str, str] | None = None) -> None:
    """Put the tensors at `path` whole or not at all, with the facts `about` them in the header.

    Raises UserError if the disk refuses.
    """
    try:
        with writing(path), files.replacing(path, DISK_ADVICE) as new:
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, new, about)
    except SafetensorError as error:
        raise files.refusal(path, error, DISK_ADVICE) from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors at `path`, in memory. Raises UserError if the file is missing or damaged."""
    with reading(path), safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _refuse_unfit(own: Mapping[str, torch.Size], stored: Mapping[str, torch.Size], where: str) -> None:
    for name in sorted(own.keys() | stored.keys()):
        if own.get(name) != stored.get(name):
            problem = f"does not fit the run's config.json at {name}"
            raise UserError(f"{where}: {problem}; restore both from one run, or train again")


def _other_dtype(where: str, name: str, stored: str, own: str) -> UserError:
    problem = f"{name} is {stored}, where the model has {own}"
    return UserError(f"{where}: {problem}; restore the file, or train again")


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
