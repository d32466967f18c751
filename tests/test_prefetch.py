"""Prefetch: order, bound, errors in their turn, and a thread that ends."""

import gc
import random
import threading
import time
from collections.abc import Iterator
from itertools import count, islice

import pytest

from seq2attn.prefetch import Prefetch


def numbers(most: int, numbers_taken: list[int], end: BaseException | None = None) -> Iterator[int]:
    for number in range(most):
        numbers_taken.append(number)
        yield number
    if end is not None:
        raise end


def test_prefetch_gives_every_item_in_order() -> None:
    with Prefetch(range(1000), ahead=3) as ready:
        assert list(ready) == list(range(1000))
        assert list(ready) == []  # the end stays the end


def test_prefetch_of_nothing_is_empty() -> None:
    with Prefetch((), ahead=1) as ready:
        assert list(ready) == []


def test_prefetch_makes_no_more_items_than_its_bound() -> None:
    numbers_taken: list[int] = []
    with Prefetch(numbers(100, numbers_taken), ahead=4) as ready:
        next(ready)
        deadline = time.monotonic() + 10
        while len(numbers_taken) < 6 and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(0.05)
        assert len(numbers_taken) == 6  # one consumed, four in the queue, one in the thread's hands


@pytest.mark.parametrize("error", [ValueError("bad row"), KeyboardInterrupt(), SystemExit(3)])
def test_prefetch_raises_an_error_after_the_items_before_it(error: BaseException) -> None:
    with Prefetch(numbers(5, [], end=error), ahead=2) as ready:
        assert list(islice(ready, 5)) == [0, 1, 2, 3, 4]
        with pytest.raises(type(error)) as raised:
            next(ready)
        assert raised.value is error
        assert list(ready) == []


def test_prefetch_closes_the_generator_in_its_thread() -> None:
    closed_by: list[str] = []

    def forever() -> Iterator[int]:
        try:
            yield from count()
        finally:
            closed_by.append(threading.current_thread().name)

    with Prefetch(forever(), ahead=2, name="batches") as ready:
        next(ready)
    assert closed_by == ["batches"]
    assert list(ready) == []


def test_prefetch_ready_says_whether_next_would_wait() -> None:
    gate = threading.Event()

    def gated() -> Iterator[int]:
        yield 1
        gate.wait()
        yield 2

    with Prefetch(gated(), ahead=2) as ready:
        assert next(ready) == 1
        assert not ready.ready()
        gate.set()
        assert next(ready) == 2
        assert list(ready) == []
        assert ready.ready()


def test_prefetch_close_without_wait_returns_while_the_thread_waits_for_input() -> None:
    gate = threading.Event()

    def stuck() -> Iterator[int]:
        gate.wait()
        yield 1

    ready = Prefetch(stuck(), ahead=1)
    ready.close(wait=False)
    assert list(ready) == []
    gate.set()
    ready.close()


def test_prefetch_survives_many_consumers_that_stop_anywhere() -> None:
    draw = random.Random(1)
    before = threading.active_count()
    for _ in range(300):
        length, ahead, consumed = draw.randrange(30), draw.randrange(1, 6), draw.randrange(40)
        end = draw.choice([None, ValueError("torn")])
        with Prefetch(numbers(length, [], end), ahead) as ready:
            items = []
            try:
                items = list(islice(ready, consumed))
            except ValueError as error:
                assert error is end  # noqa: PT017 - only some of these raise
                assert consumed > length
                continue
            assert items == list(range(min(length, consumed)))
    gc.collect()
    assert threading.active_count() == before
