"""One piece of work done by several forked processes, each with its share. It knows nothing of what they do.

Whatever stops the caller, at whatever moment, all of them end with it. What a process makes goes to files;
only
what it raises comes back.
"""

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from seq2attn.errors import UserError

_LOOK = 0.5  # seconds: a signal that arrives just before a wait begins is seen only after it
_HELD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def each(work: Callable[[int], object], count: int) -> None:
    """Call work(0), ..., work(count - 1), each in a process of its own.

    What one raises is raised here. Raises UserError when one ends before its time.
    """
    context = multiprocessing.get_context("fork")
    children: list[tuple[BaseProcess, Connection]] = []
    try:
        with _signals_held(), warnings.catch_warnings():
            # of Python 3.12 on, that threads (at rest, here) do not come along
            warnings.simplefilter("ignore", DeprecationWarning)
            for rank in range(count):
                here, there = context.Pipe(duplex=False)
                arguments = work, rank, there, os.getpid()
                child: BaseProcess = context.Process(target=_do, args=arguments, daemon=True)
                child.start()
                there.close()
                children.append((child, here))
        running = {connection for _, connection in children}
        while running:
            for connection in wait(list(running), _LOOK):
                assert isinstance(connection, Connection)
                running.remove(connection)
                _raise_what_came(connection)
    finally:
        for child, _ in children:
            child.kill()  # unlike SIGTERM, it needs nothing of the process
        for child, connection in children:
            child.join()
            connection.close()


def end_with(caller: int) -> None:
    """In the work, now and then: ends a process whose caller, of that process number, is gone; the caller
    goes on.
    """
    if caller not in (os.getpid(), os.getppid()):
        os._exit(1)


def _raise_what_came(connection: Connection) -> None:
    try:
        error = connection.recv()
    except (EOFError, ConnectionError):
        message = "a worker process was ended from outside; if memory ran out, fewer (--workers) need less"
        raise UserError(message) from None
    if error is not None:
        raise error


def _do(work: Callable[[int], object], rank: int, caller: Connection, number: int) -> None:
    for which in _HELD:  # they are for the caller, who ends this process
        signal.signal(which, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with(number)
    error: Exception | None = None
    try:
        work(rank)
    except Exception as raised:  # noqa: BLE001 - raised in the caller
        error = raised
    try:
        caller.send(error)
    except (TypeError, AttributeError, ValueError):  # what cannot be sent
        caller.send(RuntimeError(f"{type(error).__name__}: {error}"))


@contextmanager
def _signals_held() -> Iterator[None]:
    """Signals wait: an exception between a fork and the note of it would leave a process that nobody ends."""
    if threading.current_thread() is not threading.main_thread():  # signals do not reach it
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before: dict[int, Any] = {}
    try:
        for which in _HELD:
            if signal.getsignal(which) not in (None, signal.SIG_IGN):
                before[which] = signal.signal(which, note)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)
