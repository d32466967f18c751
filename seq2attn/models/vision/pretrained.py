"""Published weights for the backbone of an image encoder. Training reads them from a file when it starts, and
runs no code that the file holds.

A run keeps all weights in its own model.safetensors afterwards, and never asks for the file again. It knows
no network: what fits is for the backbone to say.
"""

import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from seq2attn.config import ModelConfig
from seq2attn.errors import UserError
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.models.vision.backbones import load_pretrained

MOST = 2**32  # the most bytes of a file, and of its unpacked content
INSIDE = ("state_dict", "model")  # keys under which a checkpoint may hold its weights
CHECKPOINTS = (b"PK\x03\x04", b"\x80")  # first bytes of torch's checkpoints: zip archives, before 1.6 pickles


def pretrained(model: Seq2Seq, settings: ModelConfig) -> None:
    """Load the weights that the settings name, if any, into the backbone of the model's encoder.

    Raises UserError if they are missing or damaged, or do not fit.
    """
    if settings.encoder.kind == "image" and settings.encoder.weights is not None:
        path = Path(settings.encoder.weights)
        load_pretrained(model.encoder.get_submodule("backbone"), read(path), str(path))


def read(path: Path) -> dict[str, Tensor]:
    """The tensors, by name and on the CPU, of a safetensors file, or of a checkpoint of torch that holds
    weights alone.

    Raises UserError if the file is missing, too large or damaged, or holds anything but weights.
    """
    where = f"model.encoder.weights={path}"
    try:
        with path.open("rb") as file:
            start = file.read(9)
        if path.stat().st_size > MOST:
            raise UserError(
                f"{where}: has {path.stat().st_size:,} bytes, and {MOST:,} are the most: "
                "choose a smaller network"
            )
        # a safetensors file begins with 8 bytes of any value
        if path.suffix == ".safetensors" or start[8:] == b"{" or not start.startswith(CHECKPOINTS):
            with safe_open(path, framework="pt") as tensors:
                return {name: tensors.get_tensor(name) for name in tensors.keys()}  # noqa: SIM118 - it is no mapping
    except OSError as error:
        raise UserError(
            f"{where}: cannot be read: {error.strerror or error}; say where the file of weights is"
        ) from None
    except SafetensorError as error:
        raise UserError(
            f"{where}: neither safetensors nor a checkpoint of torch, or damaged ({error}); download it again"
        ) from None
    return _weights(_checkpoint(path, where), where)


def _checkpoint(path: Path, where: str) -> object:
    try:
        archive = zipfile.is_zipfile(path)
        if archive:
            with zipfile.ZipFile(path) as entries:
                if sum(entry.file_size for entry in entries.infolist()) > MOST:
                    raise UserError(f"{where}: unpacks to more than {MOST:,} bytes: choose a smaller network")
        with warnings.catch_warnings(action="ignore"):  # the error below says it
            return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except UserError:
        raise
    except Exception as error:
        if type(error).__name__ == "UnpicklingError":
            raise UserError(
                f"{where}: holds more than weights, which could run code, or is damaged: "
                "save the network's state_dict() alone"
            ) from error
        raise UserError(f"{where}: damaged ({type(error).__name__}); download it again") from error


def _weights(content: object, where: str) -> dict[str, Tensor]:
    if isinstance(content, Mapping):
        content = next((content[name] for name in INSIDE if isinstance(content.get(name), Mapping)), content)
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items())
    ):
        raise UserError(f"{where}: does not hold weights by name: save the state_dict() of the network alone")
    return dict(content)
