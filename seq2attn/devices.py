"""The device to compute on, the number format (fp32, bf16 or fp16), and the memory allocator.

This module knows the machine, and no model.
"""

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import torch

from seq2attn.config import Precision
from seq2attn.device_memory import allocate_in_segments_that_grow
from seq2attn.errors import UsageError, UserError

Format = Literal["fp32", "bf16", "fp16"]
FLOATS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def find_device(name: str) -> torch.device:
    """The device with that name: auto, cpu, cuda or cuda:N. auto is the first CUDA device, or else the CPU.

    Raises UsageError for another name, and UserError if the machine has no such device.
    """
    allocate_in_segments_that_grow()
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


def find_format(precision: Precision, device: torch.device) -> Format:
    """The number format of a precision. "auto" is bf16 if the device has it in hardware, otherwise fp32."""
    if precision != "auto":
        return precision
    in_hardware = (
        torch.cuda.is_bf16_supported(including_emulation=False) if device.type == "cuda" else _cpu_has_bf16()
    )
    return "bf16" if in_hardware else "fp32"


def _cpu_has_bf16() -> bool:
    # torch answers only by private functions, which may disappear. The kernel lists flags only on Linux.
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    functions = [getattr(torch.cpu, name) for name in names if hasattr(torch.cpu, name)]
    if functions:
        return any(is_supported() for is_supported in functions)
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and any(flag in cpuinfo.read_text() for flag in (" avx512_bf16", " amx_bf16"))


def autocast(device: torch.device, format: Format) -> AbstractContextManager[object]:
    """A context in which the forward pass runs in that number format."""
    return nullcontext() if format == "fp32" else torch.autocast(device.type, FLOATS[format])


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
