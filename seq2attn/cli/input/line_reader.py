r"""Lines of text from standard input or from files, packed or not. A thread reads ahead, in bounded memory.

A line ends at "\n" and nowhere else; a "\r" before it is dropped. The end of a line that is longer than a
limit is dropped while it is read. Invalid UTF-8 is replaced and reported.
"""

import codecs
import io
import os
import select
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from seq2attn.cli import console
from seq2attn.data.formats.lines import unpacked
from seq2attn.errors import UserError
from seq2attn.prefetch import Prefetch

BLOCK = 1 << 16  # bytes of one read
AHEAD = 16  # blocks read ahead: enough for CHARACTERS; blank lines take many times their bytes in memory
CHARACTERS = 1 << 20  # characters that one `take` returns, about
LONGEST = 1 << 20  # bytes of one line, many times what a model reads; the rest is dropped


class Line(NamedTuple):
    text: str
    number: int  # number in its file, from 1
    file: str  # "" for standard input
    cut: bool = False  # whether its end was dropped, because the line was too long

    @property
    def where(self) -> str:
        return f"{self.file}, line {self.number}" if self.file else f"line {self.number}"


class LineReader:
    """The lines of several files one after another, or of standard input ("-", or no file at all)."""

    def __init__(self, files: Sequence[str] = (), paths: bool = False, longest: int = LONGEST) -> None:
        """Raises UserError, before any line is read, for a file that cannot be opened or is not text.

        A pipe is only checked while it is read. With `paths`, lines keep bytes that are not UTF-8, as
        `os.fsdecode` does. Each line has at most `longest` bytes.
        """
        self._paths = paths
        self._longest = longest
        sources: list[tuple[str, io.RawIOBase | io.BufferedIOBase]] = []
        with ExitStack() as opened:  # all are closed if one cannot be opened
            for name in files or ["-"]:
                source = _open(name)
                opened.callback(source.close)
                sources.append((name, source))
            opened.pop_all()
        self._blocks = Prefetch(_read(sources, longest), AHEAD, "lines")
        self._lines: list[_Raw] = []  # lines that have arrived and are not taken yet
        self._error: Exception | None = None
        self._ended = False

    def take(self, most: int, characters: int = CHARACTERS) -> list[Line]:
        """Wait for one line, then return the lines that have arrived.

        There are at most `most` lines, of about `characters` characters together. An empty list means the
        end. An error of reading is raised after the last line before it.
        """
        return [_decoded(*line, self._paths, self._longest) for line in self._next(most, characters)]

    def skip(self, count: int) -> int:
        """Drop the next `count` lines; returns how many there were."""
        dropped = 0
        while dropped < count and (lines := self._next(count - dropped, CHARACTERS)):
            dropped += len(lines)
        return dropped

    def _next(self, most: int, characters: int) -> "list[_Raw]":
        while len(self._lines) < most and not self._ended and (not self._lines or self._blocks.ready()):
            try:
                self._lines += next(self._blocks)
            except StopIteration:
                self._ended = True
            except Exception as error:  # noqa: BLE001 - raised after the lines before it
                self._error, self._ended = error, True
        if self._error is not None and not self._lines:
            raise self._error
        size = count = 0
        while count < min(most, len(self._lines)) and size < characters:
            size += len(self._lines[count][0])
            count += 1
        lines, self._lines = self._lines[:count], self._lines[count:]
        return lines

    def take_all(self, count: int, name: str, where: str) -> list[str]:
        """The next `count` lines, of the file `name`, for the input up to `where`.

        Raises UserError if there are fewer.
        """
        texts: list[str] = []
        while len(texts) < count and (more := self.take(count - len(texts))):
            texts += [line.text for line in more]
        if len(texts) < count:
            raise UserError(
                f"{name}: ends before the input does ({where}): it needs a line for each, empty for no prefix"
            )
        return texts


_Raw = tuple[bytes, int, str]  # a line before it is decoded


def _read(
    sources: Sequence[tuple[str, io.RawIOBase | io.BufferedIOBase]], longest: int
) -> Iterator[list[_Raw]]:
    for name, source in sources:
        file, where = ("", "standard input") if name == "-" else (name, name)
        with source, unpacked(cast(BinaryIO, source), where) as content:
            number = 0
            for lines in _split(content, longest):
                yield [(line, number + i, file) for i, line in enumerate(lines, 1)]
                number += len(lines)


def _open(name: str) -> io.RawIOBase | io.BufferedIOBase:
    if name != "-":
        if Path(name).is_dir():
            raise UserError(f"{name}: a folder, where a file of text is wanted")
        try:
            # A file that is not text is refused at once. A pipe is not checked, because it may have no data
            # yet.
            if Path(name).is_file():
                with open(name, "rb", buffering=0) as file, unpacked(cast(BinaryIO, file), name):
                    pass
            return open(name, "rb", buffering=0)
        except OSError as error:
            raise UserError(f"{name}: {error.strerror}") from None
        except ValueError:  # the name has a NUL, or half of a surrogate pair
            raise UserError(f"{name}: no name of a file") from None
    if sys.stdin is None:
        raise UserError("there is no standard input: name a file")
    try:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    except (OSError, ValueError):  # a stream of this process that has no file
        return io.BytesIO(sys.stdin.buffer.read())


def _split(source: BinaryIO, longest: int = LONGEST) -> Iterator[list[bytes]]:
    """The lines of each block as soon as it is read. The last line may lack its end.

    Of a line longer than `longest`, one byte more than that is kept.
    """
    read = getattr(source, "read1", source.read)
    begun: list[bytes] = []  # the beginning of a line that is longer than a block
    size = 0
    while (block := read(BLOCK)) != b"":
        if block is None:  # nothing yet: another program made the pipe non-blocking
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
        # If the line was cut within its last character, that is no error.
        text = codecs.getincrementaldecoder("utf-8")(how).decode(line) if cut else line.decode("utf-8", how)
    except UnicodeDecodeError:
        text = line.decode("utf-8", "replace")
        console.warn(f"{Line('', number, file).where}: invalid UTF-8, replaced")
    if number == 1:
        text = text.removeprefix("\ufeff")  # a byte order mark is no text
    return Line(text.removesuffix("\r"), number, file, cut)


def is_terminal() -> bool:
    """Whether a person types the lines."""
    return sys.stdin is not None and os.isatty(sys.stdin.fileno()) if _has_file(sys.stdin) else False


def _has_file(stream: object) -> bool:
    try:
        return stream is not None and stream.fileno() >= 0  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        return False
