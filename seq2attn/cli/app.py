"""The entry point: the list of commands, the exit codes, and the messages of errors.

Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted. If the reader of a pipe closes it, the program
ends quietly with 0. A failure is one line on stderr; --debug adds a traceback.
"""

import errno
import functools
import io
import os
import re
import select
import signal
import stat
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Annotated, Any, NoReturn, Self

import typer

from seq2attn import ranks
from seq2attn.cli import (
    align,
    audit,
    back_translate,
    calibrate,
    caption,
    console,
    evaluate,
    evaluate_options,
    export,
    failure,
    import_model,
    plot_alignment,
    plot_training,
    prepare,
    push,
    search_flags,
    serve,
    train,
    translate,
    unknown,
)
from seq2attn.cli.signals import StopRequests, handled
from seq2attn.errors import ProcessLost, UsageError, UserError, is_out_of_threads, with_flags
from seq2attn.own_code import raised_by_own_code
from seq2attn.version import __version__

INTERRUPTED = 130
# Commands that do not share their work with other processes of torchrun: each would do all of it.
ALONE = (
    *("prepare", "align", "evaluate", "audit", "calibrate", "plot-alignment", "plot-training", "export"),
    *("serve", "import", "push"),
)

app = typer.Typer(
    help="Train, run and explain sequence-to-sequence models with attention.",
    epilog="First try: `seq2attn train`. `seq2attn COMMAND --help` lists the options of a command. "
    "`seq2attn train --glossary` explains terms.",
    add_completion=False,
    rich_markup_mode=None,  # help is plain text: its brackets are not markup
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _version(value: bool) -> None:
    if value:
        console.result(f"seq2attn {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        console.result(context.get_help())


app.command("prepare", short_help="Prepare a corpus of text or captioned images for training.")(
    prepare.prepare
)
app.command("train", short_help="Train a model and score it on the test splits.")(train.train)
app.command("translate", short_help="Translate text, line by line.")(translate.translate)
app.command("back-translate", short_help="Make training pairs from text of one language.")(
    back_translate.back_translate
)
app.command("align", short_help="Align the words of given pairs.")(align.align)
app.command("caption", short_help="Describe images or clips.")(caption.caption)
app.command("evaluate", short_help="Score runs, or the output of any system.", cls=evaluate_options.Command)(
    evaluate.evaluate
)
app.command("audit", short_help="Find out which attention of a run can be trusted.")(audit.audit)
app.command("calibrate", short_help="Learn how sure a run may be of each word.")(calibrate.calibrate)
app.command("plot-alignment", short_help="Draw attention weights.")(plot_alignment.plot_alignment)
app.command("plot-training", short_help="Draw the curves of trainings.")(plot_training.plot_training)
app.command("serve", short_help="Serve runs: a page to explore them, and an API.")(serve.serve)
app.command("export", short_help="Export a trained Transformer to another engine.")(export.export)
app.command("import", short_help="Import a pretrained translator of Hugging Face.")(import_model.import_model)
app.command("push", short_help="Upload a run to the Hugging Face hub.")(push.push)


def main() -> NoReturn:
    """Run the command that `sys.argv` names, and exit."""
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8")  # independent of the locale
    code = run(sys.argv[1:])
    # The system repeats SIGXCPU every second. It must not kill a program that has saved and is about to exit.
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    # A daemon thread may still be inside a library's C++ code. A normal exit would abort it with an error.
    if threading.active_count() > 1:
        os._exit(code)
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run one command to its end, report what stopped it on stderr, and return the exit code."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    console.flags = _options().get(arguments[0] if arguments else "", [])
    with console.notes(), _Stop() as stop:
        try:
            code = _run(arguments)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BaseException as error:  # noqa: BLE001 (whatever ends a command is reported here)
            if "--debug" in options and not isinstance(error, SystemExit):
                traceback.print_exc()
            code, line = _ended_by(error, stop)
            if line is not None:
                failure.tell(line, code == INTERRUPTED, isinstance(error, ProcessLost))
    _close_stdout()
    return code


def _run(arguments: Sequence[str]) -> int:
    command = _group()
    if ranks.size() > 1 and arguments and arguments[0] in ALONE:
        problem = f"{arguments[0]} works in one process, and torchrun has started {ranks.size()}"
        raise UsageError(f"{problem}: start it without torchrun")
    try:
        with command.make_context("seq2attn", list(arguments), obj=arguments) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except typer.TyperException as error:
        raise _usage_error(error, arguments) from error
    return 0


def _options() -> dict[str, list[str]]:
    """The options of each command."""
    return {
        name: [option for param in command.params for option in (*param.opts, *param.secondary_opts)]
        for name, command in _group().commands.items()
    }


@functools.cache
def _group() -> Any:
    """All commands. Typer makes them anew at each call, from the annotations of each function."""
    return typer.main.get_command(app)


def _usage_error(error: typer.TyperException, arguments: Sequence[str]) -> UserError:
    """Typer's error about the arguments, with the way out."""
    options = _options()
    command = arguments[0] if arguments and arguments[0] in options else ""
    message = (
        error.format_message()
        .removesuffix(".")
        .replace("Value error, ", "")
        .replace("Input should be", "it should be")
    )
    message = re.sub(
        "a valid (integer|number), unable to parse string as an? (integer|number)",
        lambda match: "a whole number" if match[1] == "integer" else "a number",
        message,
    )
    hint: str | None
    if arguments and not command and message.startswith("No such command"):
        hint = unknown.command(arguments[0], list(options))
        link = ". " if hint.startswith("Did") else "; "
        message = f"No such command {console.printable(arguments[0])!r}{link}{hint}"
    elif hasattr(error, "possibilities"):  # an unknown option
        option = str(error.option_name)  # type: ignore[attr-defined]
        hint = unknown.option(option, _value_of(option, arguments), command, options)
        message = f"No such option: {option}" + (f"; {hint}" if hint else "")
    elif command and (match := re.match(r"Missing argument '(\w+)", message)):
        message += f"; {hint}" if (hint := unknown.missing(match[1], command)) else ""
    elif command and (match := re.match(r"Got unexpected extra argument\(s\) \((.+)\)", message)):
        message += f"; {hint}" if (hint := unknown.extra(match[1], command)) else ""
    help_ = " ".join(filter(None, ["seq2attn", command, "--help"]))
    see = f" See `{help_}`" if message.endswith("?") else f"; see `{help_}`"
    see = "" if f"`{help_}`" in message else see
    return (UsageError if error.exit_code == 2 else UserError)(f"{message[:1].lower()}{message[1:]}{see}")


def _value_of(option: str, arguments: Sequence[str]) -> str | None:
    """The value that the user typed for an option; None if there is none."""
    for argument, after in zip(arguments, [*arguments[1:], ""], strict=True):
        if argument.startswith(f"{option}="):
            return argument.partition("=")[2]
        if argument == option and after and not after.startswith("-"):
            return after
    return None


class _Stop:
    """Raises KeyboardInterrupt at each request to stop, such as Ctrl-C or a closed terminal."""

    def __init__(self) -> None:
        self._requests = StopRequests()
        self._stack = ExitStack()

    @property
    def requested(self) -> bool:
        return self._requests.count > 0

    def __enter__(self) -> Self:
        own = (signal.default_int_handler, signal.SIG_DFL)
        self._stack.enter_context(handled(self._handle, lambda handler: handler in own))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _handle(self, number: int) -> None:
        if self._requests.heard(number):
            raise KeyboardInterrupt


def _ended_by(error: BaseException, stop: _Stop) -> tuple[int, str | None]:
    """The exit code, and the line that tells the user of `error`; None if nobody needs one."""
    own = raised_by_own_code(error)
    if isinstance(error, SystemExit) and not own:
        return error.code if isinstance(error.code, int) else 1 if error.code else 0, None
    if isinstance(error, BrokenPipeError) and _reader_is_gone():
        return 0, None
    # An interrupt during the import of a C extension may appear as any error.
    if isinstance(error, KeyboardInterrupt) or stop.requested:
        return INTERRUPTED, "interrupted"
    if isinstance(error, UserError):
        return error.exit_code, with_flags(str(error), console.flags, error.setting, search_flags.NAMES)
    if isinstance(error, OSError) and error.errno is not None:
        return 1, _system(error)
    if _is_out_of_memory(error):
        return 1, (
            "out of memory: make batches smaller (--batch-tokens, or --set train.batch_tokens=N) "
            "or the model (--set model.*)"
        )
    if is_out_of_threads(error):
        return 1, (
            "no more threads may start here: raise the limit (`ulimit -u`, or that of the container), "
            "or set OMP_NUM_THREADS=1"
        )
    if own:
        return 1, f"the code that you allowed failed: {own}; correct it"
    kind, text = type(error).__name__, str(error)
    return 1, (
        f"internal error: {kind}{': ' if text else ''}{text} "
        "(a defect of seq2attn: please report it with the output of the same command with --debug)"
    )


def _system(error: OSError) -> str:
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    ways = {
        errno.ENOSPC: "make room, or write elsewhere",
        errno.EDQUOT: "make room, or write elsewhere",
        errno.EROFS: "write elsewhere",
        errno.EACCES: "change its permissions, or choose another place",
        errno.EPERM: "change its permissions, or choose another place",
    }
    if not names and (_stdout_fails() or _stdout_may_be_full(error)):
        names = ["standard output"]
    way = ways.get(error.errno or 0)
    return ": ".join([*names, error.strerror or str(error)]) + (f" ({way})" if way else "")


def _is_out_of_memory(error: BaseException) -> bool:
    torch = sys.modules.get("torch")
    return (
        isinstance(error, MemoryError)
        or (torch is not None and isinstance(error, torch.OutOfMemoryError))
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def _reader_is_gone() -> bool:
    """Whether the pipe behind stdout or stderr has lost its reader.

    Other broken pipes, such as that of a dead worker process, are failures.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            poll = select.poll()
            poll.register(stream, 0)
        except (AttributeError, OSError, ValueError):  # closed, or not a file
            continue
        if any(events & (select.POLLERR | select.POLLHUP) for _, events in poll.poll(0)):
            return True
    return False


def _stdout_fails() -> bool:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):
        return True
    return False


def _stdout_may_be_full(error: OSError) -> bool:
    """Whether an error without a file name may come from stdout: all other errors name their file.

    A flush does not tell, because text that was too long for the buffer is lost.
    """
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return False
    try:
        mode = os.fstat(1).st_mode
    except OSError:
        return False
    return stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not os.isatty(1))


def _close_stdout() -> None:
    """Empty the buffer of stdout, so that the interpreter prints no error at its end."""
    if _stdout_fails():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
