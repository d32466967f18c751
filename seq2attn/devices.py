"""The device to compute on, the number format (fp32, bf16 or fp16), determinism, and the memory allocator.

This module knows the machine, and no model.
"""

import ctypes
import os
import platform
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch

from seq2attn.config import Precision
from seq2attn.device_memory import allocate_in_segments_that_grow
from seq2attn.errors import UsageError, UserError

Format = Literal["fp32", "bf16", "fp16"]
FLOATS: dict[Format, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}
TENSOR_CORES = {"bf16": (8, 0), "fp16": (7, 0)}  # the first compute capability that has them for a format
# What torch accepts for deterministic products, and its documentation asks for deterministic LSTMs.
WORKSPACE = ("CUBLAS_WORKSPACE_CONFIG", ":16:8")


def find_device(name: str) -> torch.device:
    """The device with that name: auto, cpu, cuda or cuda:N. auto is the first CUDA device, or else the CPU.

    Raises UsageError for another name, and UserError if the machine has no such device.
    """
    allocate_in_segments_that_grow()
    compute_float32_exactly()
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    kind, colon, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(f"device {name}: choose auto, cpu, cuda or cuda:N", setting="device")
    if kind == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError(
            f"device {name}: this machine, or this build of torch ({torch.__version__}), has no CUDA; "
            "choose `device` cpu",
            setting="device",
        )
    index = int(number or 0)
    if index >= torch.cuda.device_count():
        raise UserError(
            f"device {name}: there are {torch.cuda.device_count()} CUDA devices, numbered from 0",
            setting="device",
        )
    return torch.device("cuda", index)


def compute_float32_exactly() -> None:
    """Convolutions and recurrent layers of cuDNN in float32 have all 24 bits, as matrix products have. By
    torch's default they have the 11 bits of TF32. The variable that allows TF32 in products allows it here.
    """
    if os.environ.get("TORCH_ALLOW_TF32_CUBLAS_OVERRIDE") != "1":
        # Some versions of torch recommend another setting, after which reading this one raises an error.
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Please use the new API settings to control TF32")
            torch.backends.cudnn.allow_tf32 = False


def find_format(precision: Precision, device: torch.device) -> Format:
    """The number format of a precision. "auto" is bf16 if the device has it in hardware. Otherwise it is fp16
    on a GPU with tensor cores (Volta and Turing), and fp32 elsewhere.
    """
    if precision != "auto":
        return precision
    if not is_emulated("bf16", device):
        return "bf16"
    return "fp16" if device.type == "cuda" and not is_emulated("fp16", device) else "fp32"


def is_emulated(format: Format, device: torch.device) -> bool:
    """Whether the device multiplies matrices in that format without hardware for it."""
    if format == "fp32":
        return False
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) < TENSOR_CORES[format]
    return not (_cpu_has_bf16() if format == "bf16" else _cpu_has_fp16())


def emulation(precision: Precision, device: torch.device) -> str | None:
    """One line for people if the device emulates that format, or None."""
    known = device.type == "cuda" or platform.machine() in ("x86_64", "AMD64")
    if precision == "auto" or not known or not is_emulated(precision, device):
        return None
    return f"{device} has no {precision} in hardware: with `precision` fp32 it is faster"


def _cpu_has_bf16() -> bool:
    return _cpu_has(("_is_avx512_bf16_supported", "_is_amx_tile_supported"), (" avx512_bf16", " amx_bf16"))


def _cpu_has_fp16() -> bool:
    return _cpu_has(("_is_avx512_fp16_supported", "_is_amx_fp16_supported"), (" avx512_fp16", " amx_fp16"))


def _cpu_has(functions: Sequence[str], flags: Sequence[str]) -> bool:
    # torch answers only by private functions, which may disappear. The kernel lists flags only on Linux.
    answers = [getattr(torch.cpu, name)() for name in functions if hasattr(torch.cpu, name)]
    if len(answers) == len(functions) or any(answers):
        return any(answers)
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and any(flag in cpuinfo.read_text() for flag in flags)


def autocast(device: torch.device, format: Format) -> AbstractContextManager[object]:
    """A context in which the forward pass runs in that number format."""
    return nullcontext() if format == "fp32" else torch.autocast(device.type, FLOATS[format])


@contextmanager
def deterministic(device: torch.device) -> Iterator[None]:
    """In this context a CUDA device gives the same bits at each run of the same program. A CPU always does.

    Enter it before the first computation on the device, because cuBLAS reads its setting there. Raises
    UserError if torch has no deterministic algorithm for an operation.
    """
    if device.type == "cpu":
        yield
        return
    settings: Any = torch.utils.deterministic
    before = torch.are_deterministic_algorithms_enabled(), settings.fill_uninitialized_memory
    os.environ.setdefault(*WORKSPACE)
    torch.use_deterministic_algorithms(True)
    settings.fill_uninitialized_memory = False  # it would write all new memory twice
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise UserError(
            f"train.deterministic: torch cannot compute this model so ({str(error).split(', ')[0]}); "
            "leave the setting out",
            setting="train.deterministic",
        ) from None
    finally:
        torch.use_deterministic_algorithms(before[0])
        settings.fill_uninitialized_memory = before[1]


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for the process instead of returning it to the system.

    By default, glibc maps every tensor of several megabytes anew. Each of its pages then causes a page fault
    and is zeroed at the first access. At every step that costs up to a third of the time of the largest
    matrix products. Other C libraries stay as they are.
    """
    M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
    _glibc("mallopt", M_MMAP_THRESHOLD, 1 << 30)
    _glibc("mallopt", M_TRIM_THRESHOLD, 2**31 - 1)


def trim_heap() -> None:
    """Make glibc return free memory to the system. It takes a fraction of a second.

    Batches of many shapes leave free blocks that fit none of the next batches: gigabytes in an hour.
    """
    _glibc("malloc_trim", 0)


def _glibc(function: str, *arguments: int) -> None:
    if sys.platform != "linux":
        return
    try:
        c_function = getattr(ctypes.CDLL("libc.so.6"), function)
    except (OSError, AttributeError):  # musl does not have these functions
        return
    c_function(*arguments)
