"""A process that was forked from one in which torch has computed: what is safe in it, and what is not.

A child gets its parent's memory but not its threads. A pool of threads that torch believes to have would be
waited for without end, so a child computes with
one thread; where another thread was in the middle of a call at that moment, what that held locked stays so,
and the child is refused. It knows no model.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from seq2attn.errors import UserError

_calls: dict[int, int] = {}  # calls at work, by the thread that made them
_counting = threading.Lock()
_forked = _broken = False


def _in_child() -> None:
    global _forked, _broken, _counting
    _forked = True
    _broken = _broken or any(thread != threading.get_ident() for thread in _calls)
    _counting = threading.Lock()
    _calls.clear()


os.register_at_fork(after_in_child=_in_child)


@contextmanager
def at_work(device: str = "cpu") -> Iterator[None]:
    """Around all that computes. Raises UserError in a forked process where it would wait for ever."""
    if _forked:
        _settle(device)
    thread = threading.get_ident()
    with _counting:
        _calls[thread] = _calls.get(thread, 0) + 1
    try:
        yield
    finally:
        with _counting:
            left = _calls.get(thread, 1) - 1
            if left:
                _calls[thread] = left
            else:
                _calls.pop(thread, None)


def _settle(device: str) -> None:
    if _broken:
        raise UserError(
            "this process was forked while a model was at work in another thread, and would wait for it without end: "
            'start processes by multiprocessing.get_context("spawn")'
        )
    if device != "cpu" and torch.cuda._is_in_bad_fork():
        raise UserError(
            'this process was forked from one that uses the GPU: start processes by multiprocessing.get_context("spawn")'
        )
    torch.set_num_threads(1)  # of the calling thread and of those that it starts
