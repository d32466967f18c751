"""Stands in for NCCL: its exchanges, of tensors of the device alone, by gloo over the same memory."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from . import counts


def install() -> None:
    init, all_reduce, broadcast = dist.init_process_group, dist.all_reduce, dist.broadcast
    is_nccl = False

    def init_process_group(backend: str | None = None, *arguments: Any, **more: Any) -> Any:
        nonlocal is_nccl
        is_nccl = backend == "nccl"
        return init("gloo" if is_nccl else backend, *arguments, **more)

    def on_host(tensor: Tensor) -> Tensor:
        if not is_nccl:
            return tensor
        if not tensor.is_cuda:
            raise RuntimeError("No backend type associated with device type cpu")
        counts.add("nccl")
        alias: Tensor = torch.ops.simulated_device.host(tensor)
        return alias

    dist.init_process_group = init_process_group
    dist.all_reduce = lambda tensor, *arguments, **more: all_reduce(on_host(tensor), *arguments, **more)
    dist.broadcast = lambda tensor, *arguments, **more: broadcast(on_host(tensor), *arguments, **more)
