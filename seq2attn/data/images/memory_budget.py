"""A bound on the memory that many threads take together: each reserves what it needs, and waits while others
hold too much. It knows nothing of the work.
"""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARY = ctypes.CDLL(None)
_LARGE = 1 << 27  # bytes; before so much is taken, free memory is handed back


class MemoryBudget:
    """`total` bytes for all threads together. A thread that needs more than that holds memory alone."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._reset()
        os.register_at_fork(after_in_child=self._reset)  # never unregistered: budgets are few

    @contextmanager
    def reserve(self, size: int) -> Iterator[None]:
        """Wait until `size` bytes are free, and hold them in the body. A thread that holds some must not
        reserve more: two such threads would wait for each other.
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
        """In a forked process, too, which has none of the threads that held memory."""
        self._changed = threading.Condition()
        self._used = 0


def _trim_heap() -> None:
    """Make glibc give free memory of all threads back to the system; other C libraries do nothing here."""
    trim = getattr(_LIBRARY, "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
