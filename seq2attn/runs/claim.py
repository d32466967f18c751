"""A run has one trainer: a lock in its directory, from before anything is touched until training has ended.

Reading a run, to translate or to score, asks for no lock. It knows no training loop.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from seq2attn import locks
from seq2attn.errors import UserError
from seq2attn.runs.directory import LOCK, refuse_existing, refuse_going_on, writing

WITHOUT = (
    errno.ENOLCK,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
)  # file systems that have no locks, as some shared ones


@contextmanager
def claimed(path: Path, *, resume: bool, force: bool) -> Iterator[bool]:
    """Keep every other trainer out of the run at `path`, which is made where it is missing.

    Yields whether the file system could promise that. What was made for the lock alone is removed at the end.
    Raises UserError, with nothing touched, where another process trains it, where a new run may not be made
    (without `resume`, and with or without `force`), and where there is nothing to go on from.
    """
    _refuse(path, resume, force)
    with ExitStack() as stack:
        stack.callback(_remove_empty, [one for one in (path, *path.parents) if not one.exists()])
        is_locked = True
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(locks.lock(path / LOCK))
            except locks.Held as held:
                raise _busy(path, str(held)) from None
            except OSError as error:
                if error.errno not in WITHOUT:
                    if os.path.lexists(path / LOCK) and not _is_file(path / LOCK):
                        raise UserError(f"{path / LOCK}: no file, so no lock either: remove it") from None
                    raise
                is_locked = False
        _refuse(path, resume, force, mine=True)  # again: it may have been trained, and ended, meanwhile
        yield is_locked


def _refuse(path: Path, resume: bool, force: bool, mine: bool = False) -> None:
    if not mine and (name := locks.holder(path / LOCK)) is not None:
        raise _busy(path, name)
    if resume:
        refuse_going_on(path)
    else:
        refuse_existing(path, force)


def _is_file(path: Path) -> bool:
    return stat.S_ISREG(path.lstat().st_mode)


def _busy(path: Path, name: str) -> UserError:
    ways = "wait for its end, stop it (kill -TERM saves), or choose another --out"
    return UserError(f"{path}: is being trained by {name}: {ways}")


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
