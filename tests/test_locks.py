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


def test_lock_names_its_holder_and_ends_with_a_kill(tmp_path: Path) -> None:
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


def test_lock_is_not_held_by_a_forked_child(tmp_path: Path) -> None:
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


def test_lock_with_wait_takes_turns(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as first:
        first.send_signal(signal.SIGSTOP)
        with pytest.raises(Held), lock(path):
            pass
        first.send_signal(signal.SIGKILL)
        with lock(path, wait=True):
            assert path.read_text().startswith(f"process {os.getpid()} ")


def test_lock_does_not_follow_a_link(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"), lock(tmp_path / "lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()
