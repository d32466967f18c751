"""A lock file that one process holds. The system releases the lock when the process ends, however it ends.

This module knows no run and no corpus.
"""

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Held(Exception):
    """Another process holds the lock. The message is its name, as far as that is known."""


_held: set[int] = set()  # descriptors with a lock of this process


def keep(descriptor: int) -> None:
    """Note that this process has a lock on that descriptor, so that a forked child closes it."""
    _held.add(descriptor)


def is_kept(descriptor: int) -> bool:
    """Whether the descriptor is noted. In a forked child it is not, and it is closed."""
    return descriptor in _held


def let_go(descriptor: int) -> None:
    """Close a noted descriptor, which releases the lock. In a forked child it is closed already."""
    if descriptor in _held:
        _held.discard(descriptor)
        os.close(descriptor)


def own_name() -> str:
    """The name of this process, for others that find its lock."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def is_at(path: Path, descriptor: int) -> bool:
    """Whether `path` is still the file or folder that was opened as that descriptor."""
    try:
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _let_go_in_child() -> None:
    """Close the copies of the descriptors in a child.

    Through them the lock would outlive the process that took it.
    """
    for descriptor in _held:
        with suppress(OSError):
            os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


@contextmanager
def lock(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock whose file is `path`. The file is created, and removed at the end.

    If another process holds the lock, this waits for it or, without `wait`, raises Held. Raises OSError if
    the file cannot be created, or if something other than a file is there. The lock is advisory (`flock`): it
    keeps out only processes that ask for it. A crash leaves at most a file that locks nothing.
    """
    descriptor = _locked(path, wait)
    keep(descriptor)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{own_name()}\n".encode())
        yield
    finally:
        if is_kept(descriptor):  # not in a child process that was forked meanwhile
            with suppress(OSError):
                path.unlink()  # before the release, so that a process that opened it sees that it is gone
            let_go(descriptor)


def holder(path: Path) -> str | None:
    """The process that holds the lock whose file is `path`, as in Held, or None. It creates no file."""
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
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(path, flags, 0o666)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):  # such as a pipe, which must stay as it is
                raise OSError(errno.EINVAL, "not a regular file", str(path))
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
        os.close(descriptor)  # its holder removed the file between our open and our lock
