"""What is printed beside results: on stderr only, plain without a terminal, a bar with one, silent with --quiet."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seq2attn.cli import console

ROOT = Path(__file__).parents[2]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "quiet", True)


def captured(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    out, err = capsys.readouterr()
    return out, err


def test_streams(capsys: pytest.CaptureFixture[str]) -> None:
    console.note("a note\nin [bold]two[/bold] lines \x1b[2J")
    console.warn("line 7:\n invalid")
    console.result("a result \x1b")
    assert captured(capsys) == ("a result \x1b\n", "a note\nin [bold]two[/bold] lines \\x1b[2J\nwarning: line 7: invalid\n")


@pytest.mark.usefixtures("quiet")
def test_quiet_leaves_warnings_errors_and_results(capsys: pytest.CaptureFixture[str]) -> None:
    console.note("a note")
    console.warn("a warning")
    console.error("an error")
    console.result("a result")
    with console.progress(interval=0) as progress:
        progress("training", 1, 2)
    assert captured(capsys) == ("a result\n", "warning: a warning\nseq2attn: an error\n")


def test_plain_progress(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock: Iterator[float] = iter([0.0, 4.0, 10.0, 12.0, 40.0, 41.0, 41.0])
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    with console.progress(interval=10) as progress:
        progress("encoding", 0, 4000)
        progress("encoding", 400, 4000)
        progress("encoding", 1000, 4000)
        progress("encoding", 1200, 4000)
        progress("encoding", 4000, 4000, "12 dropped")
        progress("encoding", 4000, 4000, "12 dropped")
        progress("writing", 3)
    assert captured(capsys) == ("", "encoding 1,000/4,000  0:30 left\nencoding 4,000/4,000  12 dropped\n")


def test_plain_progress_of_unknown_length(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(interval=0) as progress:
        progress("reading", 10)
        progress("reading", 20, None, "2 [files]")
    assert captured(capsys) == ("", "reading 10\nreading 20  2 [files]\n")


def test_table_is_aligned_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    console.table(["run", "BLEU"], [["runs/[a]", 9.5], ["文文", "10.25"], [long, "-"]])
    out, err = captured(capsys)
    lines = out.splitlines()
    assert err == ""
    assert lines[1] == "runs/[a]" + " " * (300 - 8 + 2) + "  9.5"
    assert lines[2] == "文文" + " " * (300 - 4 + 2) + "10.25"  # two columns a character on screen
    assert lines[3] == long + "  " + "    -"


@pytest.mark.parametrize(("seconds", "shown"), [(0.4, "0:00"), (75, "1:15"), (3675, "1:01:15"), (59.6, "1:00")])
def test_duration(seconds: float, shown: str) -> None:
    assert console.duration(seconds) == shown


def test_a_terminal_gets_a_bar_and_stdout_only_results() -> None:
    body = """
import sys, time
from seq2attn.cli import console
with console.progress() as progress:
    progress("training [x]", 1, 4, "loss 2.50")
    console.note("a note above")
    console.result("a result")
    progress("training [x]", 4, 4, "loss 1.25")
    time.sleep(0.3)
print("rich" in sys.modules)
"""
    main, terminal = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "120"}
    done = subprocess.run([sys.executable, "-c", body], stdout=subprocess.PIPE, stderr=terminal, env=environment, timeout=60, check=False)
    os.close(terminal)
    screen = b""
    while chunk := read(main):
        screen += chunk
    os.close(main)
    assert (done.returncode, done.stdout) == (0, b"a result\nTrue\n")
    for fact in (b"training [x]", b"4/4", b"loss 1.25", b"a note above"):
        assert fact in screen


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""
