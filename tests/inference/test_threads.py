"""Batches side by side: in order, errors in their turn, torch's threads given back."""

import threading
import time

import pytest
import torch

from seq2attn.inference.scheduling.threads import map_in_threads, thread_count

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_map_in_threads_gives_results_in_order() -> None:
    def slow(number: int) -> tuple[int, int]:
        time.sleep(0.02 if number == 0 else 0)
        return number, torch.get_num_threads()

    with map_in_threads(slow, range(7), CPU) as results:
        assert list(results) == [(number, 1) for number in range(7)]
    assert torch.get_num_threads() == 3


def test_threads_that_cannot_all_start_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have started do not wait for the others."""
    torch.set_num_threads(2)
    start, before = threading.Thread.start, set(threading.enumerate())

    def limited(thread: threading.Thread) -> None:
        if thread.name == "search_1":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    with pytest.raises(RuntimeError, match="can't start new thread"), map_in_threads(abs, range(7), CPU):
        pass
    assert set(threading.enumerate()) == before
    threads: list[int] = []
    later = threading.Thread(target=lambda: threads.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert threads == [2]


def test_map_in_threads_runs_as_many_calls_as_torch_has_threads() -> None:
    together = threading.Barrier(3, timeout=10)
    with map_in_threads(lambda _: together.wait(), range(3), CPU) as results:
        assert sorted(results) == [0, 1, 2]
    assert thread_count(CPU) == 3
    assert thread_count(torch.device("meta")) == 1


@pytest.mark.parametrize("batches", [range(1), range(4)])
def test_map_in_threads_raises_an_error_and_restores_threads(batches: range) -> None:
    def fail(number: int) -> None:
        raise ArithmeticError(f"batch {number}")

    with pytest.raises(ArithmeticError, match="batch 0"), map_in_threads(fail, batches, CPU) as results:
        list(results)
    assert torch.get_num_threads() == 3


def test_map_in_threads_may_be_nested() -> None:
    def inner(number: int) -> list[int]:
        with map_in_threads(lambda _: torch.get_num_threads(), [number], CPU) as results:
            return [*results, torch.get_num_threads()]

    with map_in_threads(inner, range(5), CPU) as results:
        assert list(results) == [[1, 1]] * 5
    assert torch.get_num_threads() == 3


def test_map_in_threads_restores_threads_of_concurrent_callers() -> None:
    inside, done, counted = threading.Event(), threading.Event(), []

    def count(_: object = None) -> int:
        counted.append(torch.get_num_threads())
        return counted[-1]

    def hold(_: int) -> int:
        inside.set()
        done.wait(10)
        return torch.get_num_threads()

    def first() -> None:
        with map_in_threads(hold, range(1), CPU) as results:
            assert list(results) == [1]
        count()

    holding = threading.Thread(target=first)
    before = _count_of_a_new_thread()
    holding.start()
    assert inside.wait(10)
    assert _count_of_a_new_thread() == before  # while another is at work
    with map_in_threads(count, range(2), CPU) as results:
        assert list(results) == [1, 1]
    done.set()
    holding.join()
    assert counted[-1] == before
    assert (_count_of_a_new_thread(), torch.get_num_threads()) == (before, 3)


def _count_of_a_new_thread() -> int:
    results: list[int] = []
    thread = threading.Thread(target=lambda: results.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return results[0]
