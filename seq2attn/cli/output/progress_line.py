"""The progress of a task as one line of a given width: its name, count, share and time, then facts.

This module makes text, and knows no terminal and no clock.
"""

from collections.abc import Callable
from typing import NamedTuple

BAR = 24  # characters
BAR_FROM = 100  # columns; a narrower line has no bar, because text needs the room
GAP = "  "  # between facts


class Clock(NamedTuple):
    """Times in seconds. `left` is an estimate, None if unknown. `limit` is set if the clock ends the task."""

    gone: float
    left: float | None = None
    limit: float | None = None


def duration(seconds: float) -> str:
    """Seconds as text: 75 -> 1:15, 3675 -> 1:01:15."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def share(done: int, total: int | None, clock: Clock) -> float | None:
    """The part of the task that is done, from 0 to 1; None if the size of the task is unknown."""
    if clock.limit:
        return min(clock.gone / clock.limit, 1.0)
    return min(done / total, 1.0) if total else None


def counted(done: int, total: int | None) -> str:
    """The count as text: 20/100, or 20 if there is no total; empty if nothing is counted."""
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
    """The line within `width` columns; `size` measures a text in columns.

    Two spaces separate `facts`, the most important first. If the line is too long, facts are left out from
    the last on, then the elapsed time, then the name of the task. A bar is shown if there is room for it.
    """
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
