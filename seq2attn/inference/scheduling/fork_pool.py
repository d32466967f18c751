"""A pool of forked processes for one function. Each process has its own Python interpreter.

Threads share one interpreter, and the steps of a search are short. A forked process has the memory of its
caller, so nothing is loaded twice. Only jobs and results are sent, pickled. This module knows no model.
"""

import contextlib
import multiprocessing
import os
import signal
import sys
import traceback
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar, cast

import torch

from seq2attn.errors import UserError

Job = TypeVar("Job")
Result = TypeVar("Result")

CAN_FORK = sys.platform == "linux"  # other systems have no fork, or system libraries that do not survive it
READY = 30.0  # seconds until a new process must have computed something
ATTEMPTS = 3  # times that a process which does not is replaced

Children = list[tuple[BaseProcess, Connection]]


class _Stuck(Exception):
    """A new process does not compute."""


class ForkPool(Generic[Job, Result]):
    """Up to `count` processes that call `work`."""

    def __init__(self, work: Callable[[Job], Result], count: int) -> None:
        """The processes have one thread of torch each.

        They are forked when there are jobs, and end with this object. No other thread of the caller may
        compute at that moment, because its locks would stay held in the processes.
        """
        # A strong reference would keep the owner of `work`, and with it this pool, alive for ever.
        self._work = weakref.WeakMethod(work) if hasattr(work, "__self__") else lambda: work
        self.count = count
        self._children: Children = []
        self._ready = 0  # how many of them have computed something
        self._owner = os.getpid()
        weakref.finalize(self, _end, self._children, self._owner)

    @property
    def is_owner(self) -> bool:
        """Whether this process may start processes.

        A fork of the owner may not, nor a worker of another pool, because a worker cannot have processes of
        its own.
        """
        return os.getpid() == self._owner and not multiprocessing.current_process().daemon

    @property
    def running(self) -> bool:
        return bool(self._children)

    @contextmanager
    def map(self, jobs: Sequence[Job]) -> Iterator[Iterator[Result]]:
        """The results of the jobs, in order. An exception of the work is raised when its result is read.

        Raises UserError if a process is ended from outside.
        """
        self._start(min(self.count, len(jobs)))
        try:
            yield self._in_order(jobs)
        except BaseException:
            _end(self._children, self._owner)  # nobody reads the results of the running jobs
            raise

    def close(self) -> None:
        """End the processes. The next jobs start new ones."""
        _end(self._children, self._owner)

    def _start(self, count: int) -> None:
        for _ in range(ATTEMPTS):
            self._ready = min(self._ready, len(self._children))  # 0 after `close`
            self._fork(count)
            try:
                return self._refuse_stuck()
            except _Stuck:
                self.close()
        raise UserError(
            f"new processes did not compute anything in {ATTEMPTS} attempts of {READY:g} seconds: "
            "leave `processes` out, or set OMP_NUM_THREADS=1"
        )

    def _fork(self, count: int) -> None:
        context = multiprocessing.get_context("fork")
        work = self._work()
        assert work is not None
        with warnings.catch_warnings():
            # Python 3.12 warns of threads in a process that forks; here they are idle
            warnings.simplefilter("ignore", DeprecationWarning)
            while len(self._children) < count:
                here, there = context.Pipe()
                child = context.Process(
                    target=_serve,
                    args=(work, there, [here, *(other for _, other in self._children)]),
                    daemon=True,
                )
                child.start()
                there.close()  # so that reading fails once the child has ended
                self._children.append((child, here))

    def _refuse_stuck(self) -> None:
        """Wait until every new process has computed something. Raises _Stuck if one does not.

        A library may have held a lock at the moment of the fork, in a thread that was ending. Nobody releases
        the copy of that lock, and the process would wait for it for ever.
        """
        for _, connection in self._children[self._ready :]:
            if not connection.poll(READY):
                raise _Stuck
            with contextlib.suppress(EOFError, ConnectionError):  # it was ended: its first job reports that
                connection.recv()
            self._ready += 1

    def _in_order(self, jobs: Sequence[Job]) -> Iterator[Result]:
        """Send a job to each process that is free, and yield the results in the order of the jobs."""
        numbered_jobs = iter(enumerate(jobs))
        busy = []
        for (_, connection), job in zip(self._children, numbered_jobs, strict=False):
            connection.send(job)
            busy.append(connection)
        done: dict[int, tuple[Result, Exception | None]] = {}
        for number in range(len(jobs)):
            while number not in done:
                for connection in cast(list[Connection], wait(busy)):
                    try:
                        index, result, error = connection.recv()
                        done[index] = result, error
                        following = next(numbered_jobs, None)
                        if following is None:
                            busy.remove(connection)
                        else:
                            connection.send(following)
                    except (EOFError, ConnectionError):
                        raise UserError(
                            "a process of the search was ended from outside; if memory ran out, "
                            "make `batch_tokens` smaller"
                        ) from None
            result, error = done.pop(number)
            if error is not None:
                raise error
            yield result


def _serve(work: Callable[[Job], Result], caller: Connection, callers_ends: Sequence[Connection]) -> None:
    """In the process: do jobs until the caller has ended."""
    # The fork copied the caller's ends of the pipes. They are closed, so that reading fails when the caller
    # ends.
    for connection in callers_ends:
        connection.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, which ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, ConnectionError):  # the caller has ended
        _compute()
        caller.send(None)  # see `_refuse_stuck`
        while True:
            number, job = caller.recv()
            answer: tuple[int, Any, Exception | None]
            try:
                answer = number, work(job), None
            except Exception as error:  # noqa: BLE001 - raised when the caller reads the result
                error.add_note(traceback.format_exc())
                answer = number, None, error
            caller.send(answer)


def _compute() -> None:
    """Take the locks that a job takes: those of the libraries of matrices and of memory."""
    square = torch.ones(64, 64)
    torch.softmax(square @ square, -1)


def _end(children: Children, owner: int) -> None:
    if os.getpid() != owner:  # a fork of the owner, which still uses them
        return
    for child, _ in children:
        child.kill()
    for child, connection in children:
        child.join()
        connection.close()
    children.clear()
