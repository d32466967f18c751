"""The progress of a task in one line of a given width: count, share and time come first, then facts as far as
they fit.

It makes text, and knows no terminal and no clock.
"""

from collections.abc import Callable
from typing import NamedTuple

BAR = 24  # characters
BAR_FROM = 100  # columns: below that, a bar takes room from what is read
GAP = "  "  # between facts


class Clock(NamedTuple):
    """Seconds. `left` is an estimate, None if unknown; `limit` is set if the clock ends the task."""

    gone: float
    left: float | None = None
    limit: float | None = None


def duration(seconds: float) -> str:
    """75 -> 1:15, 3675 -> 1:01:15."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def share(done: int, total: int | None, clock: Clock) -> float | None:
    """How much of the task is done, from 0 to 1; None where its size is not known."""
    if clock.limit:
        return min(clock.gone / clock.limit, 1.0)
    return min(done / total, 1.0) if total else None


def counted(done: int, total: int | None) -> str:
    """20/100, or 20 where there is no total; nothing where no work is counted."""
    return f"{done:,}/{total:,}" if total is not None else f"{done:,}" if done else ""


def fitted(
    width: int,
    task: str,
    done: int,
    total: int | None,
    clock: Clock,
    facts: str = "",
    filled: str = "#",
    empty: str = "-",
    size: Callable[[str], int] = len,
) -> str:
    """The line within `width` columns, of which `size` says how many a text takes. `facts` are parted by two
    spaces, the dearest first: they are left out from the last on, then the time that is gone, then the name
    of the task. A bar stands where there is room for it."""
    part = share(done, total, clock)
    count = counted(done, None if clock.limit else total)
    percent = "" if part is None else f"{int(100 * part)}%"
    bar = "" if part is None or width < BAR_FROM else (filled * int(BAR * part)).ljust(BAR, empty)
    left = "" if clock.left is None else f"{duration(clock.left)} left"
    gone = f"{duration(clock.gone)} gone"
    if clock.limit:
        left = times = f"{duration(min(clock.gone, clock.limit))} of {duration(clock.limit)}"
    else:
        times = f"{gone}, {left}" if left else gone
    ways = (f"{task}{GAP}{bar}" if bar else task, count, times), (task, count, left), ("", count, left)
    lines = [
        GAP.join(filter(None, (" ".join(filter(None, (name, number))), percent, time)))
        for name, number, time in ways
    ]
    line = next((line for line in lines if size(line) <= width), lines[-1])
    for fact in filter(None, facts.split(GAP)):
        if size(line) + len(GAP) + size(fact) > width:
            break
        line += GAP + fact
    return line
