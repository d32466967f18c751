"""Notes, warnings, errors, progress and tables. The only module that imports rich.

    console.note("3 epochs, best BLEU 34.1")        a line on stderr, unless --quiet
    console.warn("line 7: invalid UTF-8, replaced")  the same with `warning: ` before it, also with --quiet
    console.result("BLEU 34.10")                    a line on stdout
    console.table(["run", "BLEU"], rows)            columns on stdout
    with console.progress() as progress:            a live line; without a terminal, a line every 10 s
        progress("encoding", done, total)           several tasks may follow each other; total None: unknown
        progress("training", step, steps, "loss 3.21  12,345 tokens/s", Clock(gone, left))

Text is never parsed as markup. Control characters on stderr are escaped, so that text of a corpus cannot
control the terminal. Rich is imported only for a live line or a table.
"""

import io
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from seq2attn import ranks
from seq2attn.cli.output.progress_line import Clock, counted, duration, fitted
from seq2attn.errors import with_flags
from seq2attn.notes import LOGGER

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

__all__ = ["Clock", "duration"]

quiet = False  # set by --quiet
flags: Sequence[str] = ()  # those of the present command: notes of the library name arguments
PLAIN_INTERVAL = 10.0  # seconds between progress lines without a terminal
GAP = 2  # spaces between the columns of a table

_live: "Console | None" = None  # the console of the live line: notes are printed above it


class Progress(Protocol):
    def __call__(
        self, task: str, done: int, total: int | None = None, facts: str = "", clock: Clock | None = None
    ) -> None:
        """Report that `done` of `total` units of `task` are done. `facts` are separated by two spaces, the
        most important first; the last ones are left out if the terminal is too narrow. Without a `clock`, the
        time starts at the first call for that task.
        """


class _Notes(logging.Handler):
    """Prints the notes and warnings of the library."""

    def emit(self, record: logging.LogRecord) -> None:
        text = with_flags(record.getMessage(), flags)
        if record.levelno >= logging.WARNING:
            warn(text)
        else:
            note(text)


@contextmanager
def notes() -> Iterator[None]:
    """Print the notes and warnings of the library while the body runs."""
    handler, level, passes_on = _Notes(), LOGGER.level, LOGGER.propagate
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False  # a program that calls `app.run` shall not print them twice
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.setLevel(level)
        LOGGER.propagate = passes_on


def printable(text: str) -> str:
    """`text` on one line; control characters and lone surrogates become escapes."""
    folded = " ".join(part.strip() for part in text.splitlines()) if "\n" in text or "\r" in text else text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in folded)


def note(text: str = "") -> None:
    """Print a line on stderr, unless --quiet. Newlines stay; other control characters are escaped."""
    if not quiet:
        _stderr("\n".join(printable(line) for line in text.split("\n")))


def log(line: str) -> None:
    """Print a line of a log on stderr, also with --quiet."""
    _stderr(printable(line))


def warn(text: str) -> None:
    """Print a warning on one line of stderr, also with --quiet."""
    _stderr(f"warning: {printable(text)}")


def error(text: str) -> None:
    """Print the error that ends the program, on one line of stderr."""
    _stderr(f"seq2attn: {printable(text)}")


def result(text: str = "") -> None:
    """Print a line on stdout, unchanged. Of several processes the first one does."""
    if not ranks.speaks():
        return
    try:
        print(text, flush=_live is not None)
    except OSError as error:
        error.filename = "standard output"
        raise


def is_terminal() -> bool:
    """Whether stderr is a terminal that can show a live line."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def has_colour() -> bool:
    """Whether results may be coloured."""
    return (
        sys.stdout is not None
        and sys.stdout.isatty()
        and "NO_COLOR" not in os.environ
        and os.environ.get("TERM") != "dumb"
    )


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns on stdout. Numbers are aligned to the right, and no cell is cut.

    A table that is wider than the terminal is printed in several parts below one another. Each begins with
    the first column. In a pipe or a file it is one table.
    """
    if sys.stdout is None:
        return
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for number, columns in enumerate(_parts([list(headers), *cells], width)):
        if number:
            result()
        _part([headers[column] for column in columns], [[row[column] for column in columns] for row in cells])


def _parts(lines: Sequence[Sequence[str]], width: int | None) -> list[list[int]]:
    """The columns of each part of a table: the first column, and as many others as fit, at least one."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) + GAP for column in zip(*lines, strict=True)]
    parts, used = [[0]], widths[0]
    for column, own in enumerate(widths[1:], 1):
        if width is not None and len(parts[-1]) > 1 and used + own - GAP > width:
            parts.append([0])
            used = widths[0]
        parts[-1].append(column)
        used += own
    return parts


def _part(headers: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table_ = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0), show_edge=False, header_style="bold")
    for column, header in enumerate(headers):
        numbers = bool(cells) and all(_is_number(row[column]) for row in cells)
        table_.add_column(Text(header), justify="right" if numbers else "left", no_wrap=True)
    for row in cells:
        table_.add_row(*(Text(cell) for cell in row))
    buffer = io.StringIO()
    colour = has_colour()
    Console(
        file=buffer,
        width=100_000,
        force_terminal=colour,
        color_system="standard" if colour else None,
        legacy_windows=False,
    ).print(table_)
    for line in buffer.getvalue().splitlines():
        result(line.rstrip())


@contextmanager
def progress(interval: float | None = None) -> Iterator[Progress]:
    """A function that shows the progress of tasks.

    Without a terminal it prints a line at the start and the end of a task, and every `interval` seconds
    between. A task of unknown length prints no first line.
    """
    if quiet:
        yield lambda task, done, total=None, facts="", clock=None: None
    elif is_terminal():
        yield from _moving()
    else:
        yield from _lines(PLAIN_INTERVAL if interval is None else interval)


class Pace:
    """Decides when a line is due without a terminal.

    The first is due at once, the next after `interval` seconds without a line.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._last: float | None = None

    def due(self) -> bool:
        return self._last is None or time.monotonic() - self._last >= self._interval

    def printed(self) -> None:
        self._last = time.monotonic()


class _Watch:
    """The clock of one task: the clock of the last call, or one computed from the start of the task."""

    def __init__(self, done: int) -> None:
        self._began, self._first = time.monotonic(), done
        self._looked, self._ended, self._clock = self._began, False, Clock(0.0)

    def look(self, done: int, total: int | None, given_clock: Clock | None) -> Clock:
        """Update the clock at a call of the progress function, and return it."""
        self._looked, self._ended = time.monotonic(), total is not None and done >= total
        gone = self._looked - self._began
        left = (
            gone / (done - self._first) * (total - done)
            if total is not None and self._first < done < total
            else None
        )
        self._clock = given_clock or Clock(gone, left)
        return self._clock

    def now(self) -> Clock:
        """The clock now: the elapsed time grows after the last call until the task ends."""
        since = 0.0 if self._ended else time.monotonic() - self._looked
        return self._clock._replace(gone=self._clock.gone + since)


def _moving() -> Iterator[Progress]:
    from rich.console import Console, Group
    from rich.live import Live

    global _live
    console = Console(stderr=True, highlight=False)
    tasks: dict[str, tuple[_Watch, int, int | None, str]] = {}

    def render() -> Group:
        return Group(
            *(
                _render_line(console, task, done, total, watch.now(), facts)
                for task, (watch, done, total, facts) in list(tasks.items())
            )
        )

    # stdout is never redirected: results must stay on it. Stray writes to stderr go above the lines.
    with Live(
        console=console, get_renderable=render, refresh_per_second=10, redirect_stdout=False, transient=True
    ) as live:

        def show(
            task: str, done: int, total: int | None = None, facts: str = "", clock: Clock | None = None
        ) -> None:
            task = printable(task)
            new = task not in tasks
            watch = _Watch(done) if new else tasks[task][0]
            watch.look(done, total, clock)
            tasks[task] = watch, done, total, printable(facts)
            if new:
                live.refresh()

        before, _live = _live, live.console
        try:
            yield show
        finally:
            _live = before


def _render_line(
    console: "Console", task: str, done: int, total: int | None, clock: Clock, facts: str
) -> "Text":
    """The line at the present width of the terminal.

    One column stays free, because some terminals wrap a full line.
    """
    from rich.cells import cell_len
    from rich.text import Text

    full, empty = ("#", "-") if console.options.ascii_only else ("━", "─")
    line = fitted(console.width - 1, task, done, total, clock, facts, full, empty, size=cell_len)
    text = Text(line, no_wrap=True, overflow="crop")
    if full in line:
        text.stylize("green", line.index(full), line.rindex(full) + 1)
    return text


def _lines(interval: float) -> Iterator[Progress]:
    watches: dict[str, _Watch] = {}
    paces: dict[str, Pace] = {}
    printed: dict[str, int] = {}

    def show(
        task: str, done: int, total: int | None = None, facts: str = "", clock: Clock | None = None
    ) -> None:
        now = watches.setdefault(task, _Watch(done)).look(done, total, clock)
        if task not in paces:
            paces[task] = Pace(interval)
            if total is None and done:
                paces[task].printed()
        pace = paces[task]
        ended = total is not None and done >= total
        if done == printed.get(task) or not (ended or pace.due()):
            return
        printed[task] = done
        pace.printed()
        parts = [f"{task} {counted(done, None if now.limit else total)}".rstrip()]
        if facts:
            parts.append(facts)
        if now.limit:
            parts.append(f"{duration(now.gone)} of {duration(now.limit)}")
        elif now.left is not None:
            parts.append(f"{duration(now.left)} left")
        note("  ".join(parts))

    yield show


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
