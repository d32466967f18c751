"""Batches side by side: on a CPU one batch a core is faster than all cores on one batch, whose steps are small and wait for one another.

It knows functions of batches and torch's threads, and no model.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Batch = TypeVar("Batch")
Found = TypeVar("Found")
MOST = 8  # threads: Python itself runs in one at a time


class _OneThread:
    """While anyone is in it, torch computes each operation in the thread that asks for it; the last to leave gives its threads back."""

    def __init__(self) -> None:
        self.lock, self.inside, self.before = threading.Lock(), 0, 1

    def __enter__(self) -> int:
        """How many threads there are to share out."""
        with self.lock:
            if self.inside == 0:
                self.before = torch.get_num_threads()
                torch.set_num_threads(1)
            self.inside += 1
            return self.before

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                torch.set_num_threads(self.before)


_one_thread = _OneThread()


def shares(device: torch.device) -> int:
    """How many batches are worked on at once."""
    return min(torch.get_num_threads(), MOST) if device.type == "cpu" else 1


@contextmanager
def side_by_side(work: Callable[[Batch], Found], batches: Sequence[Batch], device: torch.device) -> Iterator[Iterator[Found]]:
    """What `work` makes of each batch, in order, on a CPU by as many threads as torch has. What it raises is raised where its result is taken.

    Even a single batch gets one thread: with more, other kernels would be chosen, and results could differ in their last bits.
    """
    if device.type != "cpu":
        yield map(work, batches)
        return
    with _one_thread as threads:
        if min(threads, len(batches)) < 2:
            yield map(work, batches)
            return
        pool = ThreadPoolExecutor(min(threads, len(batches), MOST), thread_name_prefix="search")
        try:
            yield pool.map(work, batches)
        finally:
            pool.shutdown(cancel_futures=True)
