"""Several processes train one model: who this process is among them, and the few sums they exchange.

`torchrun` says so in the environment (RANK, WORLD_SIZE, LOCAL_RANK). Every process takes its share of the
batches of an
update; gradients are summed, each loss having been divided by the tokens of all. It knows no model.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from seq2attn.errors import UserError

SETTLING = 3.0  # seconds for the leading process to say why it fails: torchrun ends it once another one ends


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
        with self._together():
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
        with self._together():
            dist.all_reduce(flat)
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def copy_from_leader(self, tensors: Iterable[Tensor]) -> None:
        """Every process gets the leading one's values, in place."""
        if self.size == 1:
            return
        with self._together():
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def wait(self) -> None:
        """Return once every process is here."""
        self.sum([0.0])

    def lead(self, act: Callable[[], object]) -> None:
        """Let the leading process alone `act`, while the others wait.

        What it raises is raised there; the others end without a word of their own.
        """
        raised: BaseException | None = None
        if self.leads:
            try:
                act()
            except BaseException as error:  # noqa: BLE001 - raised below
                raised = error
        failed = self.sum([float(raised is not None)])
        if raised is not None:
            raise raised
        if failed != [0.0]:
            with suppress(KeyboardInterrupt):
                time.sleep(SETTLING)
            raise SystemExit(1)

    @contextmanager
    def _together(self) -> Iterator[None]:
        """An exchange in which another process takes no part any more fails in one line."""
        try:
            yield
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise UserError(
                f"process {self.rank + 1} of {self.size}: "
                "another process of this training has ended, or cannot be reached; "
                "what was saved before is whole: start all of them again with --resume"
            ) from error


@contextmanager
def join(device: torch.device) -> Iterator[World]:
    """The world that torchrun's environment describes, left at the end; a world of one without it. Each
    process of a machine takes its own CUDA device.
    """
    size, local = _number("WORLD_SIZE", 1), _number("LOCAL_RANK", 0)
    if size <= 1:
        yield World(device)
        return
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise UserError(
                f"process {local} of this machine has no CUDA device of its own: there are {torch.cuda.device_count()}; start fewer with --nproc-per-node"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    # The leading process prepares data and translates the validation set while the others wait: longer than
    # the default patience.
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=6))
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the {size} processes of this training did not find each other ({str(error).splitlines()[0]}): "
            "start them all with torchrun, or unset WORLD_SIZE to train in one"
        ) from error
    try:
        yield World(device, dist.get_rank(), size)
    finally:
        with suppress(RuntimeError):  # where the others are gone already
            dist.destroy_process_group()


def _number(name: str, default: int) -> int:
    value = os.environ.get(name, "") or str(default)
    if not value.isdecimal():
        raise UserError(f"{name}={value}: no number; torchrun sets it, or unset it to train in one process")
    return int(value)
