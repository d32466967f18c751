"""Several processes work as one: the rank of this one, and what they exchange.

`torchrun` starts them. The processes meet in a store of keys and values at once, and join a group of torch at
their first exchange of tensors: before it, the main process may prepare data and start processes of its own.
This module knows no model. `gradient_exchange` has the gradients.
"""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from seq2attn import ranks
from seq2attn.errors import ProcessLost, UserError

_trainings = itertools.count()  # of this process, in order
# The main process prepares data while the others wait: longer than the default timeout.
WAIT = timedelta(hours=6)
FAILURE_WAIT = 3.0  # seconds: torchrun ends the main process, which has to report, once another one ends
LONGEST_PAUSE = 0.25  # seconds between two looks into the store


class Meeting:
    """Where the processes of one piece of work find each other."""

    def __init__(self, store: Any, launch: Any, device: torch.device, rank: int, size: int) -> None:
        """`store` is that of this work, and `launch` that of torchrun, which outlives a failed process."""
        self.store, self.launch = store, launch
        self.calls = itertools.count()  # of `World.run_on_main`: the same in all processes
        self._device, self._rank, self._size = device, rank, size
        self._joined = False

    def join(self) -> None:
        """Join the group of torch, once. Raises UserError if the processes do not find each other."""
        if self._joined:
            return
        backend = "nccl" if self._device.type == "cuda" else "gloo"
        try:
            dist.init_process_group(
                backend, timeout=WAIT, store=self.store, rank=self._rank, world_size=self._size
            )
        except (RuntimeError, ValueError) as error:
            raise _apart(self._size, error) from error
        self._joined = True

    def leave(self) -> None:
        if self._joined:
            with suppress(RuntimeError):  # where the others are gone already
                dist.destroy_process_group()


@dataclass(frozen=True)
class World:
    """This process among `size`; an exchange of one process does nothing."""

    device: torch.device
    rank: int = 0
    size: int = 1
    meeting: Meeting | None = field(default=None, repr=False, compare=False)

    @property
    def is_main(self) -> bool:
        """Whether this process is the one that writes and prints."""
        return self.rank == 0

    def share(self, count: int) -> range:
        """The part of `count` items that falls to this process; those of all ranks follow one another."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum(self, values: Sequence[float]) -> list[float]:
        """The sums of the values of all processes, in double precision, the same in each."""
        if self.size == 1:
            return list(values)
        exchanged = torch.tensor(values, dtype=torch.float64, device=self.device)
        with self.exchange():
            dist.all_reduce(exchanged)
        return list(map(float, exchanged.tolist()))

    def gather(self, text: str) -> list[str]:
        """The texts of all processes by rank, the same in each."""
        if self.size == 1:
            return [text]
        content = text.encode("utf-8", "surrogatepass")
        sizes = [int(n) for n in self.sum([len(content) * (r == self.rank) for r in range(self.size)])]
        padded = torch.tensor([*content, *bytes(max(sizes) + 1 - len(content))], dtype=torch.uint8)
        padded = padded.to(self.device)
        texts = [torch.empty_like(padded) for _ in sizes]
        with self.exchange():
            dist.all_gather(texts, padded)
        return [
            bytes(one[:size].tolist()).decode("utf-8", "surrogatepass")
            for one, size in zip(texts, sizes, strict=True)
        ]

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Copy the main process's values to every process, in place."""
        if self.size == 1:
            return
        with self.exchange():
            for tensor in tensors:
                dist.broadcast(tensor.detach(), src=0)

    def barrier(self) -> None:
        """Return once every process has called it."""
        self.sum([0.0])

    def run_on_main(self, function: Callable[[], object]) -> None:
        """Call the function in the main process alone, while the others wait. No group is needed for it.

        An exception is raised there; the other processes exit without a message.
        """
        if self.meeting is None:
            function()
            return
        store, key = self.meeting.store, f"main/{next(self.meeting.calls)}"
        if not self.is_main:
            self._wait_for(key)
            if store.get(key) == b"failed":
                store.add(f"{key}/heard", 1)
                with suppress(KeyboardInterrupt):
                    time.sleep(FAILURE_WAIT)
                raise SystemExit(1)
            return
        try:
            function()
        except BaseException:
            store.set(key, b"failed")
            began = time.monotonic()  # the store may end with this process
            while store.add(f"{key}/heard", 0) < self.size - 1 and time.monotonic() - began < FAILURE_WAIT:
                time.sleep(0.01)
            raise
        store.set(key, b"done")

    def _wait_for(self, key: str) -> None:
        """Return once the key is set. Signals are heard meanwhile: a call of the library would hold them."""
        assert self.meeting is not None
        pause, until = 0.005, time.monotonic() + WAIT.total_seconds()
        with self.exchange(joins=False):
            while not self.meeting.store.check([key]):
                if time.monotonic() > until:
                    raise RuntimeError(f"{key} was not set in time")
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)

    @contextmanager
    def exchange(self, joins: bool = True) -> Iterator[None]:
        """Turn the failure of an exchange, when another process has ended, into one line."""
        if joins and self.meeting is not None:
            self.meeting.join()
        try:
            yield
        except RuntimeError as error:
            if not is_of_an_exchange(error):
                raise
            raise ProcessLost(
                f"process {self.rank + 1} of {self.size}: "
                "another process has ended, or cannot be reached; what was saved before is whole: "
                "start all processes again, a training with `resume`"
            ) from error


def is_of_an_exchange(error: RuntimeError) -> bool:
    """Whether it says that another process cannot be reached: gloo has no class of errors of its own."""
    words = ("gloo", "Connection", "Socket", "Broken pipe", "was not set in time", "Timed out")
    return isinstance(error, dist.DistError) or any(word in str(error) for word in words)


@contextmanager
def init_distributed(device: torch.device) -> Iterator[World]:
    """The processes that torchrun's environment describes, or this one alone; disconnects at the end.

    Each process of a machine takes its own CUDA device.
    """
    size, local = ranks.size(), ranks.local_rank()
    if size == 1 and not ranks.restartable():
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
        # Each training of a process has keys of its own, and each start by torchrun. With those of the one
        # before, the processes would look for each other at its addresses, and wait for ever.
        number = next(_trainings)
        own = dist.PrefixStore(f"seq2attn/{number}/{ranks.restarts()}", store)  # type: ignore[attr-defined]
        launch = dist.PrefixStore(f"seq2attn/{number}", _of_the_launch(store))  # type: ignore[attr-defined]
    except (RuntimeError, ValueError) as error:
        raise _apart(size, error) from error
    meeting = Meeting(own, launch, device, rank, size)
    try:
        yield World(device, rank, size, meeting)
    finally:
        meeting.leave()


def _apart(size: int, error: Exception) -> UserError:
    return UserError(
        f"the {size} processes of this training did not find each other ({str(error).splitlines()[0]}): "
        "start them all with torchrun, or unset WORLD_SIZE to train in one"
    )


def _of_the_launch(store: Any) -> Any:
    """The store without the prefix that torchrun gives the keys of each start of the processes."""
    return store.underlying_store if isinstance(store, dist.PrefixStore) else store  # type: ignore[attr-defined]


@cache
def _meeting() -> tuple[Any, int, int]:
    """Where the processes exchange their addresses, the rank of this one, and their number.

    It stays open for the next training of this process.
    """
    store, rank, size = next(rendezvous("env://", timeout=WAIT))
    store.set_timeout(WAIT)
    return store, rank, size
