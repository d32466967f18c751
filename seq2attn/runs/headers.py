"""Files of tensors by their headers: whether they are whole, and the shapes. No tensor is allocated.

It imports no torch.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open

from seq2attn.errors import UserError


def refuse_damaged(path: Path) -> None:
    """Raise UserError if the file is missing, its header cannot be read, or tensors are cut off."""
    with reading(path), safe_open(path, framework="np"):
        pass


def read_shapes(path: Path) -> dict[str, list[int]]:
    """Name -> shape of the tensors at `path`. Raises UserError if the file is missing or damaged."""
    with reading(path), safe_open(path, framework="np") as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - it is no mapping


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file of tensors into one line that names `path`."""
    try:
        with path.open("rb"):  # safetensors does not tell why it cannot
            pass
        os.fspath(path).encode()  # nor does it open a path that is not UTF-8
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: missing; restore it, or train again") from None
    except UnicodeEncodeError:
        problem = "weights can only be read where the path is valid UTF-8"
        raise UserError(f"{path}: {problem}: rename the folder") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror or error}") from None
    except SafetensorError as error:
        raise UserError(f"{path}: damaged ({error}); restore it, or train again") from None
