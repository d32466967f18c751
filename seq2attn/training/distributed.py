"""Several processes train one model: the rank of this one, and the few sums they exchange.

`torchrun` sets the environment variables RANK, WORLD_SIZE and LOCAL_RANK. Every process computes its share of
the batches of an update; each loss is divided by the tokens of all batches, and gradients are summed. This
module knows no model.
"""

import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from seq2attn.errors import UserError

_trainings = itertools.count()  # of this process, in order
# The main process prepares data and translates the validation set while the others wait: longer than the
# default timeout.
WAIT = timedelta(hours=6)
FAILURE_WAIT = 3.0  # seconds: torchrun ends the main process, which has to report, once another one ends


@dataclass(frozen=True)
class World:
    """This process among `size`; an exchange of one process does nothing."""

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums of the values of all processes, in double precision, the same in each."""
        if self.size == 1:
            return list(values)
        exchanged = torch.tensor(values, dtype=torch.float64, device=self.device)
        with self._exchange():
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
        with self._exchange():
            dist.all_reduce(flat)
        for gradient, part in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Copy the main process's values to every process, in place."""
        if self.size == 1:
            return
        with self._exchange():
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def barrier(self) -> None:
        """Return once every process has called it."""
        self.sum([0.0])

    def run_on_main(self, function: Callable[[], object]) -> None:
        """Call the function in the main process alone, while the others wait.

        An exception is raised there; the other processes exit without a message.
        """
        raised: BaseException | None = None
        if self.is_main:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - raised below
                raised = error
        failed = self.sum([float(raised is not None)])
        if raised is not None:
            raise raised
        if failed != [0.0]:
            with suppress(KeyboardInterrupt):
                time.sleep(FAILURE_WAIT)
            raise SystemExit(1)

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        """Turn the failure of an exchange, when another process has ended, into one line."""
        try:
            yield
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise UserError(
                f"process {self.rank + 1} of {self.size}: "
                "another process of this training has ended, or cannot be reached; "
                "what was saved before is whole: start all processes again with `resume`"
            ) from error


@contextmanager
def init_distributed(device: torch.device) -> Iterator[World]:
    """The processes that torchrun's environment describes, or this one alone; disconnects at the end.

    Each process of a machine takes its own CUDA device.
    """
    size, local = _environment_number("WORLD_SIZE", 1), _environment_number("LOCAL_RANK", 0)
    if size <= 1:
        yield World(device)
        return
    if device.type == "cuda":
        if local >= torch.cuda.device_count():
            raise UserError(
                f"process {local} of this machine has no CUDA device of its own: there are "
                f"{torch.cuda.device_count()}; start fewer processes with torchrun"
            )
        device = torch.device("cuda", local)
        torch.cuda.set_device(device)
    try:
        store, rank, size = _meeting()
        # Each training of a process has keys of its own. With those of the training before, the processes
        # would look for each other at its addresses, and wait for ever.
        store = dist.PrefixStore(f"seq2attn/{next(_trainings)}", store)  # type: ignore[attr-defined]
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=WAIT, store=store, rank=rank, world_size=size)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the {size} processes of this training did not find each other ({str(error).splitlines()[0]}): "
            "start them all with torchrun, or unset WORLD_SIZE to train in one"
        ) from error
    try:
        yield World(device, rank, size)
    finally:
        with suppress(RuntimeError):  # where the others are gone already
            dist.destroy_process_group()


@cache
def _meeting() -> tuple[Any, int, int]:
    """Where the processes exchange their addresses, the rank of this one, and their number.

    It stays open for the next training of this process.
    """
    store, rank, size = next(rendezvous("env://", timeout=WAIT))
    store.set_timeout(WAIT)
    return store, rank, size


def _environment_number(name: str, default: int) -> int:
    value = os.environ.get(name, "") or str(default)
    if not value.isdecimal():
        raise UserError(
            f"{name}={value}: not a number; torchrun sets it, or unset it to train in one process"
        )
    return int(value)
