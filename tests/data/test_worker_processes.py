"""Work in several processes: each does its share, an exception reaches the caller, and no process is left."""

import multiprocessing
import os
import signal
import threading
from pathlib import Path

import pytest

from seq2attn.data.worker_processes import exit_without, run_in_processes
from seq2attn.errors import UserError


def test_run_in_processes_gives_each_its_share(tmp_path: Path) -> None:
    run_in_processes(lambda rank: (tmp_path / str(rank)).write_text(str(os.getpid())), 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2"]
    assert len({path.read_text() for path in tmp_path.iterdir()} - {str(os.getpid())}) == 3


class Unsendable(Exception):
    def __init__(self) -> None:
        super().__init__("with a lock")
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    "error", [UserError("no room"), OSError(28, "No space left on device"), Unsendable()]
)
def test_run_in_processes_raises_an_error_and_ends_the_others(error: Exception) -> None:
    def work(rank: int) -> None:
        if rank:
            raise error
        threading.Event().wait()

    with pytest.raises(
        RuntimeError if isinstance(error, Unsendable) else type(error), match=str(error.args[-1])
    ):
        run_in_processes(work, 2)
    assert not multiprocessing.active_children()


def test_run_in_processes_reports_a_killed_process() -> None:
    def work(rank: int) -> None:
        if rank:
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Event().wait()

    with pytest.raises(UserError, match="ended from outside"):
        run_in_processes(work, 2)
    assert not multiprocessing.active_children()


def test_exit_without_ends_a_process_only_without_its_caller() -> None:
    exit_without(os.getpid())
    exit_without(os.getppid())
    child = os.fork()
    if not child:
        exit_without(os.getpid() + 1_000_000)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
