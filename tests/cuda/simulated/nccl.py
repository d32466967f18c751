"""Stands in for NCCL: a process group of torch for tensors of the device alone, by gloo over the same memory.

An exchange is over when its call returns, so that nothing overlaps.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch._C import _distributed_c10d as c10d
from torch.distributed.distributed_c10d import _resolve_process_group

from . import counts

NAME = "simulated_nccl"


def install() -> None:
    dist.Backend.register_backend(NAME, create, devices=["cuda"])
    plain = dist.init_process_group

    def init_process_group(backend: str | None = None, *arguments: Any, **more: Any) -> Any:
        return plain(NAME if backend == "nccl" else backend, *arguments, **more)

    dist.init_process_group = init_process_group
    # torch's own exchanges of shards ask the group for a backend written in C++
    for name, function in {"all_gather_into_tensor": all_gather, "all_reduce": all_reduce}.items():
        exchanges.impl(name, function, "CUDA")


exchanges = torch.library.Library("_c10d_functional", "IMPL")


def all_gather(tensor: Tensor, size: int, name: str) -> Tensor:
    whole = tensor.new_empty((size * tensor.size(0), *tensor.shape[1:]))
    _resolve_process_group(name).all_gather_single(whole, tensor.contiguous())
    return whole


def all_reduce(tensor: Tensor, operation: str, name: str) -> Tensor:
    total, options = tensor.clone(memory_format=torch.contiguous_format), c10d.AllreduceOptions()
    options.reduceOp = {"sum": dist.ReduceOp.SUM, "max": dist.ReduceOp.MAX}[operation]
    _resolve_process_group(name).allreduce([total], options)
    return total


def create(store: Any, rank: int, size: int, timeout: timedelta) -> dist.ProcessGroup:
    return Group(store, rank, size, timeout)


class Group(dist.ProcessGroup):
    """The exchanges that DistributedDataParallel and `fully_shard` use."""

    def __init__(self, store: Any, rank: int, size: int, timeout: timedelta) -> None:
        super().__init__(rank, size)
        self.gloo = dist.ProcessGroupGloo(store, rank, size, timeout)

    def getBackendName(self) -> str:
        return "nccl"

    @property
    def group_name(self) -> str:
        """torch asks the backend of a group for it, and this group is its own."""
        return self._name

    def _set_group_name(self, name: str) -> None:
        self._name = name

    def allreduce(self, tensors: list[Tensor], options: Any = None) -> Any:
        options = c10d.AllreduceOptions() if options is None else options
        return done(self.gloo.allreduce(on_host(tensors), options), tensors)

    def allreduce_coalesced(self, tensors: list[Tensor], options: Any = None) -> Any:
        for tensor in tensors:
            self.allreduce([tensor], options)
        return done(None, tensors)

    def broadcast(self, tensors: list[Tensor], options: Any) -> Any:
        return done(self.gloo.broadcast(on_host(tensors), options), tensors)

    def allgather(self, outputs: list[list[Tensor]], inputs: list[Tensor], options: Any = None) -> Any:
        work = self.gloo.allgather([on_host(each) for each in outputs], on_host(inputs))
        return done(work, outputs)

    def all_gather_single(self, output: Tensor, input: Tensor, options: Any = None) -> Any:
        return self.allgather([list(output.chunk(self.size()))], [input])

    def reduce_scatter_single(self, output: Tensor, input: Tensor, options: Any = None) -> Any:
        total = input.clone()
        self.allreduce([total])
        return done(None, [output.copy_(total.chunk(self.size())[self.rank()].view_as(output))])

    def barrier(self, options: Any = None) -> Any:
        return done(self.gloo.barrier(), [])

    _allgather_base, _reduce_scatter_base = all_gather_single, reduce_scatter_single  # in earlier versions


def on_host(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The same memory as tensors of the CPU."""
    for tensor in tensors:
        if not tensor.is_cuda:
            raise RuntimeError("No backend type associated with device type cpu")
        if not tensor.is_contiguous():
            raise ValueError("Tensors must be contiguous")
    counts.add("nccl")
    return [torch.ops.simulated_device.host(tensor.detach()) for tensor in tensors]


def done(work: Any, result: Any) -> Any:
    """A work that has ended with this result."""
    if work is not None:
        work.wait()
    future: torch.futures.Future[Any] = torch.futures.Future(devices=[torch.cuda.current_device()])
    future.set_result(result)
    return c10d._create_work_from_future(future)
