"""Makes the simulated device in this process."""

import ctypes
import sys

from . import counts
from .build import library, torch_folder


def install() -> None:
    """Make the device. Raises RuntimeError if torch is imported already: it has then asked for CUDA."""
    if counts.is_loaded():
        return
    if "torch" in sys.modules:
        raise RuntimeError("torch is imported already: the simulated device comes before it")
    path = library()
    for name in ("libc10.so", "libtorch_cpu.so"):
        ctypes.CDLL(str(torch_folder() / "lib" / name), ctypes.RTLD_GLOBAL)
    counts.load(path)
    # they import torch, which must come after the library
    from . import attention, cuda_module, cudnn, graphs, nccl

    for part in (cuda_module, graphs, cudnn, attention, nccl):
        part.install()
