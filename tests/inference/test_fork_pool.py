"""Work in forked processes: in order, errors in their turn, and no process left behind, whatever ends the
work.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import tiny
import torch

from seq2attn.errors import UserError
from seq2attn.inference import predictor
from seq2attn.inference.scheduling import fork_pool
from seq2attn.inference.scheduling.fork_pool import CAN_FORK, ForkPool
from seq2attn.inference.translator import Translator

pytestmark = pytest.mark.skipif(not CAN_FORK, reason="no fork is used on this system")

Make = Callable[[Callable[[int], object]], "ForkPool[int, object]"]


@pytest.fixture
def two() -> Iterator[Make]:
    made = []

    def make(work: Callable[[int], object]) -> "ForkPool[int, object]":
        made.append(ForkPool(work, 2))
        return made[-1]

    yield make
    for processes in made:
        processes.close()


def ends(pid: int) -> bool:
    """Whether that process is no more, within ten seconds."""
    for _ in range(200):
        state = Path(f"/proc/{pid}/stat")
        try:
            if state.read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False


def test_fork_pool_gives_results_in_order(two: Make) -> None:
    def slow(number: int) -> tuple[int, int]:
        time.sleep(0.1 if number == 0 else 0)
        return number, torch.get_num_threads()

    threads = torch.get_num_threads()
    processes = two(slow)
    for count in (7, 1, 0, 2):  # the same two serve again
        with processes.map(range(count)) as results:
            assert list(results) == [(number, 1) for number in range(count)]
    assert torch.get_num_threads() == threads


def test_fork_pool_uses_both_processes(two: Make) -> None:
    processes = two(lambda _: time.sleep(0.05) or os.getpid())
    assert not processes.running
    with processes.map(range(6)) as results:
        pids = set(results)
    assert processes.running
    assert len(pids) == 2
    assert os.getpid() not in pids
    del processes


def test_fork_pool_raises_an_error_in_its_turn_and_goes_on(two: Make) -> None:
    def fail(number: int) -> int:
        if number == 3:
            raise ArithmeticError(f"job {number}")
        return os.getpid()

    processes = two(fail)
    before: list[object] = []
    with pytest.raises(ArithmeticError, match="job 3") as caught, processes.map(range(9)) as results:
        before.extend(results)
    assert len(before) == 3
    assert "in fail" in caught.value.__notes__[0]  # where it was raised
    assert all(ends(int(str(pid))) for pid in before)
    with processes.map(range(3)) as results:
        assert len(list(results)) == 3


def test_fork_pool_names_a_killed_process_without_waiting(two: Make) -> None:
    processes = two(lambda number: os.kill(os.getpid(), signal.SIGKILL) if number == 1 else number)
    with pytest.raises(UserError, match="`batch_tokens`"), processes.map(range(4)) as results:
        list(results)
    assert not processes.running


def test_fork_pool_replaces_a_process_that_does_not_compute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stuck_once() -> None:
        try:
            (tmp_path / "stuck").touch(exist_ok=False)
        except FileExistsError:
            return
        time.sleep(5)

    monkeypatch.setattr(fork_pool, "READY", 0.5)
    monkeypatch.setattr(fork_pool, "_compute", stuck_once)
    processes: ForkPool[int, int] = ForkPool(lambda number: number, 2)
    for _ in range(2):
        with processes.map(range(4)) as results:
            assert list(results) == [0, 1, 2, 3]
    processes.close()
    monkeypatch.setattr(fork_pool, "_compute", lambda: time.sleep(5))
    with pytest.raises(UserError, match="`processes`"), processes.map(range(4)):
        pass
    assert not processes.running


def test_fork_pool_leaves_ctrl_c_to_the_caller(two: Make) -> None:
    processes = two(lambda number: os.kill(os.getpid(), signal.SIGINT) or number)
    with processes.map(range(4)) as results:
        assert list(results) == [0, 1, 2, 3]


def test_fork_pool_ends_with_its_owner() -> None:
    class Owner:
        def __init__(self) -> None:
            self.processes = ForkPool(self.work, 2)

        def work(self, number: int) -> int:
            return os.getpid()

    owner = Owner()
    with owner.processes.map(range(8)) as results:
        pids = set(results)
    del owner  # at once: nothing waits for the garbage collector
    assert all(ends(pid) for pid in pids)


PARENT = """
import os, sys, time
from seq2attn.inference.scheduling.fork_pool import ForkPool
def work(number):
    os.write(1, f'{os.getpid()}\\n'.encode())
    time.sleep(0.5)
with ForkPool(work, 2).map(range(100)) as found:
    list(found)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "end",
    [signal.SIGKILL, *(pytest.param(end, marks=pytest.mark.slow) for end in (signal.SIGINT, signal.SIGTERM))],
)
def test_fork_pool_ends_with_the_program(end: signal.Signals) -> None:
    # Whoever runs the tests in the background has Ctrl-C ignored, which children would inherit.
    code = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler){PARENT}"
    program = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert program.stdout is not None
    pids = {int(program.stdout.readline()) for _ in range(4)}
    assert len(pids) == 2
    if end == signal.SIGINT:
        os.killpg(program.pid, end)  # as a terminal does
    else:
        program.send_signal(end)
    _, err = program.communicate(timeout=30)
    assert program.returncode == (1 if end == signal.SIGINT else -end) or (
        end == signal.SIGINT and program.returncode == -end
    )
    assert err.count("Traceback") <= 1  # of the children none
    assert all(ends(pid) for pid in pids)


def test_translator_with_processes_equals_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictor, "MIN_FORK_WORK", 0)
    torch.set_num_threads(2)  # the threads of a search have one each, as in the program
    one = tiny.translator()
    other = Translator(*one.members[0], one.target_tokenizer, one.config, processes=True)
    texts = ["the small dog sleeps .", "", "rain"] * 60
    for options in (
        {"beam": 3, "n_best": 2},
        {"sample": True},
        {"beam": 1, "prefixes": ["der"] * len(texts)},
    ):
        expected = one.translate(texts, batch_tokens=200, **options)  # type: ignore[arg-type]
        assert other.translate(texts, batch_tokens=200, **options) == expected  # type: ignore[arg-type]
        assert other._processes is not None
        assert other._processes.running
    other.close()
    assert not other._processes.running
