"""One kind of work in several processes at once, each with a Python of its own: threads share one, and the
steps of a search are short.

The processes are forked, so they have the caller's memory as it was: nothing is loaded twice, and only jobs
and what is found are sent. It knows jobs as
what can be pickled, and no model.
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
Found = TypeVar("Found")

CAN_FORK = sys.platform == "linux"  # elsewhere there is no fork, or system libraries do not outlive one

Children = list[tuple[BaseProcess, Connection]]


class ForkPool(Generic[Job, Found]):
    def __init__(self, work: Callable[[Job], Found], count: int) -> None:
        """Up to `count` processes that do `work` with one thread of torch each. They are forked when there
        are jobs for them, and end with this object.

        No other thread of the caller may be computing then: what it holds locked at that moment would stay
        locked in them.
        """
        # else the owner of the work would never end, nor this
        self._work = weakref.WeakMethod(work) if hasattr(work, "__self__") else lambda: work
        self.count = count
        self._children: Children = []
        self._owner = os.getpid()
        weakref.finalize(self, _end, self._children, self._owner)

    @property
    def mine(self) -> bool:
        """Whether this process may start them: not one that was forked with this object in it, nor a worker
        of a pool, which may have no processes of its own.
        """
        return os.getpid() == self._owner and not multiprocessing.current_process().daemon

    @property
    def running(self) -> bool:
        return bool(self._children)

    @contextmanager
    def map(self, jobs: Sequence[Job]) -> Iterator[Iterator[Found]]:
        """What the work makes of each job, in order. What it raises is raised where its result is taken.

        Raises UserError when a process ends before its time.
        """
        self._start(min(self.count, len(jobs)))
        try:
            yield self._in_order(jobs)
        except BaseException:
            _end(self._children, self._owner)  # what they are still at is for nobody
            raise

    def close(self) -> None:
        """End the processes. The next jobs start others."""
        _end(self._children, self._owner)

    def _start(self, count: int) -> None:
        context = multiprocessing.get_context("fork")
        work = self._work()
        assert work is not None
        with warnings.catch_warnings():
            # of Python 3.12 on, that threads (at rest, here) do not come along
            warnings.simplefilter("ignore", DeprecationWarning)
            while len(self._children) < count:
                here, there = context.Pipe()
                child = context.Process(
                    target=_serve,
                    args=(work, there, [here, *(other for _, other in self._children)]),
                    daemon=True,
                )
                child.start()
                there.close()  # so that nothing more can be read once the child has ended
                self._children.append((child, here))

    def _in_order(self, jobs: Sequence[Job]) -> Iterator[Found]:
        """Hand out the jobs, one whenever a process is free, and yield what comes back by the order of the
        jobs.
        """
        waiting = iter(enumerate(jobs))
        busy = []
        for (_, connection), job in zip(self._children, waiting, strict=False):
            connection.send(job)
            busy.append(connection)
        done: dict[int, tuple[Found, Exception | None]] = {}
        for number in range(len(jobs)):
            while number not in done:
                for connection in cast(list[Connection], wait(busy)):
                    try:
                        at, found, error = connection.recv()
                        done[at] = found, error
                        following = next(waiting, None)
                        if following is None:
                            busy.remove(connection)
                        else:
                            connection.send(following)
                    except (EOFError, ConnectionError):
                        raise UserError(
                            "a process of the search was ended from outside; if memory ran out, smaller batches (--batch-tokens) need less"
                        ) from None
            found, error = done.pop(number)
            if error is not None:
                raise error
            yield found


def _serve(work: Callable[[Job], Found], caller: Connection, callers_ends: Sequence[Connection]) -> None:
    """In the process: do what is asked for until nobody asks."""
    # which came along with the fork: the end of the caller is to be the end of what can be read
    for connection in callers_ends:
        connection.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the caller, who ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, ConnectionError):  # the caller is no more
        while True:
            number, job = caller.recv()
            answer: tuple[int, Any, Exception | None]
            try:
                answer = number, work(job), None
            except Exception as error:  # noqa: BLE001 - raised where the caller takes the result
                error.add_note(traceback.format_exc())
                answer = number, None, error
            caller.send(answer)


def _end(children: Children, owner: int) -> None:
    if os.getpid() != owner:  # a fork of the owner, who goes on with them
        return
    for child, _ in children:
        child.kill()
    for child, connection in children:
        child.join()
        connection.close()
    children.clear()
