"""A lock on a place on the disk that one process holds and that ends with it, however it ends.

Knows no run and no corpus.
"""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Held(Exception):
    """Another process holds the lock; the message says which, as far as that is known."""


_held: set[int] = set()  # descriptors of this process


def keep(descriptor: int) -> None:
    """Note that a lock of this process is on that descriptor, so that no forked child keeps it."""
    _held.add(descriptor)


def is_kept(descriptor: int) -> bool:
    """Whether it is still noted: in a child that was forked meanwhile it is not, and it is closed there."""
    return descriptor in _held


def let_go(descriptor: int) -> None:
    """Close a descriptor that is kept, and with it end the lock; in a forked child it is closed already."""
    if descriptor in _held:
        _held.discard(descriptor)
        os.close(descriptor)


def own_name() -> str:
    """What this process is called where another asks who has a lock."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def is_at(path: Path, descriptor: int) -> bool:
    """Whether `path` is still the file or folder that was opened as that descriptor."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _let_go_in_child() -> None:
    """A child gets a copy of each descriptor, and with it the lock, which would outlive its process."""
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def lock(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock whose file is `path`, which is made and, at the end, removed.

    With `wait`, waits for whoever has it; without, raises Held. Raises OSError where the file cannot be made.
    The lock is advisory (`flock`): it keeps out those who ask for it, and the system releases it when the
    process ends, so that a crash leaves at most a file that locks nothing.
    """
    descriptor = _locked(path, wait)
    keep(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{own_name()}\n".encode())
        yield
    finally:
        if is_kept(descriptor):  # not in a child that was forked meanwhile
            with suppress(OSError):
                path.unlink()  # before the lock ends: who has opened the file by then sees that it is gone
            let_go(descriptor)


def holder(path: Path) -> str | None:
    """Who holds the lock whose file is `path`, as Held would say; None where nobody does. Makes no file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _name(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _name(descriptor: int) -> str:
    return os.pread(descriptor, 200, 0).decode("utf-8", "replace").strip() or "another process"


def _locked(path: Path, wait: bool) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(path, descriptor):
                return descriptor
        except BlockingIOError:
            name = _name(descriptor)
            os.close(descriptor)
            raise Held(name) from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its holder removed the file between our opening it and our locking it
