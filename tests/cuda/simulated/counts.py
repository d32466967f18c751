"""What the device has done since `reset`: how often each operation, copy and wait happened, by name.

aten::NAME, cudnn:NAME   an operation: about one launch of a kernel on a GPU. Views and allocations are
                         none. Multi-tensor operations and layer norm are one.
graph:replay             a CUDA graph was launched, whatever it holds
copy:HOW                 a copy between host and device
wait:WHY                 the host waits for the device
late:event               the host asks for an event behind which more work is queued: the device is not idle
sdpa:KERNEL, nccl        calls of attention by the kernel that torch would choose, and exchanges
"""

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

NO_KERNELS = {"aten::detach"}  # views that reach the device
_library: ctypes.CDLL | None = None


class Summary(NamedTuple):
    operations: float
    copies: float  # between host and device
    waits: float  # of the host


def load(path: Path) -> None:
    """Load the compiled part into this process."""
    global _library
    _library = ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)
    _library.simulated_bytes.restype = _library.simulated_counts.restype = ctypes.c_int64
    _library.simulated_graph.restype = _library.simulated_memory.restype = ctypes.c_int64
    _library.simulated_set_memory.argtypes = [ctypes.c_int64]
    _library.simulated_graph_error.restype = ctypes.c_char_p
    _library.simulated_seed.argtypes = [ctypes.c_int, ctypes.c_uint64]


def is_loaded() -> bool:
    return _library is not None


def compiled_device() -> ctypes.CDLL:
    if _library is None:
        raise RuntimeError("the simulated device is not installed: call simulated.install.install()")
    return _library


def reset() -> None:
    """Forget all counts, and the peak of memory."""
    compiled_device().simulated_reset()


def read() -> dict[str, int]:
    """All counts by name."""
    room = ctypes.create_string_buffer(1 << 20)
    compiled_device().simulated_counts(room, len(room))
    rows = (line.split("\t") for line in room.value.decode().splitlines())
    return {name: int(times) for name, times in rows}


def add(name: str) -> None:
    """Count one more of that name."""
    compiled_device().simulated_count(name.encode())


def summary(counts: Mapping[str, int]) -> Summary:
    def total(*kinds: str) -> int:
        return sum(n for name, n in counts.items() if name.startswith(kinds) and name not in NO_KERNELS)

    return Summary(total("aten::", "cudnn:", "graph:"), total("copy:"), total("wait:"))
