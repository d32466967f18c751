r"""Lines of text as they come: from standard input or from files, packed or not, read ahead by a thread, in
bounded memory.

A line ends at "\n" and nowhere else; a "\r" before it is dropped. Of a line longer than a bound the rest is
dropped while it is read. Invalid UTF-8 is replaced and reported. It knows nothing of what becomes of a line.
"""

import codecs
import io
import os
import queue
import select
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple, TypeVar, cast

from seq2attn.cli import console
from seq2attn.data.formats.lines import unpacked
from seq2attn.errors import UserError

T = TypeVar("T")

LONGEST_WAIT = 1.0  # seconds
BLOCK = 1 << 16  # bytes of one read
# blocks that wait to be taken: enough for CHARACTERS, and lines without text are not many times their bytes
AHEAD = 16
CHARACTERS = 1 << 20  # that one `take` gives, about
LONGEST = 1 << 20  # bytes of one line that are kept: many times what a model reads


class Line(NamedTuple):
    text: str
    number: int  # in its file, from 1
    file: str  # "" for standard input
    cut: bool = False  # whether its end was dropped, for the line was too long

    @property
    def where(self) -> str:
        return f"{self.file}, line {self.number}" if self.file else f"line {self.number}"


class LineReader:
    """The lines of several files after each other, or of standard input ("-", or no file at all)."""

    def __init__(self, files: Sequence[str] = (), paths: bool = False, longest: int = LONGEST) -> None:
        """Raises UserError where a file cannot be opened, or is no text: before any line is read. What comes
        through a pipe is looked at when it comes.

        Lines that are `paths` keep bytes that are no UTF-8, as `os.fsdecode` does. Of each line `longest`
        bytes are kept.
        """
        self._paths = paths
        self._longest = longest
        self._sources: list[tuple[str, io.RawIOBase | io.BufferedIOBase]] = []
        with ExitStack() as opened:  # closed where one of them cannot be opened
            for name in files or ["-"]:
                source = _open(name)
                opened.callback(source.close)
                self._sources.append((name, source))
            opened.pop_all()
        self._blocks: queue.Queue[list[_Raw] | BaseException | None] = queue.Queue(AHEAD)
        self._waiting: list[_Raw] = []
        self._error: BaseException | None = None
        self._ended = False
        # A daemon that holds no lock of Python's own streams: it may wait for input while the program ends.
        threading.Thread(target=self._read, daemon=True).start()

    def take(self, most: int, characters: int = CHARACTERS) -> list[Line]:
        """Waits for one line, then gives all that are there already, `most` of them or about so many
        characters at the most. Nothing: the end.

        What stopped the reading is raised behind the last line before it.
        """
        while not self._waiting and not self._ended:
            self._receive(next_of(self._blocks))
        while len(self._waiting) < most and not self._ended:
            try:
                self._receive(self._blocks.get_nowait())
            except queue.Empty:
                break
        if self._error is not None and not self._waiting:
            raise self._error
        size = count = 0
        while count < min(most, len(self._waiting)) and size < characters:
            size += len(self._waiting[count][0])
            count += 1
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        return [_decoded(*line, self._paths, self._longest) for line in taken]

    def _receive(self, block: "list[_Raw] | BaseException | None") -> None:
        if isinstance(block, BaseException):
            self._error, self._ended = block, True
        elif block is None:
            self._ended = True
        else:
            self._waiting += block

    def _read(self) -> None:
        try:
            for name, source in self._sources:
                with (
                    source,
                    unpacked(cast(BinaryIO, source), "standard input" if name == "-" else name) as content,
                ):
                    number = 0
                    for lines in (
                        _split(content) if self._longest == LONGEST else _split(content, self._longest)
                    ):
                        self._blocks.put(
                            [
                                (line, number + i, "" if name == "-" else name)
                                for i, line in enumerate(lines, 1)
                            ]
                        )
                        number += len(lines)
            self._blocks.put(None)
        except BaseException as error:  # noqa: BLE001 - raised where the line is taken: it waits there
            self._blocks.put(error)


_Raw = tuple[bytes, int, str]  # a line before it is decoded


def next_of(waiting: "queue.Queue[T]") -> T:
    """What comes next, waited for in pieces: a signal that arrives just before a wait begins is seen only
    after it.
    """
    while True:
        with suppress(queue.Empty):
            return waiting.get(timeout=LONGEST_WAIT)


def _open(name: str) -> io.RawIOBase | io.BufferedIOBase:
    if name != "-":
        if Path(name).is_dir():
            raise UserError(f"{name}: a folder, where a file of text is wanted")
        try:
            # no pipe, which would have to be waited for: what is no text is refused at once
            if Path(name).is_file():
                with open(name, "rb", buffering=0) as file, unpacked(cast(BinaryIO, file), name):
                    pass
            return open(name, "rb", buffering=0)
        except OSError as error:
            raise UserError(f"{name}: {error.strerror}") from None
        except ValueError:  # a NUL, or half of a surrogate pair
            raise UserError(f"{name}: no name of a file") from None
    if sys.stdin is None:
        raise UserError("there is no standard input: name a file")
    try:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    except (OSError, ValueError):  # a stream of this process, without a file behind it
        return io.BytesIO(sys.stdin.buffer.read())


def _split(source: BinaryIO, longest: int = LONGEST) -> Iterator[list[bytes]]:
    """The lines of each block as soon as it is read; the last one may lack its end. Of a line longer than
    `longest` one byte more than that is kept.
    """
    read = getattr(source, "read1", source.read)
    begun: list[bytes] = []  # of a line longer than a block
    size = 0
    while (block := read(BLOCK)) != b"":
        if block is None:  # nothing yet, where another program has made the pipe one that does not wait
            select.select([source], [], [])
            continue
        first, *rest = block.split(b"\n")
        if size <= longest:
            begun.append(first[: longest + 1 - size])
        size += len(first)
        if rest:
            last = rest.pop()
            lines = [b"".join(begun), *(line[: longest + 1] for line in rest)]
            begun, size = [last[: longest + 1]], len(last)
            yield lines
    if size:
        yield [b"".join(begun)]


def _decoded(line: bytes, number: int, file: str, path: bool, longest: int) -> Line:
    cut = len(line) > longest
    line = line[:longest] if cut else line
    how = "surrogateescape" if path else "strict"
    try:
        # Of a line that was cut, what is left of its last character is no error.
        text = codecs.getincrementaldecoder("utf-8")(how).decode(line) if cut else line.decode("utf-8", how)
    except UnicodeDecodeError:
        text = line.decode("utf-8", "replace")
        console.warn(f"{Line('', number, file).where}: invalid UTF-8, replaced")
    if number == 1:
        text = text.removeprefix("\ufeff")  # a signature, no text
    return Line(text.removesuffix("\r"), number, file, cut)


def is_terminal() -> bool:
    """Whether a person types the lines."""
    return sys.stdin is not None and os.isatty(sys.stdin.fileno()) if _has_file(sys.stdin) else False


def _has_file(stream: object) -> bool:
    try:
        return stream is not None and stream.fileno() >= 0  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        return False
