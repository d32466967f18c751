"""The queue: what is computed together, what is refused, what is dropped, and what a failure does."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from seq2attn.serving.batching import SHARE, Batcher, Full, Stop, TooLate


class Twice:
    """Doubles numbers, once it may. It fails for negative ones."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.threads: set[int] = set()

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls.append(list(items))
        self.threads.add(threading.get_ident())
        assert self.may_go.wait(20)
        if min(items) < 0:
            raise ValueError("negative")
        return [2 * item for item in items]


def with_batcher(body: Callable[[Batcher], Awaitable[Any]], queue: int = 100, batch: int = 32) -> Any:
    async def run() -> Any:
        batcher = Batcher(queue, batch)
        batcher.start()
        try:
            return await body(batcher)
        finally:
            await batcher.close()

    return asyncio.run(run())


async def begun(twice: Twice, calls: int = 1) -> None:
    while len(twice.calls) < calls:
        await asyncio.sleep(0.001)


async def held(batcher: Batcher, twice: Twice) -> "asyncio.Task[list[Any]]":
    """A request of one item, 0, that is computed until `may_go`."""
    twice.may_go.clear()
    task = asyncio.create_task(batcher.submit(twice, [0], 20))
    await begun(twice)
    return task


def test_batcher_computes_at_once_if_nothing_is_computed() -> None:
    twice = Twice()
    assert with_batcher(lambda batcher: batcher.submit(twice, [1, 2], 20)) == [2, 4]
    assert twice.calls == [[1, 2]]


def test_batcher_computes_what_came_meanwhile_together() -> None:
    twice = Twice()

    async def body(batcher: Batcher) -> Any:
        first = await held(batcher, twice)
        others = [asyncio.create_task(batcher.submit(twice, [n, n + 10], 20)) for n in (1, 2, 3)]
        await asyncio.sleep(0.01)
        assert batcher.waiting == 6
        twice.may_go.set()
        return [await first, *[await other for other in others]], batcher.waiting

    assert with_batcher(body) == ([[0], [2, 22], [4, 24], [6, 26]], 0)
    assert twice.calls == [[0], [1, 11, 2, 12, 3, 13]]
    assert len(twice.threads) == 1


def test_batcher_lets_a_small_request_pass_a_large_one() -> None:
    twice = Twice()

    async def body(batcher: Batcher) -> Any:
        first = await held(batcher, twice)
        large = asyncio.create_task(batcher.submit(twice, list(range(1, 31)), 20))
        await asyncio.sleep(0)
        small = asyncio.create_task(batcher.submit(twice, [100], 20))
        await asyncio.sleep(0.01)
        twice.may_go.set()
        await first
        assert await small == [200]
        return await large

    assert with_batcher(body, batch=SHARE + 3) == [2 * n for n in range(1, 31)]
    assert twice.calls[1] == [*range(1, SHARE + 1), 100, SHARE + 1, SHARE + 2]


def test_batcher_keeps_other_computations_apart_in_the_order_of_arrival() -> None:
    one, other = Twice(), Twice()

    async def body(batcher: Batcher) -> Any:
        first = await held(batcher, one)
        tasks = [
            asyncio.create_task(batcher.submit(compute, [n], 20))
            for n, compute in enumerate((other, one, other), 1)
        ]
        await asyncio.sleep(0.01)
        one.may_go.set()
        return [await task for task in (first, *tasks)]

    assert with_batcher(body) == [[0], [2], [4], [6]]
    assert (one.calls, other.calls) == ([[0], [2]], [[1, 3]])


def test_batcher_refuses_what_there_is_no_room_for() -> None:
    twice = Twice()

    async def body(batcher: Batcher) -> None:
        first = await held(batcher, twice)
        waits = asyncio.create_task(batcher.submit(twice, [1, 2, 3], 20))
        await asyncio.sleep(0.01)
        with pytest.raises(Full) as error:
            await batcher.submit(twice, [4, 5], 20)
        assert error.value.seconds is not None
        assert error.value.seconds >= 1
        with pytest.raises(Full) as error:
            await batcher.submit(twice, [0] * 5, 20)
        assert error.value.seconds is None  # it will never fit
        twice.may_go.set()
        assert [await first, await waits] == [[0], [2, 4, 6]]
        assert await batcher.submit(twice, [1] * 4, 20) == [2] * 4  # there is room again

    with_batcher(body, queue=4)


def test_batcher_tells_whether_a_late_request_had_begun() -> None:
    twice = Twice()

    async def body(batcher: Batcher) -> list[bool]:
        twice.may_go.clear()
        late = []
        tasks = [asyncio.create_task(batcher.submit(twice, [n], 0.05)) for n in (1,)]
        await begun(twice)
        tasks.append(asyncio.create_task(batcher.submit(twice, [2], 0.05)))
        for task in tasks:
            with pytest.raises(TooLate) as error:
                await task
            late.append(error.value.begun)
        assert batcher.waiting == 0
        twice.may_go.set()
        return late

    assert with_batcher(body) == [True, False]
    assert twice.calls == [[1]]  # what was too late before it began is never computed


def test_batcher_drops_what_nobody_waits_for() -> None:
    twice = Twice()

    async def body(batcher: Batcher) -> None:
        first = await held(batcher, twice)
        gone = asyncio.create_task(batcher.submit(twice, [7], 20))
        stays = asyncio.create_task(batcher.submit(twice, [8], 20))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.sleep(0.01)
        twice.may_go.set()
        assert [await first, await stays] == [[0], [16]]

    with_batcher(body)
    assert twice.calls == [[0], [8]]


def test_batcher_gives_a_failure_to_its_item_alone() -> None:
    twice = Twice()

    async def body(batcher: Batcher) -> Any:
        first = await held(batcher, twice)
        tasks = [asyncio.create_task(batcher.submit(twice, [n], 20)) for n in (1, -1, 3)]
        await asyncio.sleep(0.01)
        twice.may_go.set()
        await first
        return [(await task)[0] for task in tasks]

    one, error, three = with_batcher(body)
    assert (one, three) == (2, 6)
    assert isinstance(error, ValueError)


class Slow(Twice):
    """Its items fill as many places as they are large, and it computes until nobody waits."""

    def __init__(self) -> None:
        super().__init__()
        self.stop: Stop | None = None

    def cost(self, item: int) -> float:
        return item

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.calls.append(list(items))
        while self.stop is not None:
            self.stop.check()
            time.sleep(0.001)
        return [2 * item for item in items]


def test_batcher_has_fewer_items_in_a_batch_if_they_take_longer() -> None:
    slow, twice = Slow(), Twice()

    async def body(batcher: Batcher) -> Any:
        first = await held(batcher, twice)
        tasks = [asyncio.create_task(batcher.submit(slow, items, 20)) for items in ([6, 6], [3, 40, 1])]
        await asyncio.sleep(0.01)
        twice.may_go.set()
        return [await task for task in (first, *tasks)]

    assert with_batcher(body, batch=10) == [[0], [12, 12], [6, 80, 2]]
    assert slow.calls == [[6, 3], [6], [40], [1]]


def test_batcher_stops_what_nobody_waits_for() -> None:
    slow = Slow()

    async def body(batcher: Batcher) -> Any:
        slow.stop = batcher.stop
        gone, late = (asyncio.create_task(batcher.submit(slow, [n], 0.2 * n)) for n in (1, 3))
        await asyncio.sleep(0.05)
        gone.cancel()
        with pytest.raises(TooLate):
            await late
        return await batcher.submit(Twice(), [5], 20)

    assert with_batcher(body) == [10]
    assert slow.calls == [[1, 3]]


def test_batcher_goes_on_as_long_as_one_of_a_batch_waits() -> None:
    slow, twice = Slow(), Twice()

    async def body(batcher: Batcher) -> Any:
        first = await held(batcher, twice)
        gone, stays = (asyncio.create_task(batcher.submit(slow, [n], 20)) for n in (1, 3))
        await asyncio.sleep(0)
        slow.stop = batcher.stop
        twice.may_go.set()
        await first
        await begun(slow)
        gone.cancel()
        await asyncio.sleep(0.05)
        slow.stop = None
        return await stays

    assert with_batcher(body) == [6]
    assert slow.calls == [[1, 3]]


def test_batcher_of_nothing_computes_nothing() -> None:
    twice = Twice()
    assert with_batcher(lambda batcher: batcher.submit(twice, [], 20)) == []
    assert not twice.calls


def test_batcher_lets_other_computations_take_turns_with_a_large_request() -> None:
    one, other = Twice(), Twice()

    async def body(batcher: Batcher) -> Any:
        first = await held(batcher, one)
        large = asyncio.create_task(batcher.submit(one, list(range(1, 31)), 20))
        await asyncio.sleep(0)
        small = asyncio.create_task(batcher.submit(other, [100], 20))
        await asyncio.sleep(0.01)
        one.may_go.set()
        await first
        assert await small == [200]
        assert len(one.calls) <= 3
        return await large

    assert with_batcher(body, batch=4) == [2 * n for n in range(1, 31)]


def test_batcher_serves_small_requests_behind_many_large_ones() -> None:
    twice = Twice()

    async def body(batcher: Batcher) -> Any:
        first = await held(batcher, twice)
        tasks = [asyncio.create_task(batcher.submit(twice, [n] * 12, 20)) for n in (1, 2, 3)]
        await asyncio.sleep(0)
        small = asyncio.create_task(batcher.submit(twice, [100], 20))
        await asyncio.sleep(0.01)
        twice.may_go.set()
        await first
        assert await small == [200]
        return [await task for task in tasks]

    assert with_batcher(body, batch=2 * SHARE) == [[2 * n] * 12 for n in (1, 2, 3)]
    assert twice.calls[2] == [3] * SHARE + [100] + [1] * (SHARE - 1)


def test_batcher_goes_on_after_a_wrong_number_of_results() -> None:
    async def body(batcher: Batcher) -> Any:
        (error,) = await batcher.submit(lambda items: [], [1], 20)
        return error, await batcher.submit(Twice(), [1], 20)

    error, result = with_batcher(body)
    assert (str(error), result) == ("0 results of 1 items", [2])
