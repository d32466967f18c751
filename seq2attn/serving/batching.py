"""Requests wait here, and one thread computes for all of them.

Items of several requests that are computed alike are computed together. A request that comes while nothing is
computed does not wait for others. Those that come meanwhile are the next batch, in the order of their
arrival. A request of many items shares each batch with the others, and takes turns with them. An item that
takes long fills more of a batch, so that others do not wait long for their turn.

Only one batch is computed at a time: the search uses all cores by itself. When nobody waits for a batch any
more, a computation that asks `Stop` ends at once. This module knows neither requests nor models.
"""

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

SHARE = 4  # items of one request in a batch, before the others have had as many
MOST_WAIT = 60  # seconds after which a client is told to come again, at most

# The results of items, in order. What is equal is computed together. With a method `cost` it says how many
# places of a batch an item fills; without, an item fills one.
Compute = Callable[[Sequence[Any]], Sequence[Any]]
Observer = Callable[[Compute, int, float], None]


class Stopped(Exception):
    """Nobody waits for what is computed."""


class Stop:
    """Whether somebody still waits for the batch that is computed. Computations ask it, from any thread."""

    def __init__(self) -> None:
        self.requested = False

    def check(self) -> None:
        """Raise Stopped if nobody waits."""
        if self.requested:
            raise Stopped


class Full(Exception):
    """There is no room for the items: try again after `seconds`, or never (None), if they are too many."""

    def __init__(self, seconds: int | None) -> None:
        super().__init__()
        self.seconds = seconds


class TooLate(Exception):
    """The time is over. `begun`: some of it was computed already."""

    def __init__(self, begun: bool) -> None:
        super().__init__()
        self.begun = begun


class _Work:
    """The items of one request."""

    def __init__(self, compute: Compute, items: Sequence[Any]) -> None:
        self.compute = compute
        self.items = items
        self.waiting = deque(range(len(items)))
        self.results: list[Any] = [None] * len(items)
        self.missing = len(items)
        self.future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()

    def cost(self, place: int) -> float:
        """How many places of a batch the item fills."""
        cost = getattr(self.compute, "cost", None)
        return 1 if cost is None else cost(self.items[place])

    @property
    def begun(self) -> bool:
        return len(self.waiting) < len(self.items)


class Batcher:
    """The queue and its thread. `submit` is for the event loop in which `start` was called."""

    def __init__(
        self, queue: int, batch: int, observe: Observer = lambda compute, items, seconds: None
    ) -> None:
        """`queue`: items that may wait; `batch`: places of one computation; `observe` gets each of them."""
        self._queue, self._batch, self._observe = queue, batch, observe
        self.stop = Stop()
        self._works: list[_Work] = []  # those with items that wait, in their turn
        self._computed: set[_Work] = set()  # those with items in the batch that is computed
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._dispatcher: asyncio.Task[None] | None = None
        self._pace = 0.05  # seconds of an item, of late
        self.waiting = 0  # items

    def start(self) -> None:
        self._dispatcher = asyncio.get_running_loop().create_task(self._dispatch())

    async def close(self) -> None:
        """End the thread, which finishes what it computes unless it asks `stop`. What still waits is never
        computed.
        """
        self.stop.requested = True
        if self._dispatcher is not None:
            self._dispatcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._dispatcher
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def submit(self, compute: Compute, items: Sequence[Any], seconds: float) -> list[Any]:
        """The results of the items, in order; an item that failed has its exception in place of a result.

        If the caller is cancelled, what has not begun is dropped, and what has begun is stopped unless others
        wait for it, too. Raises Full and TooLate.
        """
        if not items:
            return []
        if self.waiting + len(items) > self._queue:
            raise Full(self._wait() if len(items) <= self._queue else None)
        work = _Work(compute, items)
        self._works.append(work)
        self.waiting += len(items)
        self._wake.set()
        try:
            async with asyncio.timeout(seconds):
                return await work.future
        except TimeoutError:
            raise TooLate(work.begun) from None
        finally:
            self._drop(work)

    def _wait(self) -> int:
        """Seconds until the queue is empty, as far as one can tell."""
        return min(MOST_WAIT, max(1, math.ceil(self.waiting * self._pace)))

    def _drop(self, work: _Work) -> None:
        self.waiting -= len(work.waiting)
        work.waiting.clear()
        if work in self._works:
            self._works.remove(work)
        if work in self._computed:
            self._computed.remove(work)
            self.stop.requested = not self._computed

    async def _dispatch(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while places := self._next():
                compute = places[0][0].compute
                items = [work.items[place] for work, place in places]
                self._computed, self.stop.requested = {work for work, _ in places}, False
                began = time.perf_counter()
                results = await loop.run_in_executor(self._thread, _compute_each, compute, items)
                seconds = time.perf_counter() - began
                self._computed = set()
                self._pace = 0.7 * self._pace + 0.3 * seconds / len(items)
                self._observe(compute, len(items), seconds)
                for (work, place), result in zip(places, results, strict=True):
                    work.results[place] = result
                    work.missing -= 1
                    if not work.missing and not work.future.done():
                        work.future.set_result(work.results)

    def _next(self) -> list[tuple[_Work, int]]:
        """The places of the items of the next batch, which wait no more."""
        if not self._works:
            return []
        alike = [work for work in self._works if work.compute == self._works[0].compute]
        places: list[tuple[_Work, int]] = []
        room: float = self._batch
        while alike:
            fit = []
            for work in alike:
                for _ in range(min(SHARE, len(work.waiting))):
                    cost = work.cost(work.waiting[0])
                    if places and cost > room:  # the first item is computed however long it takes
                        break
                    places.append((work, work.waiting.popleft()))
                    room -= cost
                else:
                    fit.append(work)
            alike = [work for work in fit if work.waiting]
        # Whoever had a part of this batch stands behind the others for the next one.
        served = {id(work) for work, _ in places}
        behind = [work for work in self._works if work.waiting and id(work) in served]
        self._works = [work for work in self._works if id(work) not in served] + behind
        self.waiting -= len(places)
        return places


def _compute_each(compute: Compute, items: Sequence[Any]) -> Sequence[Any]:
    """The results, or the exception of each item that fails: it must not take the others with it."""
    try:
        results = compute(items)
        if len(results) != len(items):  # the queue must not stop at a defect
            raise RuntimeError(f"{len(results)} results of {len(items)} items")
        return results
    except Stopped as error:
        return [error] * len(items)
    except Exception as error:  # noqa: BLE001 (it is raised again where its request is answered)
        if len(items) == 1:
            return [error]
    return [result for item in items for result in _compute_each(compute, [item])]
