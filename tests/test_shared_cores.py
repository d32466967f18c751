"""Threads beside other programs: when the second team starts and ends, and that it changes no result."""

import os
import threading
from collections.abc import Iterator

import pytest
import torch

from seq2attn import shared_cores
from seq2attn.shared_cores import SharedCores

pytestmark = pytest.mark.skipif(
    shared_cores.gnu_openmp() is None or not shared_cores.core_waits(),
    reason="needs Linux, and GNU's OpenMP in torch",
)


class Machine:
    """A clock, and the waits of one thread; both move by hand."""

    def __init__(self) -> None:
        self.now = self.waited = 0.0

    def work(self, cores: SharedCores, *, waiting: float, seconds: float = 2.5) -> None:
        self.now += seconds
        self.waited += waiting * seconds
        cores.look()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    machine = Machine()
    monkeypatch.setattr(shared_cores.time, "monotonic", lambda: machine.now)
    monkeypatch.setattr(shared_cores, "core_waits", lambda: {"1": machine.waited})
    return machine


def threads() -> int:
    return len(os.listdir("/proc/self/task"))


def test_second_team_lives_while_threads_wait_for_cores(machine: Machine) -> None:
    began: list[bool] = []
    cores = SharedCores(2, lambda: began.append(True))
    before = threads()
    machine.work(cores, waiting=0.05)
    machine.work(cores, waiting=0.1, seconds=20.0)
    assert not cores.shared
    assert not began
    machine.work(cores, waiting=0.5)
    assert cores.shared
    assert began == [True]
    # a team of one more than the cores, of which the first is started by Python
    assert threads() == before + len(os.sched_getaffinity(0)) + 1
    for waiting in (0.0, 0.0, 0.1, 0.0, 0.0):  # free only for a moment
        machine.work(cores, waiting=waiting)
        assert cores.shared
    machine.work(cores, waiting=0.0)
    assert not cores.shared
    machine.work(cores, waiting=0.5)  # shared again, which is said once
    assert cores.shared
    assert began == [True]
    cores.close()
    assert not cores.shared


def test_look_does_nothing_before_the_interval_is_over(machine: Machine) -> None:
    cores = SharedCores(2)
    machine.work(cores, waiting=1.0, seconds=1.5)
    assert not cores.shared
    machine.work(cores, waiting=1.0, seconds=1.0)
    assert cores.shared
    cores.close()


class Limit:
    """Only so many more threads may start."""

    def __init__(self, count: int, patch: pytest.MonkeyPatch) -> None:
        self.left, start = count, threading.Thread.start

        def limited(thread: threading.Thread) -> None:
            self.left -= 1
            if self.left < 0:
                raise RuntimeError("can't start new thread")
            start(thread)

        patch.setattr(threading.Thread, "start", limited)


def test_no_second_team_starts_where_a_limit_forbids_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenMP would end the process with a line of its own."""
    began: list[bool] = []
    cores, before = SharedCores(2, lambda: began.append(True)), threads()
    Limit(shared_cores.team_size() - 1, monkeypatch)
    for _ in range(2):
        machine.work(cores, waiting=0.5)
        assert not cores.shared
    assert not began
    assert threads() == before


def test_one_thread_needs_no_second_team(machine: Machine) -> None:
    cores = SharedCores(1)
    machine.work(cores, waiting=1.0)
    assert not cores.shared


def test_second_team_changes_no_bit_of_a_computation(machine: Machine) -> None:
    torch.set_num_threads(2)
    x, y = torch.randn(600, 300), torch.randn(300, 700)

    def result() -> torch.Tensor:
        return (x @ y).tanh().sum(0)

    before, cores = result(), SharedCores(2)
    machine.work(cores, waiting=1.0)
    assert cores.shared
    assert torch.get_num_threads() == 2
    assert result().equal(before)
    cores.close()
    assert result().equal(before)


def test_core_waits_are_seconds_of_the_threads_of_this_process() -> None:
    waits = shared_cores.core_waits()
    assert str(os.getpid()) in waits
    assert all(0 <= waited < 10 * 365 * 86400 for waited in waits.values())


def test_core_waits_are_empty_where_the_system_does_not_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: os.PathLike[str]
) -> None:
    monkeypatch.setattr(shared_cores, "TASKS", shared_cores.Path(tmp_path, "none"))
    assert shared_cores.core_waits() == {}
