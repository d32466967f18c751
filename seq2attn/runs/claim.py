"""A lock in the run directory, so that only one process trains a run.

It is held from before anything is touched until training has ended. Reading a run, to translate or to score,
needs no lock. This module knows no training loop.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from seq2attn import locks
from seq2attn.errors import UserError
from seq2attn.runs.directory import LOCK, writing

NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)  # file systems without locks, as some shared ones


@contextmanager
def claimed(path: Path, check: Callable[[], None]) -> Iterator[bool]:
    """Keep every other trainer out of the run at `path`. The folder is created if it is missing.

    `check` raises UserError if the run may not be trained. It is called before anything is touched, and again
    once nobody else can train the run. Yields whether the file system has locks; without them nobody is kept
    out. Folders that were created only for the lock are removed at the end. Raises UserError, with nothing
    touched, if another process trains the run.
    """
    lock = path / LOCK
    if (name := locks.holder(lock)) is not None:
        raise _busy(path, name)
    check()
    with ExitStack() as stack:
        stack.callback(_remove_empty, [one for one in (path, *path.parents) if not one.exists()])
        is_locked = True
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(locks.lock(lock))
            except locks.Held as held:
                raise _busy(path, str(held)) from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    if os.path.lexists(lock) and not stat.S_ISREG(lock.lstat().st_mode):
                        raise UserError(f"{lock}: not a regular file, so no lock: remove it") from None
                    raise
                is_locked = False
        check()  # another process may have trained it, and ended, meanwhile
        yield is_locked


def _busy(path: Path, name: str) -> UserError:
    advice = "wait for its end, stop it (kill -TERM saves), or choose another `out`"
    return UserError(f"{path}: is being trained by {name}: {advice}")


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()
