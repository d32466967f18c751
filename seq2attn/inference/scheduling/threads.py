"""One batch for each thread of a CPU.

This is faster than all threads on one batch, whose steps are small and wait for one another. This module
knows functions of batches and the threads of torch, and no model.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TypeVar

import torch

from seq2attn.shared_cores import wait_for_end

Batch = TypeVar("Batch")
Result = TypeVar("Result")
MAX_THREADS = 8  # more would wait, because Python runs in only one thread at a time

_starting = threading.Lock()


def thread_count(device: torch.device) -> int:
    """How many batches are computed at once."""
    return min(torch.get_num_threads(), MAX_THREADS) if device.type == "cpu" else 1


@contextmanager
def map_in_threads(
    work: Callable[[Batch], Result], batches: Sequence[Batch], device: torch.device
) -> Iterator[Iterator[Result]]:
    """The result of `work` for each batch, in order, on a CPU computed by `thread_count` threads.

    An exception of `work` is raised when its result is read.

    Even a single batch runs in a thread of its own, in which torch computes with one thread: with more it
    would choose other kernels, and the last bits could differ. The caller's number of threads does not
    change.
    """
    if device.type != "cpu" or not batches:
        yield map(work, batches)
        return
    pool, numbers = _single_threads(min(thread_count(device), len(batches)))
    try:
        yield pool.map(work, batches)
    finally:
        pool.shutdown(cancel_futures=True)
        wait_for_end(numbers)


def _single_threads(count: int) -> tuple[ThreadPoolExecutor, list[int]]:
    """A pool of `count` threads, in each of which torch computes with one thread, and their system ids."""
    with _starting:
        # A thread sets the number for itself and for all threads that start later, so another thread
        # restores it.
        numbers: list[int] = []
        before = _in_a_new_thread(torch.get_num_threads, numbers)
        ready = threading.Barrier(count)

        def begin() -> None:
            # the first call takes over the default; without it a later call would
            torch.get_num_threads()
            torch.set_num_threads(1)
            numbers.append(threading.get_native_id())
            with suppress(threading.BrokenBarrierError):
                ready.wait()

        def restore() -> None:
            _in_a_new_thread(lambda: torch.set_num_threads(before), numbers)

        pool = ThreadPoolExecutor(count, thread_name_prefix="search", initializer=begin)
        try:
            for future in [pool.submit(int) for _ in range(count)]:
                future.result()
        except BaseException:
            ready.abort()  # a thread did not start: the others would wait for it
            pool.shutdown()
            with suppress(RuntimeError):  # there may be no room for this thread either
                restore()
            wait_for_end(numbers)
            raise
        restore()
    return pool, numbers


def _in_a_new_thread(act: Callable[[], Result], numbers: list[int]) -> Result:
    """The result of `act` in a thread of its own, whose system id is added to `numbers`."""
    with ThreadPoolExecutor(1) as pool:
        numbers.append(pool.submit(threading.get_native_id).result())
        return pool.submit(act).result()
