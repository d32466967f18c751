"""Where and in which number format to compute: the device by name, fp32, bf16 or fp16, and the allocator of
the machine.

It knows the machine and nothing of models.
"""

import ctypes
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal

import torch

from seq2attn.config import Precision
from seq2attn.errors import UsageError, UserError

Format = Literal["fp32", "bf16", "fp16"]
FLOATS = {"bf16": torch.bfloat16, "fp16": torch.float16}


def find_device(name: str) -> torch.device:
    """`auto|cpu|cuda|cuda:N` as a device; auto is the first CUDA device, or the CPU. UsageError for another
    name, UserError where there is no such device.
    """
    if name == "auto":
        return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    kind, colon, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (colon and not (kind == "cuda" and number.isdecimal())):
        raise UsageError(f"--device {name}: choose auto, cpu, cuda or cuda:N")
    if kind == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UserError(
            f"--device {name}: this machine, or this build of torch ({torch.__version__}), has no CUDA; choose --device cpu"
        )
    index = int(number or 0)
    if index >= torch.cuda.device_count():
        raise UserError(
            f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, numbered from 0"
        )
    return torch.device("cuda", index)


def find_format(precision: Precision, device: torch.device) -> Format:
    """`auto` becomes bf16 where the device multiplies it natively, else fp32; the others stay."""
    if precision != "auto":
        return precision
    native = (
        torch.cuda.is_bf16_supported(including_emulation=False)
        if device.type == "cuda"
        else _cpu_multiplies_bf16()
    )
    return "bf16" if native else "fp32"


def _cpu_multiplies_bf16() -> bool:
    # torch has the question only as private functions, which may go; the kernel's list of flags answers it on
    # Linux alone.
    asked = [
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    ]
    if any(ask is not None for ask in asked):
        return any(ask() for ask in asked if ask is not None)
    cpuinfo = Path("/proc/cpuinfo")
    return cpuinfo.exists() and any(flag in cpuinfo.read_text() for flag in (" avx512_bf16", " amx_bf16"))


def autocast(device: torch.device, format: Format) -> AbstractContextManager[object]:
    """The context in which the forward pass runs in that format."""
    return nullcontext() if format == "fp32" else torch.autocast(device.type, FLOATS[format])


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the process instead of returning it to the system. Does nothing
    elsewhere.

    By default every tensor beyond some megabytes is mapped anew, and each of its pages faults and is zeroed
    at first
    touch: for the largest products of a training step that costs as much as a third of their time, at every
    step.
    """
    M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
    _glibc("mallopt", M_MMAP_THRESHOLD, 1 << 30)
    _glibc("mallopt", M_TRIM_THRESHOLD, 2**31 - 1)


def trim_heap() -> None:
    """Return what was kept and is free, a fraction of a second: batches of many shapes leave pieces that fit
    none of the next, gigabytes of them in an hour.
    """
    _glibc("malloc_trim", 0)


def _glibc(function: str, *arguments: int) -> None:
    if sys.platform != "linux":
        return
    try:
        called = getattr(ctypes.CDLL("libc.so.6"), function)
    except (OSError, AttributeError):  # musl has none of these
        return
    called(*arguments)
