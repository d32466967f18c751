"""Writing files and folders: each is complete under its name, or does not exist.

    with replace_file(path) as file: ...      for bytes
    with replacing(path) as new: ...          a path for a library that writes by itself
    with replace_folder(path) as new: ...     an empty folder to fill; one process at a time
    write(path, content)                      for content that is complete

New content is written in a private folder beside its place, `.NAME.partial`. Once it is complete and on the
disk, it is renamed. Until then the old content stays, even if the process is killed. A file that is replaced
keeps its mode and its owner. A symbolic link stays a link, and its target is replaced. Devices, pipes and
open descriptors (/dev/stdout) are opened and written directly. Of several hard links to a file, only the
named one gets the new content.

A process locks its private folder while it runs. If the process is killed, the next process that writes the
same name, or `sweep`, removes its private folder. A folder that it had moved aside comes back to its place.
Nothing else is removed: neither the work of another process nor a file of the user, whatever its name. On a
file system without locks, nothing is removed. Some shared file systems lock only within one machine. So the
private folder of a process of another machine is removed after a day without a change.
"""

import errno
import fcntl
import hashlib
import io
import itertools
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from seq2attn import locks
from seq2attn.errors import UserError

MARK = "seq2attn"  # a file in each private folder, with its process and the name of the file to write
ENDING = ".partial"
_NEW, _OLD = "new", "old"
# The sticky bit, which no other program sets on a private folder, marks ours even before it has a mark.
_PRIVATE = 0o1700
_LONGEST = 255  # bytes of a file's name, at most
_NUMBERS = 8  # private folders that are tried for one name; if all are in use, the name is random
_DESCRIPTORS = re.compile(r"/proc/(\d+)(?:/task/\d+)?/fd")
_QUIET = 24 * 3600  # seconds without a change, after which a process of another machine counts as ended
_LOOK = 0.2  # seconds between two checks whether another process has ended


class ConcurrentWrite(UserError):
    """Another process is writing the same folder, or has just written it.

    If it is still writing, `holder` is its private folder and `maker` its name; otherwise they are None and
    "". The files of both processes stay as they are.
    """

    def __init__(self, message: str, holder: Path | None = None, maker: str = "") -> None:
        super().__init__(message)
        self.holder, self.maker = holder, maker

    def wait(self) -> None:
        """Wait until that process has ended."""
        while self.holder is not None and isinstance(_clear(self.holder), str):
            time.sleep(_LOOK)


# Writing


def write(path: Path, content: bytes, way: str | None = None) -> None:
    """Write the content to `path`.

    Raises UserError if it cannot be written; its message ends in `way`, if given.
    """
    with replace_file(path, way=way) as file:
        file.write(content)


@contextmanager
def replace_file(
    path: Path, *, on_partial: Callable[[Path], None] | None = None, way: str | None = None
) -> Iterator[IO[bytes]]:
    """A new file that replaces `path` if the body succeeds, and is removed otherwise.

    If the body fails or is interrupted, `on_partial` gets the path of a new file beside `path` with the
    content up to then. It is not called if there is no content. Raises UserError, which names `path`, if the
    file cannot be written.
    """
    with refused(path, way):
        place = _place(path)
    if place is None:
        with refused(path, way):
            raw = _Raw(_open_as_it_is(path), path, way)
        with io.BufferedWriter(raw) as file:
            yield file
        return
    with _private_folder(place, path, way) as folder:
        new, maker = folder / _NEW, os.getpid()
        with refused(path, way):
            raw = _Raw(os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), path, way)
        file = io.BufferedWriter(raw)
        try:
            yield file
            file.close()
            with refused(path, way):
                _put(new, place, folder)
        except BaseException:
            with suppress(OSError, ValueError, UserError):
                file.close()
            if on_partial is not None and maker == os.getpid() and new.exists() and new.stat().st_size:
                with refused(path, way):
                    partial = _keep(new, place, folder)
                beside = partial.parent == Path(os.path.realpath(path.parent))  # not if `path` is a link
                on_partial(path.with_name(partial.name) if beside else partial)
            raise


@contextmanager
def replacing(path: Path, way: str | None = None) -> Iterator[Path]:
    """A path at which to write a file. The file replaces `path` if the body succeeds.

    The path has the ending of `path`. An OSError of the body counts as a failure to write. Raises UserError,
    which names `path`.
    """
    with refused(path, way):
        place = _place(path)
        if place is None:
            raise OSError(errno.EINVAL, "a device or a pipe, where a file is wanted")
    with _private_folder(place, path, way) as folder, refused(path, way):
        new = folder / (_NEW + (path.suffix if len(os.fsencode(path.suffix)) < 30 else ""))
        yield new
        _put(new, place, folder)


@contextmanager
def replace_folder(path: Path, check: Callable[[], None], way: str | None = None) -> Iterator[Path]:
    """An empty folder to fill. It replaces `path` if the body succeeds, and is removed otherwise.

    `check` raises if the present content of `path` must not be replaced. It is called first, and again under
    the lock. Raises ConcurrentWrite if another process is writing that folder, or has changed it by the end
    of the body, and UserError, which names `path`, if it cannot be written. Errors of the body pass
    unchanged.
    """
    place = Path(os.path.realpath(path))
    sweep(place.parent)
    check()  # before anything is created, so that a refusal leaves no trace
    with refused(path, way):
        place.parent.mkdir(parents=True, exist_ok=True)
    with _private_folder(place, path, way, alone=True) as folder:
        check()
        before = _identity(place)
        new = folder / _NEW
        with refused(path, way):
            new.mkdir()
        yield new
        with refused(path, way):
            _put_folder(new, place, folder, before, path)


def is_replaced(path: Path) -> bool:
    """Whether `replace_file` makes a new file; False for a device, a pipe or an open descriptor, which it
    writes directly.
    """
    try:
        return _place(path) is not None
    except OSError:  # `replace_file` tells of it
        return True


def remove_folder(folder: Path, last: str) -> None:
    """Remove a folder and what is in it, at the end the file named `last`: whatever a kill leaves, that file
    says what it is.
    """
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != last:
            entry.unlink()
    shutil.rmtree(folder)


def sweep(folder: Path) -> None:
    """Remove the private folders that killed processes have left in `folder`."""
    with suppress(OSError):
        for name in os.listdir(folder):
            if name.startswith(".") and name.endswith(ENDING):
                _clear(folder / name)


def is_left_of(name: str, known: set[str]) -> bool:
    """Whether `name` is the private folder of a file with one of the `known` names."""
    match = re.fullmatch(rf"\.(.+?)(?:\.\d+)?{re.escape(ENDING)}", name)
    return match is not None and match[1] in known


# Replacing the old content


def _place(path: Path) -> Path | None:
    """The path of the file to which all links lead; None for a device, a pipe or a descriptor.

    Raises OSError if it cannot be replaced.
    """
    place = os.path.join(os.getcwd(), path)
    for _ in range(40):  # Linux follows this many links
        parent, name = os.path.split(place)
        parent = os.path.realpath(parent)
        place = os.path.join(parent, name)
        if _DESCRIPTORS.fullmatch(parent):
            return None
        if not os.path.islink(place):
            break
        place = os.path.join(parent, os.readlink(place))
    else:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    try:
        facts = os.stat(place)
    except FileNotFoundError:
        return Path(place)
    if stat.S_ISDIR(facts.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(facts.st_mode):
        return None
    if not os.access(place, os.W_OK):  # a rename would not check it
        number = errno.EROFS if os.statvfs(place).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(number, os.strerror(number))
    return Path(place)


def _open_as_it_is(path: Path) -> int:
    """Open a device or a pipe. A descriptor of this process (/dev/stdout) is duplicated at its position."""
    place = os.path.join(os.path.realpath(path.parent), path.name)
    for _ in range(40):
        parent, name = os.path.split(place)
        parent = os.path.realpath(parent)
        if (match := _DESCRIPTORS.fullmatch(parent)) and int(match[1]) == os.getpid():
            return os.dup(int(name))
        if not os.path.islink(place):
            break
        place = os.path.join(parent, os.readlink(place))
    return os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)


def _put(new: Path, place: Path, folder: Path) -> None:
    _dress(new, place, folder)
    os.replace(new, place)
    _sync(place.parent)


def _dress(new: Path, place: Path, folder: Path) -> None:
    """Bring the file to the disk, with the mode and owner of the file that it replaces, or of a new file."""
    descriptor = os.open(new, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # some file systems have no modes
            if place.exists():
                _dress_like(descriptor, place)
            else:  # some libraries write files that others cannot read
                os.fchmod(descriptor, stat.S_IMODE((folder / MARK).stat().st_mode))
        _flush(descriptor)
    finally:
        os.close(descriptor)


def _dress_like(descriptor: int, old: Path) -> None:
    facts, now = old.stat(), os.fstat(descriptor)
    mode = stat.S_IMODE(facts.st_mode) & 0o777
    if (facts.st_uid, facts.st_gid) != (now.st_uid, now.st_gid):
        try:
            os.fchown(descriptor, facts.st_uid, facts.st_gid)
        except OSError:
            try:
                os.fchown(descriptor, -1, facts.st_gid)
            except OSError:
                mode &= 0o707 | (mode & 7) << 3  # another group, which gets the rights of all others
    os.fchmod(descriptor, mode)
    if hasattr(os, "listxattr"):
        for name in os.listxattr(old):
            if name.startswith(("user.", "system.posix_acl_access")):
                with suppress(OSError):
                    os.setxattr(descriptor, name, os.getxattr(old, name))


def _flush(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (
            errno.EINVAL,
            errno.ENOTSUP,
            errno.EBADF,
        ):  # errors of some network file systems
            raise


def _sync(folder: Path) -> None:
    """Bring the new name to the disk, before anything relies on it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # the folder may be writable and not readable
        return
    try:
        _flush(descriptor)
    finally:
        os.close(descriptor)


def _keep(new: Path, place: Path, folder: Path) -> Path:
    """Move a partial file to an unused name beside `place`, and return that name."""
    _dress(new, place, folder)
    for number in itertools.count(1):
        ending = ENDING if number == 1 else f"{ENDING}-{number}"
        name = place.with_name(_short(place.name, ending))
        try:
            os.link(new, name, follow_symlinks=False)
        except FileExistsError:
            continue
        except OSError:  # this file system has no hard links
            try:
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            except FileExistsError:
                continue
            os.replace(new, name)
        _sync(place.parent)
        return name
    raise AssertionError


def _put_folder(new: Path, place: Path, folder: Path, before: tuple[int, ...] | None, path: Path) -> None:
    theirs = "another process has made or changed it meanwhile; it stays as that process left it"
    changed = ConcurrentWrite(f"{path}: {theirs}: choose another name")
    for root, _, files in os.walk(new):
        for name in files:
            descriptor = os.open(os.path.join(root, name), os.O_RDONLY | os.O_CLOEXEC)
            try:
                _flush(descriptor)
            finally:
                os.close(descriptor)
        _sync(Path(root))
    if before is not None and place.exists():
        with suppress(OSError):
            new.chmod(stat.S_IMODE(place.stat().st_mode))
        os.rename(place, folder / _OLD)  # `_remove` moves it back if the new one does not come
        if _identity(folder / _OLD) != before:
            raise changed
    elif before is not None or os.path.lexists(place):
        raise changed
    try:
        os.rename(new, place)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise changed from None
        raise
    _sync(place.parent)


def _identity(place: Path) -> tuple[int, ...] | None:
    """Device, inode and modification time of a folder; None if it does not exist."""
    try:
        facts = place.stat()
    except FileNotFoundError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns


# The private folder


@contextmanager
def _private_folder(place: Path, path: Path, way: str | None, alone: bool = False) -> Iterator[Path]:
    maker = os.getpid()
    with refused(path, way):
        folder, descriptor = _create_private(place, path, alone)
    try:
        with refused(path, way):
            _sign(folder, place)
        yield folder
    finally:
        if os.getpid() == maker:  # not in a child process that was forked meanwhile
            _remove(folder)
            locks.let_go(descriptor)


def _create_private(place: Path, path: Path, alone: bool) -> tuple[Path, int]:
    """A new private folder for `place`, and a descriptor with its lock.

    The private folders of ended processes are removed. With `alone`, raises ConcurrentWrite if one is in use.
    """
    if not place.parent.exists():
        raise FileNotFoundError(errno.ENOENT, f"there is no folder {path.parent}", str(path))
    while True:
        folder = None
        for number in range(1, _NUMBERS + 1):
            ending = ENDING if number == 1 else f".{number}{ENDING}"
            candidate = place.with_name(_short(f".{place.name}", ending))
            state = _clear(candidate)
            if isinstance(state, str) and alone:
                raise ConcurrentWrite(
                    f"{path}: {state} is making it: wait for it to end, or choose another place",
                    candidate,
                    state,
                )
            if state is True and folder is None:
                folder = candidate
        folder = folder or place.with_name(_short(f".{place.name}", f".{os.urandom(4).hex()}{ENDING}"))
        try:
            os.mkdir(folder, _PRIVATE)
        except FileExistsError:  # another process was faster
            continue
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            with suppress(OSError):  # this file system has no locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if locks.is_at(folder, descriptor):
                locks.keep(descriptor)
                return folder, descriptor
            os.close(descriptor)  # another process removed it before it was locked


def _sign(folder: Path, place: Path) -> None:
    """Write the mark: the process and the name. Its mode is the default mode of new files in this place."""
    descriptor = os.open(folder / MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        os.write(descriptor, f"{locks.own_name()}\n".encode() + os.fsencode(place.name))
    finally:
        os.close(descriptor)


def _clear(folder: Path) -> str | bool:
    """Remove a private folder whose process has ended.

    Returns True if nothing is there now, False if it must not be removed, or the name of the process that
    works in it.
    """
    try:
        facts = folder.lstat()
        private = stat.S_ISDIR(facts.st_mode) and facts.st_mode & 0o1777 == _PRIVATE
        if not private or facts.st_uid != os.geteuid():
            return False
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if (names := os.listdir(descriptor)) and MARK not in names:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _maker(folder) or "another process"
        except OSError:
            return False
        if not locks.is_at(folder, descriptor):
            return not os.path.lexists(folder)
        if _may_be_elsewhere(folder):
            return False
        _remove(folder)
        return not os.path.lexists(folder)
    finally:
        os.close(descriptor)


def _may_be_elsewhere(folder: Path) -> bool:
    """Whether a process of another machine created the folder and may still work in it."""
    maker = _maker(folder)
    if not maker or maker.partition(" on ")[2] == locks.own_name().partition(" on ")[2]:
        return False
    with suppress(OSError):
        latest = max((folder / name).lstat().st_mtime for name in os.listdir(folder))
        return time.time() - latest < _QUIET
    return True


def _maker(folder: Path) -> str:
    with suppress(OSError):
        return (folder / MARK).read_bytes().split(b"\n")[0].decode("utf-8", "replace")
    return ""


def _remove(folder: Path) -> None:
    """Remove a private folder. A folder that was moved into it goes back to its place, if that is free."""
    with suppress(OSError):
        if (old := folder / _OLD).exists():
            name = os.fsdecode((folder / MARK).read_bytes().split(b"\n", 1)[1])
            if name and os.sep not in name and not os.path.lexists(folder.with_name(name)):
                os.rename(old, folder.with_name(name))
    with suppress(OSError):
        for entry in os.listdir(folder):  # the mark last, so an interrupted removal leaves it
            if entry != MARK:
                _remove_whole(folder / entry)
        with suppress(FileNotFoundError):
            os.unlink(folder / MARK)
        os.rmdir(folder)


def _remove_whole(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _short(name: str, ending: str) -> str:
    """The name with the ending.

    A name that is too long for a file system is cut and gets a hash of the whole.
    """
    whole = os.fsencode(name)
    if len(whole) + len(ending) <= _LONGEST:
        return name + ending
    mark = f"-{hashlib.sha256(whole).hexdigest()[:8]}"
    return whole[: _LONGEST - len(mark) - len(ending)].decode("utf-8", "ignore") + mark + ending


# Errors


class _Raw(io.FileIO):
    """A file whose errors name the path that the user gave."""

    def __init__(self, descriptor: int, path: Path, way: str | None) -> None:
        super().__init__(descriptor, "wb")
        self._path, self._way = path, way

    def write(self, content: Any) -> int:
        with refused(self._path, self._way):
            return super().write(content) or 0


_WAYS = {
    errno.ENOSPC: "make room, or write elsewhere",
    errno.EDQUOT: "make room, or write elsewhere",
    errno.EFBIG: "raise the limit (ulimit -f), or write elsewhere",
    errno.EROFS: "write elsewhere",
    errno.EACCES: "change the permissions of it and its folder, or choose another place",
    errno.EPERM: "change the permissions of it and its folder, or choose another place",
    errno.ENOENT: "make it first",
    errno.EISDIR: "name a file",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "the link leads to itself: remove it, or name another file",
}


@contextmanager
def refused(path: Path, way: str | None = None) -> Iterator[None]:
    """Turn an OSError of the body into a UserError of one line that names `path`.

    A pipe without a reader stays a BrokenPipeError.
    """
    try:
        yield
    except BrokenPipeError as error:
        error.filename = error.filename or str(path)
        raise
    except OSError as error:
        raise refusal(path, error, way) from error


def refusal(path: Path, error: Exception, way: str | None = None) -> UserError:
    """A UserError of one line: `path`, why it cannot be written, and the way out.

    `way` is the way out. None: the usual way out for that cause.
    """
    number = number_of(error)
    own = error.strerror if isinstance(error, OSError) and error.errno == errno.ENOENT else None
    reason = (own or os.strerror(number)) if number else " ".join(str(error).split()) or type(error).__name__
    way = way or _WAYS.get(number, "choose another place")
    return UserError(f"{path}: cannot be written: {reason}; {way}")


def number_of(error: BaseException) -> int:
    """The errno of an error, also if a library wrote it only into its message; 0 if there is none."""
    if isinstance(error, OSError) and error.errno:
        return error.errno
    match = re.search(r"\b(?:os error|errno) (\d+)\b", str(error), re.IGNORECASE)
    return int(match[1]) if match else 0
