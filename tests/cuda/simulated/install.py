"""Makes the simulated device in this process."""

import atexit
import ctypes
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

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
    atexit.register(wait_for_threads)


def wait_for_threads() -> None:
    """Wait until all other threads sleep, for five seconds at most.

    When a backward pass has returned, the thread of the device still frees what it leaves. If Python ends at
    that moment, the thread cannot have Python's lock any more, and C++ aborts the process.
    """
    tasks, own, asleep = Path("/proc/self/task"), str(threading.get_native_id()), 0
    for _ in range(500):
        time.sleep(0.01)  # others may have the lock meanwhile
        asleep += 1
        for task in tasks.iterdir():
            with suppress(OSError):  # it has ended
                if task.name != own and (task / "stat").read_text().rpartition(") ")[2].startswith("R"):
                    asleep = 0
        if asleep == 3:
            return
