"""The entry point: whatever ends a command becomes an exit code and at most one line on stderr."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from seq2attn import __main__, __version__
from seq2attn.cli import app as application
from seq2attn.cli import flags
from seq2attn.errors import UsageError, UserError

ROOT = Path(__file__).parents[2]
COMMANDS = ("prepare", "train", "translate", "evaluate", "plot-alignment")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `seq2attn fail` in this process, where `fail` is a command that does what it is told."""

    def call(does: Callable[[], object], *arguments: str) -> tuple[int, str, str]:
        def fail(
            words: list[str] | None = typer.Argument(None),  # noqa: B008
            debug: flags.Debug = False,
            quiet: flags.Quiet = False,
        ) -> None:
            does()

        monkeypatch.setattr(application.app, "registered_commands", [])
        application.app.command("fail")(fail)
        group = typer.main.get_command(application.app)
        monkeypatch.setattr(application, "_group", lambda: group)
        code = application.run(["fail", *arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def raising(error: BaseException) -> Callable[[], object]:
    def does() -> object:
        raise error

    return does


def script(body: str, *arguments: str, **keywords: object) -> subprocess.Popen[bytes]:
    """A fresh interpreter whose only command, `go`, runs `body`."""
    text = (
        "import os, sys, time, signal\nfrom seq2attn.cli.app import app, main\n"
        f"app.registered_commands.clear()\n@app.command()\ndef go():\n{body}\nmain()\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"} | {
        "PYTHONPATH": str(ROOT)
    }
    return subprocess.Popen(
        [sys.executable, "-c", text, "go", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        **keywords,
    )  # type: ignore[call-overload,no-any-return]


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "seq2attn", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )


def test_run_returns_0_and_keeps_stdout(run: Run) -> None:
    assert run(lambda: print("a result")) == (0, "a result\n", "")


@pytest.mark.parametrize(
    ("error", "code"),
    [(UserError("data/x.tsv, line 7: empty"), 1), (UsageError("train.lr: not a number"), 2)],
)
def test_run_prints_only_the_message_of_a_user_error(run: Run, error: UserError, code: int) -> None:
    assert run(raising(error)) == (code, "", f"seq2attn: {error}\n")


def test_run_prints_an_error_on_one_line(run: Run) -> None:
    code, _, err = run(raising(UserError("no file \x1b[31mred\x1b[0m\r\nand\u2028more \udcff 文")))
    assert code == 1
    assert err == "seq2attn: no file \\x1b[31mred\\x1b[0m and more \\udcff 文\n"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "corpus.tsv"),
            "corpus.tsv: No such file or directory",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/x/model.safetensors"),
            "runs/x/model.safetensors: No space left on device (make room",
        ),
        (OSError(errno.EROFS, "Read-only file system", "out"), "out: Read-only file system (write elsewhere"),
        (
            PermissionError(errno.EACCES, "Permission denied", "out"),
            "out: Permission denied (change its permissions",
        ),
        (
            OSError(errno.EXDEV, "Invalid cross-device link", "a", None, "b"),
            "a: b: Invalid cross-device link",
        ),
        (OSError(errno.EIO, "Input/output error"), "seq2attn: Input/output error"),
        (MemoryError(), "out of memory: "),
        (
            RuntimeError("can't start new thread"),
            "no more threads may start here: raise the limit (`ulimit -u`",
        ),
        (RuntimeError("Resource temporarily unavailable"), "or set OMP_NUM_THREADS=1"),
        (
            RuntimeError(
                "[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried "
                "to allocate"
            ),
            "out of memory: ",
        ),
    ],
)
def test_run_prints_one_line_for_errors_of_the_system(run: Run, error: Exception, message: str) -> None:
    code, out, err = run(raising(error))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert message in err
    assert "internal" not in err


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        AssertionError(),
        OSError("no number"),
        RuntimeError("two\nlines"),
        RecursionError("deep"),
    ],
)
def test_run_reports_a_defect_without_a_traceback(run: Run, error: Exception) -> None:
    code, out, err = run(raising(error))
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"seq2attn: internal error: {type(error).__name__}")
    assert "--debug" in err


@pytest.mark.parametrize("error", [KeyError("x"), UserError("no such file"), KeyboardInterrupt()])
def test_run_prints_the_traceback_with_debug(run: Run, error: BaseException) -> None:
    assert "Traceback" in run(raising(error), "--debug")[2]
    assert "Traceback" not in run(raising(error))[2]
    assert "Traceback" not in run(raising(error), "--", "--debug")[2]


def test_run_exits_with_130_on_an_interrupt(run: Run) -> None:
    assert run(raising(KeyboardInterrupt())) == (130, "", "seq2attn: interrupted\n")


def test_main_reports_an_interrupt_during_imports(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(application, "main", raising(KeyboardInterrupt()))
    with pytest.raises(SystemExit) as end:
        __main__.main()
    assert (end.value.code, *capsys.readouterr()) == (130, "", "seq2attn: interrupted\n")


def test_run_recognises_an_interrupt_behind_an_import_error(run: Run) -> None:
    def does() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)
        except KeyboardInterrupt:
            raise ImportError("numpy failed to import") from None

    assert run(does) == (130, "", "seq2attn: interrupted\n")


def test_run_restores_signal_handlers(run: Run) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    during = []
    run(lambda: during.append((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert during != [before]


def test_run_returns_the_exit_code_of_a_command(run: Run) -> None:
    assert run(raising(typer.Exit(1)))[0] == 1
    assert run(raising(SystemExit(3)))[0] == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_main_exits_with_130_on_signals(number: signal.Signals) -> None:
    process = script("    print('ready', flush=True)\n    time.sleep(60)")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, b"", b"seq2attn: interrupted\n")


def test_main_ignores_a_repeated_signal_while_it_cleans_up() -> None:
    body = """
    try:
        print('ready', flush=True)
        time.sleep(60)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        print('saved')"""
    process = script(body)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, b"saved\n", b"seq2attn: interrupted\n")


def test_device_refuses_unknown_names_before_torch_is_imported() -> None:
    commands = (
        ["train"],
        ["translate", "run"],
        ["evaluate", "run"],
        ["plot-alignment", "run", "--source", "a"],
    )
    code = (
        "import sys\nfrom seq2attn.cli import app\n"
        f"print([app.run([*words, '--device', 'tpu']) for words in {commands!r}], 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert done.stdout == "[2, 2, 2, 2] False\n"
    assert done.stderr == "seq2attn: --device tpu: choose auto, cpu, cuda or cuda:N\n" * 4


def test_worker_processes_leave_an_interrupt_to_their_parent() -> None:
    body = """
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGINT)  # as a terminal sends it to every process of the group
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    child = os.fork()
    if child == 0:
        os.kill(os.getpid(), signal.SIGTERM)
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"""
    assert script(body).communicate(timeout=20) == (b"7\n143\n", b"")


def test_main_ends_quietly_on_a_closed_pipe() -> None:
    process = script("    while True:\n        print('line' * 1000)")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(20) == 0


def test_main_ends_quietly_on_a_pipe_closed_before_the_last_flush() -> None:
    process = script(
        "    sys.stdin.readline()\n    print('one line, still in the buffer')", stdin=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stdin is not None
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(20) == 0


def test_run_reports_a_broken_pipe_other_than_stdout(run: Run) -> None:
    code, _, err = run(raising(BrokenPipeError(errno.EPIPE, "Broken pipe")))
    assert (code, err) == (1, "seq2attn: Broken pipe\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_main_reports_a_full_disk_behind_stdout_on_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "seq2attn", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            timeout=60,
            check=False,
            env={key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"},
        )
    assert done.returncode == 1
    assert done.stderr.decode().startswith("seq2attn: standard output: No space left on device")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_main_names_stdout_when_unbuffered_results_fill_the_disk() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-um", "seq2attn", "--version"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (
        1,
        "seq2attn: standard output: No space left on device (make room, or write elsewhere)\n",
    )


def test_main_writes_utf8_in_any_locale() -> None:
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            (
                "import sys\nfrom seq2attn.cli import app\napp.app.command('go')(lambda: print('文 "
                "é'))\nsys.argv = ['x', 'go']\napp.main()"
            ),
        ],
        capture_output=True,
        cwd=ROOT,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "latin-1"},
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "文 é\n".encode(), b"")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("trian",), ["'trian'", "'train'", "`seq2attn --help`"]),
        (("--no-such",), ["--no-such", "`seq2attn --help`"]),
        (("train", "--max-step", "3"), ["--max-step", "--max-steps", "`seq2attn train --help`"]),
        (("train", "--max-steps"), ["--max-steps", "`seq2attn train --help`"]),
        (
            ("train", "--max-steps", "many"),
            ["--max-steps", "it should be a whole number; see", "`seq2attn train --help`"],
        ),
        (
            ("train", "--max-minutes", "many"),
            ["--max-minutes", "it should be a number; see", "`seq2attn train --help`"],
        ),
        (("train", "--max-minutes", "0"), ["--max-minutes 0: give more than 0 minutes"]),
        (("train", "no.toml"), ["no.toml: no such file; `seq2attn train PRESET --show` writes one"]),
        (("help",), ["no such command 'help'; `seq2attn --help` lists the commands\n"]),
        (("explore",), ["Did you mean 'serve'?"]),
        (
            ("train", "--precision", "fp8"),
            ["--precision", "'fp8' is not one of 'auto', 'fp32'", "`seq2attn train --help`"],
        ),
        (("train", "luong15", "cho14", "extra"), ["cho14 extra", "`seq2attn train --help`"]),
        (("translate",), ["RUN", "`seq2attn translate --help`"]),
    ],
)
def test_run_reports_usage_errors_on_one_line_with_a_hint(
    arguments: tuple[str, ...], named: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    code = application.run([*arguments])
    out, err = capsys.readouterr()
    assert (code, out, err.count("\n")) == (2, "", 1), err
    for name in named:
        assert name in err


def test_main_prints_version_and_help() -> None:
    assert cli("--version").stdout == f"seq2attn {__version__}\n"
    done = cli("--help")
    assert (done.returncode, done.stderr) == (0, "")
    positions = [done.stdout.index(f"\n  {name} ") for name in COMMANDS]
    assert positions == sorted(positions)
    assert cli().stdout == done.stdout == cli("-h").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_help_describes_every_option(name: str) -> None:
    command = typer.main.get_command(application.app).commands[name]  # type: ignore[attr-defined]
    assert command.help
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    # the three of experiments, --confidence, the four of text as it comes, and --compare
    assert len(options) <= 28 + {"translate": 8, "plot-alignment": 2, "caption": 1}.get(name, 0)
    assert not [option.name for option in options if not option.help]
    assert {"--debug", "--quiet"} <= {written for option in options for written in option.opts}
    help_ = cli(name, "--help").stdout
    assert "range>" not in help_  # a value is called by its unit
    assert "[[" not in help_
