"""Several processes train one model: who this process is among them, and the few sums they exchange.

`torchrun` says so in the environment (RANK, WORLD_SIZE, LOCAL_RANK). Every process takes its share of the batches of an
update; gradients are summed, each loss having been divided by the tokens of all. It knows no model.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from seq2attn.errors import UserError


@dataclass(frozen=True)
class World:
    """This process among `size`; alone, every exchange is a no-operation."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums of the values of all processes, in double precision, the same in each."""
        if self.size == 1:
            return list(values)
        exchanged = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(exchanged)
        return list(map(float, exchanged.tolist()))

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Sum the gradients of all processes in place; one that a process did not need counts as zero."""
        if self.size == 1:
            return
        parameters = list(parameters)
        for p in parameters:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        gradients = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])  # one exchange: small ones are all latency
        dist.all_reduce(flat)
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def copy_from_leader(self, tensors: Iterable[Tensor]) -> None:
        """Every process gets the leading one's values, in place."""
        if self.size == 1:
            return
        for tensor in tensors:
            dist.broadcast(tensor.detach(), src=0)

    def wait(self) -> None:
        """Return once every process is here."""
        self.sum([0.0])


@contextmanager
def join(device: torch.device) -> Iterator[World]:
    """The world that torchrun's environment describes, left at the end; a world of one without it. Each process of a machine takes its own CUDA device."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World(device)
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise UserError(
                f"process {local} of this machine has no CUDA device of its own: there are {torch.cuda.device_count()}; start fewer with --nproc-per-node"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    # The leading process prepares data and translates the validation set while the others wait: longer than the default patience.
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=6))
    try:
        yield World(device, dist.get_rank(), size)
    finally:
        dist.destroy_process_group()
