"""Whatever asks the program to end is heard: what was trained is saved, and what is ignored stays so."""

import fcntl
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from test_train import ROOT, SMALL, Run, home, run, same_tensors, start, state, train

from seq2attn.cli import app, signals

__all__ = ["home", "run"]  # fixtures
LONG = ("--max-steps", "1000000", "--set", "train.validate_every=1000000")
QUICK = (signal.SIGINT, signal.SIGTERM)  # the others end in the same way
names = pytest.mark.parametrize(
    "number",
    [
        pytest.param(number, id=number.name, marks=() if number in QUICK else pytest.mark.slow)
        for number in signals.ENDING
    ],
)


def until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> None:
    deadline = time.monotonic() + 100
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def trains(folder: Path, lines: int = 2) -> Callable[[], bool]:
    metrics = folder / "run" / "metrics.jsonl"
    return lambda: metrics.exists() and metrics.read_text().count("\n") >= lines


def test_signals_ending_lists_every_signal_that_asks_to_end() -> None:
    assert {number.name for number in signals.ENDING} == {
        "SIGINT",
        "SIGTERM",
        "SIGHUP",
        "SIGUSR1",
        "SIGUSR2",
        "SIGXCPU",
    }


@pytest.mark.slow  # the same with SIGTERM, in test_train.py, is tested always
@pytest.mark.parametrize(
    "number", [pytest.param(number, id=number.name) for number in signals.ENDING if number != signal.SIGTERM]
)
def test_train_saves_on_a_signal_and_resumes_to_the_same_weights(
    run: Run, home: Path, tmp_path: Path, number: signal.Signals
) -> None:
    process = start(home, tmp_path, *LONG)
    until(trains(tmp_path), process)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), err
    assert err.splitlines()[-1].startswith("stopped at step ")
    step = state(tmp_path / "run")["step"]
    assert isinstance(step, int)
    if number == signal.SIGHUP:
        common = (
            "--data",
            str(home / "corpus"),
            *SMALL,
            "--set",
            "train.schedule=constant",
            *LONG[2:],
            "--max-steps",
            str(step + 3),
        )
        assert run(*common, "--out", "run", "--resume")[0] == 0
        assert run(*common, "--out", "whole")[0] == 0
        assert same_tensors(Path("run"), Path("whole"))


@names
def test_train_handles_a_signal_during_validation(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    from seq2attn.evaluation import translation

    real = translation.translate

    def interrupted(*arguments, **keywords):  # type: ignore[no-untyped-def]
        os.kill(os.getpid(), number)
        return real(*arguments, **keywords)

    monkeypatch.setattr("seq2attn.tasks.translation_data.translate", interrupted)
    code, out, err = train(run, home, "--max-steps", "20")
    assert (code, out) == (130, "")
    message = "stopped at step 10: --resume continues from here; "
    assert err.splitlines()[-1] == f"{message}it cannot translate before its first validation (step 20)"
    assert (state("run")["step"], state("run")["validated"]) == (10, 0)


@names
@pytest.mark.parametrize("place", ["prepare", "test"])
def test_train_handles_a_signal_before_and_after_training(
    run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, place: str
) -> None:
    target = "training.prepared_folder" if place == "prepare" else "translation_data.TranslationData.test"

    def strike(*_: object) -> None:
        os.kill(os.getpid(), number)
        raise AssertionError("went on")

    monkeypatch.setattr(f"seq2attn.tasks.{target}", strike)
    code, out, err = train(run, home, "--max-steps", "1")
    assert (code, out, err.splitlines()[-1]) == (130, "", "seq2attn: interrupted")
    assert Path("run").exists() == (place == "test")  # nothing is made of what has not begun
    if place == "test":
        assert state("run")["step"] == 1


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM], ids=lambda number: number.name)
def test_other_commands_exit_with_130_on_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    text = (
        "import os, signal\nfrom seq2attn.cli.app import app, main\n"
        "app.registered_commands.clear()\n@app.command()\ndef go():\n"
        f" try:\n  os.kill(os.getpid(), {int(number)})\n finally:\n  print('tidied', flush=True)\nmain()\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", text, "go"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=100,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "tidied\n", "seq2attn: interrupted\n")


@names
def test_handled_leaves_ignored_signals_ignored(number: signal.Signals) -> None:
    """As the shell hands them on: HUP under nohup, INT to what runs in the background."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with signals.handled(lambda _: pytest.fail("heard"), lambda handler: True):
            os.kill(os.getpid(), number)
            assert signal.getsignal(number) == signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_handled_in_a_forked_process_reacts_to_sigterm_alone() -> None:
    with signals.handled(lambda _: None, lambda handler: True):
        for number in signals.ENDING:
            with warnings.catch_warnings(action="ignore"):  # of threads, which the child does not need
                child = os.fork()
            if not child:
                os.kill(os.getpid(), number)
                os._exit(7)
            _, status = os.waitpid(child, 0)
            assert os.waitstatus_to_exitcode(status) == (128 + number if number == signal.SIGTERM else 7)


def test_main_ignores_the_limit_of_processor_time_at_its_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system repeats the signal every second, also after a training has saved."""
    before = signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    monkeypatch.setattr(app, "run", lambda arguments: 130)
    monkeypatch.setattr(app.threading, "active_count", lambda: 1)
    try:
        with pytest.raises(SystemExit) as end:
            app.main()
        os.kill(os.getpid(), signal.SIGXCPU)
        assert end.value.code == 130
    finally:
        signal.signal(signal.SIGXCPU, before)


def test_stop_requests_count_repeated_processor_limits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of processor time is told every second until the end: that does not break off what is being
    saved.
    """
    now = [100.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])
    wishes = signals.StopRequests()
    assert wishes.heard(signal.SIGXCPU)
    for _ in range(5):
        now[0] += 1.5
        for number in signals.EARLY:
            assert not wishes.heard(number)
    assert (wishes.count, wishes.pressing) == (1, 0)
    assert wishes.heard(signal.SIGTERM)  # of the batch system at the very end: the first that presses
    assert wishes.pressing == 1
    now[0] += 1.5
    assert wishes.heard(signal.SIGINT)
    assert wishes.pressing == 2


@pytest.mark.slow
def test_train_saves_at_the_limit_of_processor_time(home: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "seq2attn",
        "train",
        "--data",
        str(home / "corpus"),
        "--out",
        "run",
        *SMALL,
        *LONG,
    ]
    place = os.environ | {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(home / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=tmp_path, env=place, text=True, **pipes) as process:
        until(trains(tmp_path), process)
        # A second was used long ago.
        resource.prlimit(process.pid, resource.RLIMIT_CPU, (1, resource.RLIM_INFINITY))
        out, err = process.communicate(timeout=100)
    assert (process.returncode, out) == (130, ""), err
    assert state(tmp_path / "run")["step"] != 0


@pytest.mark.slow
def test_train_saves_when_its_terminal_closes(home: Path, tmp_path: Path) -> None:
    """Its bar and its lines have nowhere to go then, and what was learned is saved all the same."""
    place = os.environ | {
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(home / "cache"),
        "OMP_NUM_THREADS": "1",
        "TERM": "xterm",
    }
    command = ["seq2attn", "train", "--data", str(home / "corpus"), "--out", "run", *SMALL, *LONG]
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=tmp_path,
        env=place,
        stdin=inside,
        stdout=inside,
        stderr=inside,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - one call of the system
    )
    os.close(inside)
    deadline = time.monotonic() + 100
    while not trains(tmp_path)():
        assert time.monotonic() < deadline
        os.read(terminal, 65536)
    os.close(terminal)
    assert process.wait(timeout=100) == 130
    assert state(tmp_path / "run")["step"] != 0


def test_warn_ignores_errors_of_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    from seq2attn.cli import console

    class Full:
        def write(self, text: str) -> int:
            raise OSError(28, os.strerror(28))

        flush = write

    monkeypatch.setattr(sys, "stderr", Full())
    console.warn("x")
    monkeypatch.undo()


def test_help_says_which_signals_save(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.run(["train", "--help"]) == 0
    message = " ".join(capsys.readouterr().out.split())
    assert all(number.name.removeprefix("SIG") in message for number in signals.ENDING)
