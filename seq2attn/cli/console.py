"""All that is printed beside results: notes, warnings, progress, tables. The only door to rich; knows no command.

    console.note("3 epochs, best BLEU 34.1")       a line on stderr, nothing with --quiet
    console.warn("line 7: invalid UTF-8, replaced")  the same with `warning: ` before it, also with --quiet
    console.result("BLEU 34.10")                   a line on stdout
    console.table(["run", "BLEU"], rows)           columns on stdout
    with console.progress() as progress:           a bar on a terminal, otherwise a line every 10 seconds, on stderr
        progress("encoding", done, total)          several tasks may follow each other; total None: not known
        progress("training", step, steps, "loss 3.21  12,345 tokens/s")

Text is shown as it is, never read as markup; control characters on stderr are escaped, so that no corpus can drive a terminal.
Rich loads only when a bar or a table is drawn.
"""

import io
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

quiet = False  # set by --quiet
PLAIN_INTERVAL = 10.0  # seconds between progress lines where there is no terminal

_live: "Console | None" = None  # the console of the bar now on screen: notes go above it


class Progress(Protocol):
    def __call__(self, task: str, done: int, total: int | None = None, facts: str = "") -> None:
        """Say that `done` of `total` units of `task` are done; `facts` stand beside the bar."""


def printable(text: str) -> str:
    """`text` on one line, with every other control character or lone surrogate written as an escape."""
    folded = " ".join(part.strip() for part in text.splitlines()) if "\n" in text or "\r" in text else text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in folded)


def note(text: str = "") -> None:
    """A line on stderr; nothing with --quiet. Newlines stay, other control characters are escaped."""
    if not quiet:
        _stderr("\n".join(printable(line) for line in text.split("\n")))


def warn(text: str) -> None:
    """A warning on one line of stderr, also with --quiet."""
    _stderr(f"warning: {printable(text)}")


def error(text: str) -> None:
    """What ended the program, on one line of stderr."""
    _stderr(f"seq2attn: {printable(text)}")


def result(text: str = "") -> None:
    """A line on stdout, as it is."""
    try:
        print(text, flush=_live is not None)
    except OSError as error:
        error.filename = "standard output"
        raise


def is_terminal() -> bool:
    """Whether stderr can hold a bar."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def has_colour() -> bool:
    """Whether results may be in colour."""
    return sys.stdout is not None and sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Aligned columns on stdout; those that hold only numbers are set flush right. A wide table is never cut: it is as wide as it is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if sys.stdout is None:
        return
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False, header_style="bold")
    for column, header in enumerate(headers):
        numbers = bool(cells) and all(_is_number(row[column]) for row in cells)
        drawn.add_column(Text(header), justify="right" if numbers else "left", no_wrap=True)
    for row in cells:
        drawn.add_row(*(Text(cell) for cell in row))
    buffer = io.StringIO()
    colour = has_colour()
    Console(file=buffer, width=100_000, force_terminal=colour, color_system="standard" if colour else None, legacy_windows=False).print(drawn)
    for line in buffer.getvalue().splitlines():
        result(line.rstrip())


@contextmanager
def progress(interval: float | None = None) -> Iterator[Progress]:
    """A function that shows how far each task is. Without a terminal: a line when a task ends and every `interval` seconds between."""
    if quiet:
        yield lambda task, done, total=None, facts="": None
    elif is_terminal():
        yield from _bars()
    else:
        yield from _lines(PLAIN_INTERVAL if interval is None else interval)


def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    global _live
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}

    # stdout is never redirected: results must stay on it. Stray writes to stderr go above the bars.
    with Bars(*columns, console=Console(stderr=True, highlight=False), redirect_stdout=False, transient=True) as bars:

        def show(task: str, done: int, total: int | None = None, facts: str = "") -> None:
            if task not in tasks:
                tasks[task] = bars.add_task(printable(task), total=total, facts="")
            bars.update(tasks[task], completed=done, total=total, facts=printable(facts))

        before, _live = _live, bars.console
        try:
            yield show
        finally:
            _live = before


def _lines(interval: float) -> Iterator[Progress]:
    starts: dict[str, tuple[float, int]] = {}
    printed: dict[str, tuple[float, int]] = {}

    def show(task: str, done: int, total: int | None = None, facts: str = "") -> None:
        now = time.monotonic()
        start, first = starts.setdefault(task, (now, done))
        last, at = printed.setdefault(task, (now, -1))
        ended = total is not None and done >= total
        if done == at or not (ended or now - last >= interval):
            return
        printed[task] = (now, done)
        parts = [f"{task} {done:,}" if total is None else f"{task} {done:,}/{total:,}"]
        if facts:
            parts.append(facts)
        if total is not None and first < done < total:
            parts.append(f"{duration((now - start) / (done - first) * (total - done))} left")
        note("  ".join(parts))

    yield show


def duration(seconds: float) -> str:
    """75 -> 1:15, 3675 -> 1:01:15."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _is_number(cell: str) -> bool:
    return not cell.strip("-–—") or not cell.strip("+-0123456789.,%±() ")


def _stderr(text: str) -> None:
    try:
        if _live is not None:
            _live.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)
        elif sys.stderr is not None:
            print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:  # a terminal that was closed, a log on a full disk: no reason to lose the work
        pass
