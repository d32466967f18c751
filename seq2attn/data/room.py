"""Room in memory for work of many threads: each says how much it needs, and waits while others have too much.

It knows nothing of the work.
"""

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARY = ctypes.CDLL(None)
_LARGE = 1 << 27  # bytes; what others had before is handed back first


class Room:
    """`total` bytes for all together. Who needs more than that has it alone."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._reset()
        os.register_at_fork(after_in_child=self._reset)  # it stays as long as the program: rooms are few

    @contextmanager
    def of(self, size: int) -> Iterator[None]:
        """Waits until there is room for `size` bytes. A thread that has some must not ask for more: others
        may too.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._used or self._used + size <= self.total)
            self._used += size
        if size >= _LARGE:
            _hand_back()
        try:
            yield
        finally:
            with self._changed:
                self._used -= size
                self._changed.notify_all()

    def _reset(self) -> None:
        """Of a forked process too, in which the threads that had room do not exist."""
        self._changed = threading.Condition()
        self._used = 0


def _hand_back() -> None:
    """Tell glibc to give what is free back to the system, of all threads: each keeps its own. Else nothing."""
    trim = getattr(_LIBRARY, "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))
