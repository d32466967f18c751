"""Work of several forked processes, each with its share. This module knows nothing of the work.

Whatever stops the caller ends all of them. A process writes its results to files; only an exception is sent
back.
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

_LOOK = 0.5  # seconds: a signal that arrives just before a wait begins is handled only after it
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def run_in_processes(work: Callable[[int], object], count: int) -> None:
    """Call work(0), ..., work(count - 1), each in its own process.

    An exception of one is raised here. Raises UserError if a process is ended from outside.
    """
    context = multiprocessing.get_context("fork")
    children: list[tuple[BaseProcess, Connection]] = []
    try:
        with _hold_signals(), warnings.catch_warnings():
            # from Python 3.12 on, about threads, which are idle here
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
                _raise_error_of(connection)
    finally:
        for child, _ in children:
            child.kill()  # unlike SIGTERM, it needs nothing of the process
        for child, connection in children:
            child.join()
            connection.close()


def exit_without(caller: int) -> None:
    """End this process if `caller`, the process number of the caller, is gone.

    The work should call it now and then. In the caller itself it does nothing.
    """
    if caller not in (os.getpid(), os.getppid()):
        os._exit(1)


def _raise_error_of(connection: Connection) -> None:
    try:
        error = connection.recv()
    except (EOFError, ConnectionError):
        message = "a worker process was ended from outside; if memory ran out, fewer `workers` need less"
        raise UserError(message) from None
    if error is not None:
        raise error


def _do(work: Callable[[int], object], rank: int, caller: Connection, number: int) -> None:
    for which in _SIGNALS:  # they are for the caller, who ends this process
        signal.signal(which, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    exit_without(number)
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
def _hold_signals() -> Iterator[None]:
    """Delay signals: an exception between a fork and its record would leave a process that nobody ends."""
    if threading.current_thread() is not threading.main_thread():  # signals do not reach it
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    before: dict[int, Any] = {}
    try:
        for which in _SIGNALS:
            if signal.getsignal(which) not in (None, signal.SIG_IGN):
                before[which] = signal.signal(which, note)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(came):
            signal.raise_signal(number)
