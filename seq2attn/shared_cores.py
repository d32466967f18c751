"""How the threads of a training wait for one another while other programs use the same cores.

torch computes with a team of OpenMP threads, which meet after each operation. A thread that waits for the
others spins for milliseconds, because to sleep and to be woken takes longer than most waits. Beside another
busy program that is wrong: one thread of the team has no core, and the others hold theirs for nothing. On two
cores, training falls to a third of its speed.

GNU's OpenMP lets a thread spin for microseconds only, once it manages more threads than the machine has
cores. So while the threads of this process have to wait for cores, `SharedCores` starts a second team, which
sleeps. The number of threads that compute stays as it is, and so does every bit of the results.

This module knows threads, and no model. `python tests/benchmarks/busy_machine.py` measures what it gains.
"""

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

INTERVAL = 2.0  # seconds between two looks at the waits
CROWDED = 0.15  # seconds of waiting for a core, of all threads, in a second: other programs use the cores
FREE = 0.08  # the same: the cores are free again
QUIET = 3  # looks in a row at free cores, before the threads spin again
TASKS = Path("/proc/self/task")


class SharedCores:
    """Looks after the waits of a computation of `threads` threads. `begins` is called the first time that
    other programs use its cores.

    `look` shall be called often, between two computations. It does nothing where the system does not say how
    long threads wait (Linux does), where torch has another OpenMP than GNU's, or where a limit forbids the
    threads of a second team.
    """

    def __init__(self, threads: int, begins: Callable[[], None] = lambda: None) -> None:
        self._begins: Callable[[], None] | None = begins
        self._library = gnu_openmp() if threads > 1 and sys.platform == "linux" else None
        self._team: _SleepingTeam | None = None
        self._last, self._waits = time.monotonic(), core_waits() if self._library else {}
        self._free_looks = 0

    @property
    def shared(self) -> bool:
        """Whether other programs use the cores, as far as it is known."""
        return self._team is not None

    def look(self) -> None:
        """Compare the waits since the last look with the bounds. Most calls return at once."""
        elapsed = time.monotonic() - self._last
        if self._library is None or elapsed < INTERVAL:
            return
        waits = core_waits()
        waited = sum(spent - self._waits.get(thread, 0.0) for thread, spent in waits.items())
        self._last, self._waits = self._last + elapsed, waits
        self._free_looks = self._free_looks + 1 if waited < FREE * elapsed else 0
        if self._team is None and waited > CROWDED * elapsed:
            if not can_start(team_size()):
                self._library = None  # OpenMP would end this process
                return
            self._team = _SleepingTeam(self._library)
            if self._begins is not None:
                self._begins()
                self._begins = None
        elif self._team is not None and self._free_looks >= QUIET:
            self.close()

    def close(self) -> None:
        """Let threads spin as at first."""
        if self._team is not None:
            self._team.end()
            self._team = None


class _SleepingTeam:
    """A team of OpenMP threads that does nothing: with it OpenMP manages more threads than cores."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._end = threading.Event()
        ready = threading.Event()
        size = team_size()

        def begin() -> None:
            # a function that OpenMP has does nothing
            library.GOMP_parallel(library.omp_get_thread_num, None, size, 0)
            ready.set()
            self._end.wait()  # the team lives as long as the thread that started it

        self._thread = threading.Thread(target=begin, name="sleeping team", daemon=True)
        self._thread.start()
        ready.wait()

    def end(self) -> None:
        self._end.set()
        self._thread.join()


def team_size() -> int:
    """Threads of the second team: with the team that computes, more than the cores."""
    return len(os.sched_getaffinity(0)) + 1


def can_start(count: int) -> bool:
    """Whether so many more threads may start. A limit may forbid it (`ulimit -u`, or that of a container)."""
    end = threading.Event()
    threads = [threading.Thread(target=end.wait, daemon=True) for _ in range(count)]
    begun: list[int | None] = []
    try:
        for thread in threads:
            thread.start()
            begun.append(thread.native_id)
    except RuntimeError:
        return False
    finally:
        end.set()
        for thread in threads[: len(begun)]:
            thread.join()
        wait_for_end(begun)
    return True


def wait_for_end(numbers: Sequence[int | None]) -> None:
    """Wait until the threads with these system ids have ended, for a second of this process's time or more.

    A thread ends for Python before it ends for the system, which still counts it. And MKL then frees its
    memory, under locks that a fork (see `inference.scheduling.fork_pool`) at that moment would copy as held.
    """
    for _ in range(5000):  # no clock: the machine may be paused
        if not any((TASKS / str(number)).exists() for number in numbers):
            return
        time.sleep(0.0002)


def core_waits() -> dict[str, float]:
    """For each thread of this process, the seconds for which it was ready to run and had no core; empty where
    the system does not say.
    """
    waits: dict[str, float] = {}
    try:
        for task in TASKS.iterdir():
            try:
                waits[task.name] = int((task / "schedstat").read_text().split()[1]) / 1e9
            except (OSError, IndexError, ValueError):  # the thread has ended, or the kernel does not count
                continue
    except OSError:
        pass
    return waits


def gnu_openmp() -> ctypes.CDLL | None:
    """The OpenMP of torch if it is GNU's, which each wheel of torch for Linux brings; otherwise None.

    Other packages may bring a copy of their own, whose threads are not torch's.
    """
    import torch

    for path in sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*")):
        try:
            library = ctypes.CDLL(str(path), mode=os.RTLD_NOLOAD)
        except OSError:
            continue
        if hasattr(library, "GOMP_parallel") and hasattr(library, "omp_get_thread_num"):
            return library
    return None
