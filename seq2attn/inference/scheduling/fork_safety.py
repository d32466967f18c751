"""Makes a process that was forked after torch has computed either work or fail with a message.

A child process has the memory of its parent but not its threads. It would wait for ever for torch's pool of
threads, so it computes with one thread. If another thread was computing at the moment of the fork, its
locks stay held in the child, so the child refuses to compute. It knows no model.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from seq2attn.errors import UserError

_calls: dict[int, int] = {}  # number of running calls, by thread
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
    """Wraps every computation. Raises UserError in a forked process that would wait for ever."""
    if _forked:
        _prepare_child(device)
    thread = threading.get_ident()
    with _counting:
        _calls[thread] = _calls.get(thread, 0) + 1
    try:
        yield
    finally:
        with _counting:
            remaining = _calls.get(thread, 1) - 1
            if remaining:
                _calls[thread] = remaining
            else:
                _calls.pop(thread, None)


def _prepare_child(device: str) -> None:
    if _broken:
        raise UserError(
            "this process was forked while another thread ran a model, and would wait for it for ever: "
            'start processes with multiprocessing.get_context("spawn")'
        )
    if device != "cpu" and torch.cuda._is_in_bad_fork():
        raise UserError(
            "this process was forked from one that uses the GPU: "
            'start processes with multiprocessing.get_context("spawn")'
        )
    torch.set_num_threads(1)  # for the calling thread and those that it starts
