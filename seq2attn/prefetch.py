"""Items that a thread computes before they are needed, a bounded number of them ahead.

    with Prefetch(items, ahead=4) as ready:
        for item in ready: ...

This module does not know what the items are.
"""

import queue
import threading
from collections.abc import Generator, Iterable, Iterator
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

T = TypeVar("T")

# A signal that arrives just before a wait begins is handled only after the wait, so no wait is longer.
LONGEST_WAIT = 1.0  # seconds


class _End(NamedTuple):
    """The entry of the queue after the last item."""

    error: BaseException | None


class Prefetch(Iterator[T], Generic[T]):
    """The items of an iterable, in order.

    A thread computes at most `ahead` + 1 of them before they are needed. An exception of the iterable is
    raised to the consumer after the items before it. `close`, or the end of the `with` block, ends the
    thread. A generator is closed in the thread.
    """

    def __init__(self, items: Iterable[T], ahead: int, name: str = "prefetch") -> None:
        self._queue: queue.Queue[T | _End] = queue.Queue(ahead)
        self._closed = threading.Event()
        self._ended = False
        # A daemon thread, so that the program can end while the iterable waits for input.
        self._thread = threading.Thread(target=self._produce, args=(items,), name=name, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __next__(self) -> T:
        while not (self._ended or self._closed.is_set()):
            try:
                item = self._queue.get(timeout=LONGEST_WAIT)
            except queue.Empty:
                continue
            if not isinstance(item, _End):
                return item
            self._ended = True
            if item.error is not None:
                raise item.error
        raise StopIteration

    def ready(self) -> bool:
        """Whether `next` would return, or end, without waiting."""
        return self._ended or not self._queue.empty()

    def close(self, wait: bool = True) -> None:
        """End the thread once it has computed its current item, and drop the items that were not consumed.

        Without `wait`, return at once. That is for an iterable that may wait for input for ever.
        """
        self._closed.set()
        self._drain()
        if wait:
            self._thread.join()

    def _drain(self) -> None:
        try:
            while True:
                self._queue.get_nowait()
        except queue.Empty:
            return

    def _produce(self, items: Iterable[T]) -> None:
        error: BaseException | None = None
        try:
            for item in items:
                if not self._put(item):
                    break
            if isinstance(items, Generator):
                items.close()
        except BaseException as raised:  # noqa: BLE001 - raised where the item is consumed
            error = raised
        self._put(_End(error))

    def _put(self, item: T | _End) -> bool:
        """Wait for room in the queue. Returns False once the consumer has closed it."""
        while not self._closed.is_set():
            try:
                self._queue.put(item, timeout=LONGEST_WAIT)
            except queue.Full:
                continue
            return not self._closed.is_set()
        return False
