"""One process holds a lock; it ends with that process, whatever ends it; children of it do not hold it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seq2attn.locks import Held, lock

HOLD = """
import sys, pathlib, time
from seq2attn.locks import lock
with lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holder(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_has_it_and_a_kill_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as first:
        try:
            with pytest.raises(Held, match=f"process {first.pid} on "), lock(path):
                pass
        finally:
            first.send_signal(signal.SIGKILL)
    with lock(path):
        assert path.exists()
    assert not path.exists()


def test_a_forked_child_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock(path):
        child = os.fork()
        if not child:
            time.sleep(30)
            os._exit(0)
    try:
        with lock(path):
            pass
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_waiting_takes_turns(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as first:
        first.send_signal(signal.SIGSTOP)
        with pytest.raises(Held), lock(path):
            pass
        first.send_signal(signal.SIGKILL)
        with lock(path, wait=True):
            assert path.read_text().startswith(f"process {os.getpid()} ")


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"), lock(tmp_path / "lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()
