r"""Lines of text as they come: from standard input or from files, read ahead by a thread, in bounded memory.

A line ends at "\n" and nowhere else; a "\r" before it is dropped. Invalid UTF-8 is replaced and reported. It knows nothing of what becomes of a line.
"""

import io
import os
import queue
import select
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

from seq2attn.cli import console
from seq2attn.errors import UserError

T = TypeVar("T")

LONGEST_WAIT = 1.0  # seconds
BLOCK = 1 << 16  # bytes of one read
AHEAD = 16  # blocks that wait to be taken: enough for CHARACTERS, and lines without text are not many times their bytes
CHARACTERS = 1 << 20  # that one `take` gives, about


class Line(NamedTuple):
    text: str
    number: int  # in its file, from 1
    file: str  # "" for standard input

    @property
    def where(self) -> str:
        return f"{self.file}, line {self.number}" if self.file else f"line {self.number}"


class Stream:
    """The lines of several files after each other, or of standard input ("-", or no file at all)."""

    def __init__(self, files: Sequence[str] = (), paths: bool = False) -> None:
        """Raises UserError where a file cannot be opened: before anything is read. Lines that are `paths` keep bytes that are no UTF-8, as `os.fsdecode` does."""
        self._paths = paths
        self._sources = [(name, _open(name)) for name in files or ["-"]]
        self._blocks: queue.Queue[list[tuple[bytes, int, str]] | BaseException | None] = queue.Queue(AHEAD)
        self._waiting: list[tuple[bytes, int, str]] = []
        self._ended = False
        # A daemon that holds no lock of Python's own streams: it may wait for input while the program ends.
        threading.Thread(target=self._read, daemon=True).start()

    def take(self, most: int) -> list[Line]:
        """Waits for one line, then gives all that are there already, `most` of them or about CHARACTERS at the most. Nothing: the end."""
        while not self._waiting and not self._ended:
            self._receive(next_of(self._blocks))
        while len(self._waiting) < most and not self._ended:
            try:
                self._receive(self._blocks.get_nowait())
            except queue.Empty:
                break
        size = count = 0
        while count < min(most, len(self._waiting)) and size < CHARACTERS:
            size += len(self._waiting[count][0])
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return [_decoded(*line, self._paths) for line in taken]

    def _receive(self, block: list[tuple[bytes, int, str]] | BaseException | None) -> None:
        if isinstance(block, BaseException):
            raise block
        if block is None:
            self._ended = True
        else:
            self._waiting += block

    def _read(self) -> None:
        try:
            for name, source in self._sources:
                with source:
                    number = 0
                    for lines in _split(source):
                        self._blocks.put([(line, number + i, "" if name == "-" else name) for i, line in enumerate(lines, 1)])
                        number += len(lines)
            self._blocks.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where the line is taken: it waits there
            self._blocks.put(error)


def next_of(waiting: "queue.Queue[T]") -> T:
    """What comes next, waited for in pieces: a signal that arrives just before a wait begins is seen only after it."""
    while True:
        with suppress(queue.Empty):
            return waiting.get(timeout=LONGEST_WAIT)


def _open(name: str) -> io.RawIOBase | io.BufferedIOBase:
    if name != "-":
        if Path(name).is_dir():
            raise UserError(f"{name}: a folder, where a file of text is wanted")
        try:
            return open(name, "rb", buffering=0)
        except OSError as error:
            raise UserError(f"{name}: {error.strerror}") from None
    if sys.stdin is None:
        raise UserError("there is no standard input: name a file")
    try:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    except (OSError, ValueError):  # a stream of this process, without a file behind it
        return io.BytesIO(sys.stdin.buffer.read())


def _split(source: io.RawIOBase | io.BufferedIOBase) -> Iterator[list[bytes]]:
    """The lines of each block as soon as it is read; the last one may lack its end."""
    begun: list[bytes] = []  # of a line longer than a block
    while (block := source.read(BLOCK)) != b"":
        if block is None:  # nothing yet, where another program has made the pipe one that does not wait
            select.select([source], [], [])
            continue
        first, *rest = block.split(b"\n")
        begun.append(first)
        if rest:
            lines = [b"".join(begun), *rest]
            begun = [lines.pop()]
            yield lines
    if last := b"".join(begun):
        yield [last]


def _decoded(line: bytes, number: int, file: str, path: bool) -> Line:
    try:
        text = line.decode("utf-8", "surrogateescape" if path else "strict")
    except UnicodeDecodeError:
        text = line.decode("utf-8", "replace")
        console.warn(f"{Line('', number, file).where}: invalid UTF-8, replaced")
    if number == 1:
        text = text.removeprefix("\ufeff")  # a signature, no text
    return Line(text.removesuffix("\r"), number, file)


def is_terminal() -> bool:
    """Whether a person types the lines."""
    return sys.stdin is not None and os.isatty(sys.stdin.fileno()) if _has_file(sys.stdin) else False


def _has_file(stream: object) -> bool:
    try:
        return stream is not None and stream.fileno() >= 0  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        return False
