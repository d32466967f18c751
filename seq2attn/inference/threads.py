"""Batches side by side: on a CPU one batch a core is faster than all cores on one batch, whose steps are
small and wait for one another.

It knows functions of batches and torch's threads, and no model.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

Batch = TypeVar("Batch")
Found = TypeVar("Found")
MOST = 8  # threads: Python itself runs in one at a time

_starting = threading.Lock()


def shares(device: torch.device) -> int:
    """How many batches are worked on at once."""
    return min(torch.get_num_threads(), MOST) if device.type == "cpu" else 1


@contextmanager
def map_in_threads(
    work: Callable[[Batch], Found], batches: Sequence[Batch], device: torch.device
) -> Iterator[Iterator[Found]]:
    """What `work` makes of each batch, in order, on a CPU by as many threads as torch has. What it raises is
    raised where its result is taken.

    Even a single batch gets a thread in which each operation of torch has that thread alone: with more, other
    kernels would be chosen, and results could differ
    in their last bits. The caller's own number of threads is left as it is.
    """
    if device.type != "cpu" or not batches:
        yield map(work, batches)
        return
    pool, numbers = _single_threads(min(shares(device), len(batches)))
    try:
        yield pool.map(work, batches)
    finally:
        pool.shutdown(cancel_futures=True)
        _see_off(numbers)


def _see_off(numbers: Sequence[int]) -> None:
    """Wait until threads of these numbers of the system are gone, a second at most.

    Python is done with a thread before the system is: MKL then frees what it kept for it, behind locks that a
    fork (see `processes`) at that moment would copy as held.
    """
    latest = time.monotonic() + 1
    while any(Path(f"/proc/self/task/{number}").exists() for number in numbers) and time.monotonic() < latest:
        time.sleep(0.0002)


def _single_threads(count: int) -> tuple[ThreadPoolExecutor, list[int]]:
    """So many threads, in each of which torch computes with that thread alone, and the system's numbers of
    them.
    """
    with _starting:
        # What a thread sets counts for itself and for all that come after it: so another one puts back what
        # new threads had.
        before = _in_a_new_thread(torch.get_num_threads)
        ready = threading.Barrier(count)
        numbers: list[int] = []

        def begin() -> None:
            # a thread takes over the default when it first asks, and would do so later
            torch.get_num_threads()
            torch.set_num_threads(1)
            numbers.append(threading.get_native_id())
            ready.wait()

        pool = ThreadPoolExecutor(count, thread_name_prefix="search", initializer=begin)
        for begun in [pool.submit(int) for _ in range(count)]:
            begun.result()
        _in_a_new_thread(lambda: torch.set_num_threads(before))
    return pool, numbers


def _in_a_new_thread(act: Callable[[], Found]) -> Found:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(act).result()
