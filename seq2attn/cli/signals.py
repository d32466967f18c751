"""Signals that ask the program to stop: which ones, when one is a new request, and who handles it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# Seconds in which another signal belongs to the first request. timeout(1) and job managers signal a process
# and then its whole group.
SAME = 1.0
PRESSING = (signal.SIGINT, signal.SIGTERM)  # a second one stops at once
# A closed terminal, what batch systems send minutes before the end, and the limit of processor time (sent
# every second).
EARLY = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
ENDING = (*PRESSING, *EARLY)


class StopRequests:
    """Counts requests to stop, not signals: a copy of a signal must not interrupt the save that it caused."""

    def __init__(self) -> None:
        self.count = 0
        self.pressing = 0  # requests by a PRESSING signal
        self._last = 0.0

    def heard(self, number: int = signal.SIGINT) -> bool:
        """Note a signal. Returns whether it is a new request."""
        now = time.monotonic()
        if self.count and (number not in PRESSING or now - self._last < SAME):
            return False
        self._last = now
        self.count += 1
        self.pressing += number in PRESSING
        return True


@contextmanager
def handled(handle: Callable[[int], None], replaces: Callable[[Any], bool]) -> Iterator[None]:
    """Call `handle` at each signal that asks to end, if `replaces` accepts the present handler.

    An ignored signal stays ignored, as under nohup. Forked processes leave the signals to this process,
    except that SIGTERM ends them. If the terminal is gone, later output goes nowhere instead of failing.
    """
    process = os.getpid()
    terminals = [descriptor for descriptor in (0, 1, 2) if os.isatty(descriptor)]

    def caught(number: int, frame: FrameType | None) -> None:
        if os.getpid() == process:
            if number == signal.SIGHUP:
                _leave(terminals)
            handle(number)
        elif number == signal.SIGTERM:
            os._exit(128 + number)

    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for which in ENDING:
            handler = signal.getsignal(which)
            if handler not in (signal.SIG_IGN, None) and replaces(handler):
                before[which] = signal.signal(which, caught)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(terminals: list[int]) -> None:
    for descriptor in terminals:
        if not os.isatty(descriptor):  # no terminal any more
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
