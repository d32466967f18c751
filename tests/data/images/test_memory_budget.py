"""Threads share a budget of memory: never more than its total, but for one thread alone."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from seq2attn.data.images.memory_budget import MemoryBudget


def test_memory_budget_bounds_the_sum() -> None:
    budget, lock = MemoryBudget(10), threading.Lock()
    held: list[int] = []
    wrong: list[list[int]] = []

    def work(size: int) -> None:
        for _ in range(50):
            with budget.reserve(size):
                with lock:
                    held.append(size)
                    if sum(held) > 10 and len(held) > 1:
                        wrong.append(list(held))
                with lock:
                    held.remove(size)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, [1, 3, 5, 10, 11, 40, 2, 7]))
    assert not wrong
    assert not held


def test_memory_budget_is_released_on_errors() -> None:
    budget = MemoryBudget(1)
    for _ in range(3):
        try:
            with budget.reserve(5):
                raise ValueError
        except ValueError:
            pass
    with budget.reserve(1):
        pass


def test_memory_budget_is_whole_after_a_fork() -> None:
    budget = MemoryBudget(1)
    with budget.reserve(1):
        if (child := os.fork()) == 0:
            with budget.reserve(1):
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
