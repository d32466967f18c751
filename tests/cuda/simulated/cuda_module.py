"""Stands in for torch.cuda: the devices, their properties, generators and memory."""

import os
import types
from typing import Any

import torch

from . import counts, graphs

COUNT = int(os.environ.get("SIMULATED_CUDA_DEVICES", "1"))
NAME = "a simulated CUDA device"


def capability() -> tuple[int, int]:
    """Of the device: (9, 0) for an H200, (7, 5) for a T4."""
    major, _, minor = os.environ.get("SIMULATED_CUDA_CAPABILITY", "9.0").partition(".")
    return int(major), int(minor or 0)


class Generator:
    """The default generator of a device."""

    def __init__(self, index: int) -> None:
        self.index = index

    def manual_seed(self, seed: int) -> None:
        counts.compiled_device().simulated_seed(self.index, seed & (2**64 - 1))

    def get_state(self) -> torch.Tensor:
        state: torch.Tensor = torch.ops.simulated_device.generator_state(self.index)
        return state

    def set_state(self, state: torch.Tensor) -> None:
        torch.ops.simulated_device.set_generator_state(state, self.index)


def index_of(device: Any) -> int:
    if device is None:
        return current_device()
    if isinstance(device, int):
        return device
    index = torch.device(device).index
    return current_device() if index is None else index


def current_device() -> int:
    return int(counts.compiled_device().simulated_device())


def set_device(device: Any) -> None:
    if not 0 <= index_of(device) < COUNT:
        raise RuntimeError("CUDA error: invalid device ordinal")
    counts.compiled_device().simulated_set_device(index_of(device))


def synchronize(device: Any = None) -> None:
    graphs.refuse_in_capture()
    counts.add("wait:synchronize")


def is_bf16_supported(including_emulation: bool = True) -> bool:
    return including_emulation or capability() >= (8, 0)


def memory_allocated(device: Any = None) -> int:
    return int(counts.compiled_device().simulated_bytes(0))


def max_memory_allocated(device: Any = None) -> int:
    return int(counts.compiled_device().simulated_bytes(1))


def memory() -> int:
    """Bytes that the device has."""
    return int(counts.compiled_device().simulated_memory())


def set_memory(size: int) -> int:
    """Give the device as many bytes, more or less than it has in use; returns what it had."""
    before = memory()
    counts.compiled_device().simulated_set_memory(size)
    return before


def properties(device: Any = None) -> types.SimpleNamespace:
    major, minor = capability()
    return types.SimpleNamespace(
        major=major, minor=minor, name=NAME, total_memory=memory(), multi_processor_count=132
    )


def nothing(*arguments: Any, **more: Any) -> None:
    """For what has no effect here."""


def resize_storages() -> None:
    """`fully_shard` frees the memory of whole parameters, which a CPU build of torch refuses elsewhere."""
    plain = torch.UntypedStorage.resize_

    def resize(self: torch.UntypedStorage, size: int) -> Any:
        if self.device.type != "cuda":
            return plain(self, size)
        holder = torch.empty(0, dtype=torch.uint8, device=self.device).set_(self, 0, (0,), (1,))
        torch.ops.simulated_device.resize_storage(holder, size)
        return self

    torch.UntypedStorage.resize_ = resize


def install() -> None:
    resize_storages()
    if mebibytes := os.environ.get("SIMULATED_CUDA_MEMORY"):
        set_memory(int(mebibytes) << 20)
    replacements = {
        "is_available": lambda: True,
        "device_count": lambda: COUNT,
        "is_initialized": lambda: True,
        "_lazy_init": nothing,
        "_lazy_call": lambda act, **more: act(),
        "_is_in_bad_fork": lambda: False,
        "current_device": current_device,
        "set_device": set_device,
        "synchronize": synchronize,
        "is_bf16_supported": is_bf16_supported,
        "get_device_capability": lambda device=None: capability(),
        "get_device_name": lambda device=None: NAME,
        "get_device_properties": properties,
        "memory_allocated": memory_allocated,
        "memory_reserved": memory_allocated,
        "max_memory_allocated": max_memory_allocated,
        "max_memory_reserved": max_memory_allocated,
        "mem_get_info": lambda device=None: (max(0, memory() - memory_allocated()), memory()),
        "reset_peak_memory_stats": nothing,
        "default_generators": tuple(Generator(index) for index in range(COUNT)),
        "empty_cache": nothing,
    }
    for name, value in replacements.items():
        setattr(torch.cuda, name, value)
        if hasattr(torch.cuda.random, name):
            setattr(torch.cuda.random, name, value)
