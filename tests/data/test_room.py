"""Threads share room in memory: no more than there is, but for one alone; a process that forks begins anew."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

from seq2attn.data.room import Room


def test_the_sum_is_bounded_and_who_needs_more_is_alone() -> None:
    room, lock = Room(10), threading.Lock()
    held: list[int] = []
    wrong: list[list[int]] = []

    def work(size: int) -> None:
        for _ in range(50):
            with room.of(size):
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


def test_room_is_given_back_when_work_fails() -> None:
    room = Room(1)
    for _ in range(3):
        try:
            with room.of(5):
                raise ValueError
        except ValueError:
            pass
    with room.of(1):
        pass


def test_a_forked_process_begins_with_all_the_room() -> None:
    room = Room(1)
    with room.of(1):
        if (child := os.fork()) == 0:
            with room.of(1):
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
