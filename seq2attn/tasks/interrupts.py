"""An interrupt of a training from Python: Ctrl-C in a terminal, or the stop button of a notebook.

Python would raise KeyboardInterrupt within an update, and everything since the last saved state would be
lost. So the update is completed and the state is saved first. The command line has signals of its own.
"""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seq2attn.tasks.training import Training


@contextmanager
def saved_on_interrupt(training: "Training") -> Iterator[None]:
    """Save the state of the training if KeyboardInterrupt leaves the block.

    The exception goes on, and its message says where the run is.
    """
    try:
        yield
    except KeyboardInterrupt:
        if not training.save():
            raise
        raise KeyboardInterrupt(f"{training.run.path}: saved; continue it with `resume`") from None


@contextmanager
def delayed_interrupt(begin: Callable[[], None]) -> Iterator[None]:
    """Raise KeyboardInterrupt only at the end of the block, but a second one at once.

    `begin` is called when an interrupt arrives. Nothing changes outside the main thread, which alone gets
    signals, and if the program has a handler of its own.
    """
    if (
        threading.current_thread() is not threading.main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield
        return
    requested = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal requested
        if requested:
            raise KeyboardInterrupt
        requested = True
        begin()

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if requested:
        raise KeyboardInterrupt
