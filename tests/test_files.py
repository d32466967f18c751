"""What is written is whole under its name, or what stood there stays: for errors, signals, kills, links,
modes and names of the user's.
"""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from full_disk import largest_file

from seq2attn import files
from seq2attn.errors import UserError

OLD, NEW = b"of yesterday\n", b"of today\n"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def killed(tmp_path: Path, body: str, moment: str = "") -> None:
    """Run `body` in a process that kills itself at `moment`, a call of the module os, or else where the body
    says so.
    """
    program = (
        "import os, signal, sys, pathlib\nfrom seq2attn import files\n"
        "kill = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"place = pathlib.Path({str(tmp_path)!r})\n"
    )
    program += f"os.{moment} = kill\n" if moment else ""
    ended = subprocess.run(
        [sys.executable, "-c", program + body], cwd=Path(__file__).parents[1], timeout=60, check=False
    )
    assert ended.returncode == -signal.SIGKILL


@contextmanager
def working(body: str) -> Iterator[subprocess.Popen[str]]:
    """A process that runs `body`, which must print a line, and is killed in the end."""
    program = "import os, sys, time, pathlib\nfrom seq2attn import files\n" + body
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def cut(path: Path, content: bytes, error: BaseException, told: list[Path] | None = None) -> None:
    """Write the content, and fail."""
    with files.replace_file(path, on_partial=None if told is None else told.append) as file:
        file.write(content)
        raise error


# A file


def test_replace_file_keeps_the_old_content_until_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(OLD)
    with files.replace_file(path) as file:
        file.write(NEW)
        file.flush()
        assert path.read_bytes() == OLD
    assert path.read_bytes() == NEW
    assert names(tmp_path) == ["x"]


def test_replace_file_has_content_on_the_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts on a new file, as the state of a training on its tensors, may be read after a power cut."""
    done: list[str] = []
    sync, replace, rename = os.fsync, os.replace, os.rename

    def note_sync(descriptor: int) -> None:
        done.append("sync " + Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        sync(descriptor)

    def note_move(move: Callable[..., None]) -> Callable[..., None]:
        def moved(old: Path, new: Path) -> None:
            done.append(f"move {Path(new).name}")
            move(old, new)

        return moved

    monkeypatch.setattr(os, "fsync", note_sync)
    monkeypatch.setattr(os, "replace", note_move(replace))
    monkeypatch.setattr(os, "rename", note_move(rename))
    files.write(tmp_path / "a", b"content")
    assert done == ["sync new", "move a", f"sync {tmp_path.name}"]
    done.clear()
    with files.replace_folder(tmp_path / "b", lambda: None) as new:
        (new / "c").write_bytes(b"content")
    assert done == ["sync c", "sync new", "move b", f"sync {tmp_path.name}"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), ValueError("x"), MemoryError()])
def test_replace_file_that_fails_leaves_no_trace_or_a_partial_file(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "x"
    path.write_bytes(OLD)
    with pytest.raises(type(error)):
        cut(path, NEW, error)
    assert names(tmp_path) == ["x"]
    (tmp_path / "x.partial").write_bytes(b"mine")
    told: list[Path] = []
    for _ in range(2):
        with pytest.raises(type(error)):
            cut(path, NEW, error, told)
    assert told == [tmp_path / "x.partial-2", tmp_path / "x.partial-3"]
    assert [file.read_bytes() for file in told] == [NEW, NEW]
    assert (path.read_bytes(), (tmp_path / "x.partial").read_bytes()) == (OLD, b"mine")
    with pytest.raises(type(error)):
        cut(path, b"", error, told)
    assert len(told) == 2
    assert names(tmp_path) == ["x", "x.partial", "x.partial-2", "x.partial-3"]


def test_partial_file_is_kept_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "x.partial").write_bytes(b"mine")
    told: list[Path] = []
    with pytest.raises(ValueError, match="cut"):
        cut(tmp_path / "x", NEW, ValueError("cut"), told)
    assert (told[0].name, told[0].read_bytes(), (tmp_path / "x.partial").read_bytes()) == (
        "x.partial-2",
        NEW,
        b"mine",
    )
    assert names(tmp_path) == ["x.partial", "x.partial-2"]


def test_full_disk_is_one_line_with_the_users_path(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(OLD)
    told: list[Path] = []
    with largest_file(5000), pytest.raises(UserError) as caught:
        cut(path, NEW * 2000, ValueError("not reached"), told)
    assert (
        str(caught.value)
        == f"{path}: cannot be written: File too large; raise the limit (ulimit -f), or write elsewhere"
    )
    assert path.read_bytes() == OLD
    assert told == [tmp_path / "x.partial"]
    with (
        largest_file(100),
        pytest.raises(UserError, match=f"^{re.escape(str(path))}: cannot be written: File too large"),
    ):
        files.write(path, b"x" * 1000)
    with (
        largest_file(100),
        pytest.raises(UserError, match=r"^[^:]*/x: cannot be written"),
        files.replacing(path) as new,
    ):
        new.write_bytes(b"x" * 1000)
    assert names(tmp_path) == ["x", "x.partial"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("call", ["fsync", "replace", "mkdir", "fchmod"])
def test_refusal_names_the_file_and_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/somewhere/.x.partial/new")

    path = tmp_path / "x"
    path.write_bytes(OLD)
    with monkeypatch.context() as patched:
        patched.setattr(os, call, refuse)
        if call == "fchmod":  # not every file system has modes
            files.write(path, NEW)
            return
        with pytest.raises(UserError) as caught:
            files.write(path, NEW)
    assert str(caught.value).startswith(f"{path}: cannot be written: {os.strerror(number)}; ")
    assert (path.read_bytes(), names(tmp_path)) == (OLD, ["x"])


def test_replace_file_refuses_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)
    (tmp_path / "loop").symlink_to("loop")
    for name, reason in (
        ("none/x", "there is no folder .*/none; make it first"),
        ("file/x", "Not a directory"),
        (".", "Is a directory; name a file"),
        ("loop", "Too many levels of symbolic links; the link leads to itself: remove it"),
        ("y" * 256, "File name too long; choose a shorter name"),
    ):
        with pytest.raises(
            UserError, match=f"^{re.escape(str(tmp_path / name))}: cannot be written: {reason}"
        ):
            files.write(tmp_path / name, NEW)
    assert names(tmp_path) == ["file", "loop"]


def test_replace_file_refuses_a_read_only_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    path.write_bytes(OLD)
    monkeypatch.setattr(os, "access", lambda place, way: False)  # root may write anywhere
    with pytest.raises(UserError, match="x: cannot be written: Permission denied; change the permissions"):
        files.write(path, NEW)
    assert path.read_bytes() == OLD


@pytest.mark.parametrize("length", [240, 250, 255])
def test_replace_file_allows_names_of_full_length(tmp_path: Path, length: int) -> None:
    for letter in ("x", "ä"):
        path = tmp_path / (letter * (length // len(letter.encode())))
        files.write(path, OLD)
        told: list[Path] = []
        with pytest.raises(ValueError, match="cut"):
            cut(path, NEW, ValueError("cut"), told)
        assert (path.read_bytes(), told[0].read_bytes()) == (OLD, NEW)
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff" + b"y" * (length - 1)))
    files.write(path, OLD)
    assert path.read_bytes() == OLD


# Modes, owners, links, devices


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002, 0o027])
def test_new_file_has_the_mode_of_the_umask(tmp_path: Path, mask: int) -> None:
    with umask(mask):
        files.write(tmp_path / "x", NEW)
        with files.replacing(tmp_path / "y.bin") as new:  # a library that hides what it writes
            os.close(os.open(new, os.O_WRONLY | os.O_CREAT, 0o600))
        with files.replace_folder(tmp_path / "z", lambda: None) as new:
            files.write(new / "x", NEW)
            (new / "deep").mkdir()
            (new / "deep" / "y").write_bytes(NEW)
    assert [mode(tmp_path / name) for name in ("x", "y.bin", "z/x", "z/deep/y")] == [0o666 & ~mask] * 4
    assert [mode(tmp_path / name) for name in ("z", "z/deep")] == [0o777 & ~mask] * 2


@pytest.mark.parametrize("given", [0o600, 0o640, 0o666, 0o755, 0o400])
def test_replaced_file_keeps_its_mode(tmp_path: Path, given: int) -> None:
    for name in ("x", "y.bin"):
        (tmp_path / name).write_bytes(OLD)
        (tmp_path / name).chmod(given)
    if not os.access(tmp_path / "x", os.W_OK):
        pytest.skip("this user may not write there")
    with umask(0o022):
        files.write(tmp_path / "x", NEW)
        with files.replacing(tmp_path / "y.bin") as new:
            new.write_bytes(NEW)
        told: list[Path] = []
        with pytest.raises(ValueError, match="cut"):
            cut(tmp_path / "x", NEW, ValueError("cut"), told)
    assert [mode(tmp_path / "x"), mode(tmp_path / "y.bin"), mode(told[0])] == [given] * 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_replaced_file_keeps_its_owner(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(OLD)
    os.chown(tmp_path / "x", 12345, 54321)
    files.write(tmp_path / "x", NEW)
    facts = (tmp_path / "x").stat()
    assert (facts.st_uid, facts.st_gid, (tmp_path / "x").read_bytes()) == (12345, 54321, NEW)


def test_replaced_folder_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a").write_bytes(OLD)
    (tmp_path / "x").chmod(0o750)
    with umask(0o022), files.replace_folder(tmp_path / "x", lambda: None) as new:
        (new / "a").write_bytes(NEW)
    assert (mode(tmp_path / "x"), (tmp_path / "x" / "a").read_bytes(), names(tmp_path)) == (0o750, NEW, ["x"])


def test_replace_file_follows_links(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "real").write_bytes(OLD)
    (tmp_path / "chain").symlink_to("deep/link")
    (tmp_path / "deep" / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("deep/made")
    for name in ("chain", "dangling"):
        files.write(tmp_path / name, NEW)
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "deep" / "link").is_symlink()
    assert [(tmp_path / "deep" / name).read_bytes() for name in ("real", "made")] == [NEW, NEW]
    assert names(tmp_path / "deep") == ["link", "made", "real"]
    (tmp_path / "lost").symlink_to("none/x")
    with pytest.raises(UserError, match="/lost: cannot be written: there is no folder"):
        files.write(tmp_path / "lost", NEW)
    (tmp_path / "out").symlink_to("place")
    for content in (OLD, NEW):
        with files.replace_folder(tmp_path / "out", lambda: None) as new:
            (new / "a").write_bytes(content)
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "place" / "a").read_bytes() == NEW


def test_replace_file_writes_to_devices_pipes_and_descriptors(tmp_path: Path) -> None:
    files.write(Path("/dev/null"), NEW)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    files.write(tmp_path / "pipe", NEW)
    assert os.read(reader, 100) == NEW
    os.close(reader)
    body = "with files.replace_file(pathlib.Path(sys.argv[1])) as file:\n    file.write(b'more\\n')\n"
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        (tmp_path / "x").write_bytes(OLD)
        before = (tmp_path / "x").stat().st_ino
        with (tmp_path / "x").open("ab") as file:
            program = "import sys, pathlib\nfrom seq2attn import files\n" + body
            subprocess.run(
                [sys.executable, "-c", program, name],
                stdout=file,
                cwd=Path(__file__).parents[1],
                check=True,
                timeout=60,
            )
        assert ((tmp_path / "x").read_bytes(), (tmp_path / "x").stat().st_ino) == (OLD + b"more\n", before)
    assert names(tmp_path) == ["pipe", "x"]
    if Path("/dev/full").exists():
        with pytest.raises(
            UserError, match=r"^/dev/full: cannot be written: No space left on device; make room"
        ):
            files.write(Path("/dev/full"), NEW)


# What is not ours


def test_sweep_touches_no_file_of_the_user(tmp_path: Path) -> None:
    mine = ["x.new", "x.partial", ".x.partial", ".x.2.partial", ".x.new", "x.old", ".x", "x~", "new"]
    for name in mine:
        (tmp_path / name).write_bytes(b"mine")
    folder = tmp_path / ".x.3.partial"
    folder.mkdir(mode=0o700)
    (folder / "seq2attn").write_bytes(b"mine")
    (tmp_path / ".x.4.partial").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    files.write(tmp_path / "x", NEW)
    files.sweep(tmp_path)
    with files.replace_folder(tmp_path / "f", lambda: None) as new:
        (new / "a").write_bytes(NEW)
    assert all((tmp_path / name).read_bytes() == b"mine" for name in mine)
    assert (folder / "seq2attn").read_bytes() == b"mine"
    assert names(tmp_path) == sorted([*mine, ".x.3.partial", ".x.4.partial", "elsewhere", "f", "x"])
    assert not names(tmp_path / "elsewhere")


def test_private_folder_of_another_process_has_its_own_name(tmp_path: Path) -> None:
    path = tmp_path / "x"
    body = (
        f"with files.replace_file(pathlib.Path({str(path)!r})) as file:\n"
        "    file.write(b'theirs')\n    file.flush()\n    print('x', flush=True)\n    time.sleep(600)"
    )
    with working(body):
        files.sweep(tmp_path)
        files.write(path, NEW)
        assert path.read_bytes() == NEW
        (theirs,) = tmp_path.glob(".x.*partial")
        assert (theirs / "new").read_bytes() == b"theirs"
    files.write(path, OLD)
    assert names(tmp_path) == ["x"]


def test_private_folder_is_not_locked_by_a_forked_child(tmp_path: Path) -> None:
    body = (
        f"with files.replace_file(pathlib.Path({str(tmp_path / 'x')!r})) as file:\n    if not os.fork():\n"
        "        print(os.getpid(), flush=True)\n        time.sleep(600)\n    os.kill(os.getpid(), 9)\n"
    )
    program = "import os, sys, time, pathlib\nfrom seq2attn import files\n" + body
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        process.wait()
        try:
            files.write(tmp_path / "x", NEW)
            assert names(tmp_path) == ["x"]
        finally:
            os.kill(child, signal.SIGKILL)


# What a kill leaves


@pytest.mark.parametrize("moment", ["write", "fsync", "replace", "rmdir", "mkdir", "unlink"])
def test_killed_writer_leaves_the_old_file_and_the_next_writer_sweeps(tmp_path: Path, moment: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(OLD)
    killed(tmp_path, "files.write(place / 'x', b'of a moment ago')", moment)
    assert path.read_bytes() == (b"of a moment ago" if moment in ("rmdir", "unlink") else OLD)
    files.write(path, NEW)
    assert (path.read_bytes(), names(tmp_path)) == (NEW, ["x"])


def test_sweep_waits_a_day_for_another_machine(tmp_path: Path) -> None:
    """Some shared file systems keep a lock to the machine that took it."""
    killed(
        tmp_path,
        "with files.replace_file(place / 'x') as file:\n    file.write(b'x')\n    file.flush()\n    kill()",
    )
    mark = tmp_path / ".x.partial" / files.MARK
    mark.write_bytes(b"process 1 on another-machine\nx")
    files.sweep(tmp_path)
    files.write(tmp_path / "x", NEW)
    assert names(tmp_path) == [".x.partial", "x"]
    for file in mark.parent.iterdir():
        os.utime(file, (0, time.time() - 25 * 3600))
    files.sweep(tmp_path)
    assert names(tmp_path) == ["x"]


def test_private_folder_is_removed_with_what_a_library_left(tmp_path: Path) -> None:
    killed(
        tmp_path,
        "with files.replacing(place / 'x.bin') as new:\n    new.with_name('.tmpabc').write_text('x')\n"
        "    (new.parent / 'deep').mkdir()\n    kill()",
    )
    assert names(tmp_path) == [".x.bin.partial"]
    files.sweep(tmp_path)
    assert not names(tmp_path)


@pytest.mark.parametrize("moves", [0, 1, 2])
def test_replace_folder_killed_between_its_moves_loses_neither(tmp_path: Path, moves: int) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_bytes(OLD)
    body = (
        "before, moves = os.rename, []\n"
        "def rename(*names):\n"
        f"    if len(moves) == {moves}:\n        kill()\n"
        "    before(*names)\n    moves.append(names)\n"
        "os.rename = rename\n"
        "with files.replace_folder(place / 'out', lambda: None) as new:\n    (new / 'a').write_text('new')\n"
        "kill()\n"
    )
    killed(tmp_path, body)
    assert (tmp_path / "out").exists() == (moves != 1)
    files.sweep(tmp_path)
    assert (tmp_path / "out" / "a").read_bytes() == (b"new" if moves == 2 else OLD)
    assert names(tmp_path) == ["out"]


def test_sweep_removes_nothing_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "no locks here")

    killed(tmp_path, "with files.replace_file(place / 'x') as file:\n    kill()")
    monkeypatch.setattr(files.fcntl, "flock", refuse)
    files.write(tmp_path / "x", NEW)
    with files.replace_folder(tmp_path / "f", lambda: None) as new:
        (new / "a").write_bytes(NEW)
    assert names(tmp_path) == [".x.partial", "f", "x"]


# Two that make one folder


def test_second_writer_of_a_folder_is_refused_at_its_start(tmp_path: Path) -> None:
    out = tmp_path / "out"
    body = (
        f"with files.replace_folder(pathlib.Path({str(out)!r}), lambda: None) as new:\n"
        "    print('x', flush=True)\n    time.sleep(600)"
    )
    with working(body) as process:
        with (
            pytest.raises(
                files.ConcurrentWrite,
                match=rf"^{re.escape(str(out))}: process {process.pid} on \S+ is making it: wait",
            ) as caught,
            files.replace_folder(out, lambda: None),
        ):
            pass
        assert names(tmp_path) == [".out.partial"]
    caught.value.wait()
    with files.replace_folder(out, lambda: None) as new:
        (new / "a").write_bytes(NEW)
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("stood", [False, True])
def test_second_writer_of_a_folder_is_refused_at_its_end(tmp_path: Path, stood: bool) -> None:
    """Where the first was not seen, as on a file system without locks."""
    out = tmp_path / "out"
    if stood:
        out.mkdir()
        (out / "a").write_bytes(OLD)

    def first_comes() -> None:
        with files.replace_folder(out, lambda: None) as new:
            (new / "a").write_bytes(NEW)
            if stood:
                out.rename(tmp_path / "aside")
            out.mkdir()
            (out / "a").write_bytes(b"of the first")

    with pytest.raises(files.ConcurrentWrite, match="another process has made or changed it meanwhile"):
        first_comes()
    assert (out / "a").read_bytes() == b"of the first"
    assert names(tmp_path) == (["aside", "out"] if stood else ["out"])


def test_replace_folder_that_is_refused_leaves_no_trace(tmp_path: Path) -> None:
    def refuse() -> None:
        raise UserError("it stands")

    with pytest.raises(UserError, match="it stands"), files.replace_folder(tmp_path / "deep" / "out", refuse):
        pass
    assert not names(tmp_path)
