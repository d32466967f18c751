"""What is printed beside results: on stderr only, plain without a terminal, a bar with one, silent with
--quiet.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from seq2attn.cli import console
from seq2attn.notes import LOGGER, note, warn

ROOT = Path(__file__).parents[2]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "quiet", True)


def captured(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    out, err = capsys.readouterr()
    return out, err


def test_console_writes_results_to_stdout_and_the_rest_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    console.note("a note\nin [bold]two[/bold] lines \x1b[2J")
    console.warn("line 7:\n invalid")
    console.result("a result \x1b")
    assert captured(capsys) == (
        "a result \x1b\n",
        "a note\nin [bold]two[/bold] lines \\x1b[2J\nwarning: line 7: invalid\n",
    )


def test_notes_of_the_library_are_printed_with_flags(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "flags", ["--data"])
    with console.notes():
        note("`data` is old")
        warn("`data` and `other`")
        monkeypatch.setattr(console, "quiet", True)
        note("left out")
    assert capsys.readouterr() == ("", "--data is old\nwarning: --data and `other`\n")
    assert not LOGGER.handlers


@pytest.mark.usefixtures("quiet")
def test_quiet_keeps_warnings_errors_and_results(capsys: pytest.CaptureFixture[str]) -> None:
    console.note("a note")
    console.warn("a warning")
    console.error("an error")
    console.result("a result")
    with console.progress(interval=0) as progress:
        progress("training", 1, 2)
    assert captured(capsys) == ("a result\n", "warning: a warning\nseq2attn: an error\n")


class Time:
    """A clock that moves when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(console.time, "monotonic", lambda: self.now)


def test_plain_progress_prints_share_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch)
    with console.progress(interval=10) as progress:
        for seconds, done, facts in (
            (0, 0, ""),
            (4, 400, ""),
            (10, 1000, ""),
            (12, 1200, ""),
            (40, 4000, "12 dropped"),
            (41, 4000, "12 dropped"),
        ):
            clock.now = 1000.0 + seconds
            progress("encoding", done, 4000, facts)
        progress("writing", 3)
        progress("training the tokenizer", 0)
    lines = [
        "encoding 0/4,000",
        "encoding 1,000/4,000  0:30 left",
        "encoding 4,000/4,000  12 dropped",
        "training the tokenizer",
    ]
    assert captured(capsys) == ("", "".join(f"{line}\n" for line in lines))


def test_plain_progress_of_unknown_length_prints_counts(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(interval=0) as progress:
        progress("reading", 10)
        progress("reading", 20, None, "2 [files]")
    assert captured(capsys) == ("", "reading 10\nreading 20  2 [files]\n")


def test_plain_progress_prints_at_once_and_every_half_minute(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Time(monkeypatch)
    with console.progress() as progress:
        progress("translating test", 64, 2000)
        assert captured(capsys) == ("", "translating test 64/2,000\n")
        progress("translating", 1)  # a stream that may end with this line
        assert captured(capsys) == ("", "")
        silent = clock.now
        for done in range(65, 1000):
            clock.now += 1
            progress("translating", done)
            if captured(capsys)[1]:
                assert clock.now - silent <= 30
                silent = clock.now


def test_plain_progress_under_a_time_limit_prints_the_limit(capsys: pytest.CaptureFixture[str]) -> None:
    with console.progress(interval=0) as progress:
        progress("training", 200, 346, "loss 2.5", console.Clock(200, 100, 720))
        progress("training", 210, 278, "loss 2.4", console.Clock(210, 70, 720))
    assert captured(capsys) == (
        "",
        "training 200  loss 2.5  3:20 of 12:00\ntraining 210  loss 2.4  3:30 of 12:00\n",
    )


def test_table_is_aligned_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    console.table(["run", "BLEU"], [["runs/[a]", 9.5], ["文文", "10.25"], [long, "-"]])
    out, err = captured(capsys)
    lines = out.splitlines()
    assert err == ""
    assert lines[1] == "runs/[a]" + " " * (300 - 8 + 2) + "  9.5"
    assert lines[2] == "文文" + " " * (300 - 4 + 2) + "10.25"  # two columns a character on screen
    assert lines[3] == long + "  " + "    -"


def test_a_table_wider_than_the_terminal_is_printed_in_parts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    headers, rows = (
        ["run", "BLEU", "chrF", "note"],
        [["first", "9.5", "30.1", "文文"], ["b", "10.5", "-", "a"]],
    )
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    for width, widest in ((18, 17), (17, 17), (16, 11), (3, 11)):
        monkeypatch.setenv("COLUMNS", str(width))
        console.table(headers, rows)
        out, _ = captured(capsys)
        assert max(map(len, out.splitlines())) == widest
        parts = [part.splitlines() for part in out.split("\n\n")]
        assert len(parts) == {18: 2, 17: 2, 16: 3, 3: 3}[width]
        assert all(
            line.startswith(name)
            for part in parts
            for line, name in zip(part, ["run", "first", "b"], strict=True)
        )
        assert [word for part in parts for word in part[0].split() if word != "run"] == headers[1:]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (75, "1:15"), (3675, "1:01:15"), (59.6, "1:00")]
)
def test_duration_formats_seconds(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text


@pytest.mark.parametrize("columns", [40, 60, 80, 120])
def test_progress_shows_share_and_time_left_at_any_width(columns: int) -> None:
    body = """
from seq2attn.cli import console
with console.progress() as progress:
    facts = "loss 5.694  valid 5.945  BLEU 0.2  2,732 tokens/s  lr 0.00087"
    progress("training", 1200, 20000, facts, console.Clock(72, 1128))
"""
    code, out, screen = on_a_terminal(body, columns)
    assert (code, out) == (0, b"")
    for fact in ("1,200/20,000", "6%", "18:48 left"):
        assert fact in screen
    assert "…" not in screen
    assert (re.search(r"1:1\d gone", screen) is not None) == (columns > 40)
    assert ("loss" in screen, "lr" in screen) == (columns > 60, False)


def test_progress_gives_each_task_a_line_of_its_own() -> None:
    body = """
from seq2attn.cli import console
with console.progress() as progress:
    progress("reading", 10, 10)
    progress("encoding train", 5, 20)
"""
    _, _, screen = on_a_terminal(body, 80)
    assert re.search(r"reading 10/10  100%  0:00 gone\r?\nencoding train 5/20  25%", screen)


def test_progress_follows_changes_of_the_terminal_width() -> None:
    body = """
import fcntl, struct, termios
from seq2attn.cli import console
with console.progress() as progress:
    progress("training", 1200, 20000, "loss 5.694  valid 5.945", console.Clock(72, 1128))
    console.note("now")
    fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
"""
    _, _, screen = on_a_terminal(body, 80)
    wide, narrow = screen.split("now", 1)
    assert "loss 5.694" in wide
    assert "18:48 left" in narrow.rsplit("training", 1)[1]
    assert "loss" not in narrow.rsplit("training", 1)[1]


def test_progress_draws_its_bar_on_stderr_only() -> None:
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
    code, out, screen = on_a_terminal(body, 120)
    assert (code, out) == (0, b"a result\nTrue\n")
    for fact in ("training [x]", "4/4", "100%", "loss 1.25", "a note above"):
        assert fact in screen


def on_a_terminal(body: str, columns: int) -> tuple[int, bytes, str]:
    """Exit code, stdout, and all that came to the screen, of a program whose stderr is a terminal."""
    main, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {key: value for key, value in os.environ.items() if key not in ("COLUMNS", "LINES")} | {
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm",
    }
    program = [sys.executable, "-c", body]
    done = subprocess.run(
        program,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        env=environment,
        timeout=60,
        check=False,
    )
    os.close(terminal)
    screen = b""
    while chunk := read(main):
        screen += chunk
    os.close(main)
    return done.returncode, done.stdout, screen.decode()


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed
        return b""
