"""A bound on the memory that many threads take together.

Each thread reserves what it needs, and waits while others hold too much. This module does not know the work.
"""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARY = ctypes.CDLL(None)
_LARGE = 1 << 27  # bytes; before a thread takes this much, free memory is returned to the system


class MemoryBudget:
    """`total` bytes for all threads together. A thread that needs more than that holds memory alone."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._reset()
        os.register_at_fork(after_in_child=self._reset)  # never unregistered: budgets are few

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free, and hold them in the body.

        A thread that holds some must not reserve more, because two such threads would wait for each other.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + size <= self.total)
            self._used += size
        if size >= _LARGE:
            _trim_heap()
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._changed.notify_all()

    def _reset(self) -> None:
        """Forget all reservations. A forked process does it, too, because it has none of the threads."""
        self._changed = threading.Condition()
        self._used = 0


def _trim_heap() -> None:
    """Make glibc return free memory of all threads to the system. Other C libraries do nothing."""
    trim = getattr(_LIBRARY, "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
