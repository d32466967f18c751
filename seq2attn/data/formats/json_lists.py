"""JSON files whose objects stand in lists under names at the top, as {"images": [...], "annotations": [...]}.

They are read as a stream, because such files have hundreds of megabytes.
"""

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from seq2attn import strict_json
from seq2attn.data.formats.lines import opened
from seq2attn.data.formats.text import MAX_LENGTH
from seq2attn.errors import UserError

_CHUNK = 1 << 16
_BLANK = re.compile(r"[ \t\r\n]*")
_LONGEST_MARK = 16  # characters; the longest that JSON has, half an escape or "-Infinity", is shorter
_BEGINNING = 1 << 16  # bytes that decide on the format


def records(path: Path, *names: str) -> Iterator[tuple[str, int, Mapping[str, object]]]:
    """(name, line, object) of each object in the lists under `names`, in the order of the file.

    Raises UserError with file and line for invalid JSON, for anything but objects in such a list, for a value
    of more than MAX_LENGTH characters, and if the file has none of the lists.
    """
    met = False
    with opened(path) as file:
        text = _Text(path, file)
        if not text.follows("{"):
            raise _none(path, names)
        while not text.follows("}"):
            name = text.value()
            if not isinstance(name, str):
                text.fail("not a name")
            text.expect(":", f"no colon after {name[:40]!r}")
            if text.follows("["):
                met |= name in names
                while not text.follows("]"):
                    if text.ended:
                        problem = "the list of objects does not end: the file is cut off"
                        raise UserError(f"{path}:{text.line}: {problem}")
                    line, value = text.line, text.value()
                    if name in names:
                        if not isinstance(value, dict):
                            problem = f"not an object in the list {name!r} but {_kind(value)}"
                            raise UserError(f"{path}:{line}: {problem}")
                        yield name, line, value
                    text.comma("]")
            else:
                text.value()
            text.comma("}")
    if not met:
        raise _none(path, names)


def _none(path: Path, names: tuple[str, ...]) -> UserError:
    lists = '" or "'.join(names)
    return UserError(f'{path}: no list "{lists}" in it')


def lists_in(path: Path, *names: str) -> set[str]:
    """Those of `names` that name lists in the beginning of a file; none if the file cannot be read."""
    try:
        with opened(path) as file:
            text = file.read(_BEGINNING).decode("utf-8-sig", "replace")
    except UserError:
        return set()
    if not text.lstrip().startswith("{"):
        return set()
    return {name for name in names if re.search(rf'"{name}"\s*:\s*\[', text)}


class _Text:
    """The text of a file from the current place on. It is read when it is needed."""

    def __init__(self, path: Path, file: Any) -> None:
        self._path, self._file = path, file
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._scan = json.JSONDecoder().raw_decode
        self._buffer, self._place, self._ended = "", 0, False
        self.line = 1

    @property
    def ended(self) -> bool:
        return not self._next()

    def follows(self, mark: str) -> bool:
        """Whether `mark` comes next; if so, step over it."""
        if self._next() != mark:
            return False
        self._place += 1
        return True

    def expect(self, mark: str, problem: str) -> None:
        if not self.follows(mark):
            self.fail(problem)

    def comma(self, end: str) -> None:
        """Step over the comma after a value, unless `end` follows."""
        if not self.follows(",") and self._next() != end:
            self.fail("no comma after a value")

    def value(self) -> Any:
        self._next()
        size = _CHUNK
        while True:
            try:
                value, end = self._scan(self._buffer, self._place)
                if end < len(self._buffer) or self._ended:  # more digits of a number may follow
                    break
            except RecursionError:
                self.fail("nested too deep")
            except ValueError as error:
                if not _may_go_on(error, len(self._buffer)):
                    self.fail(getattr(error, "msg", str(error)))
                if self._ended:
                    self.fail("the file is cut off")
            if len(self._buffer) - self._place > MAX_LENGTH:
                self.fail(f"a value of more than {MAX_LENGTH:,} characters")
            self._read(size)
            size *= 2  # doubled, because a long value is parsed again each time
        text = self._buffer[self._place : end]
        try:
            value = strict_json.parse(text)
        except ValueError as error:
            self.fail(str(error))
        self.line += text.count("\n")
        self._place = end
        return value

    def fail(self, problem: str) -> NoReturn:
        problem = "the file is cut off" if self.ended else problem
        raise UserError(f"{self._path}:{self.line}: not JSON: {problem}")

    def _next(self) -> str:
        """The character after white space; "" at the end of the file."""
        while True:
            blank = _BLANK.match(self._buffer, self._place)
            assert blank is not None
            self.line += blank[0].count("\n")
            self._place = blank.end()
            if self._place < len(self._buffer) or self._ended:
                return self._buffer[self._place : self._place + 1]
            self._read(_CHUNK)

    def _read(self, size: int) -> None:
        data = self._file.read(size)
        self._ended = not data
        try:
            more = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            raise UserError(f"{self._path}:{self.line}: not UTF-8 here or later: {error.reason}") from None
        self._buffer, self._place = self._buffer[self._place :] + more, 0


def _may_go_on(error: ValueError, end: int) -> bool:
    """Whether a text that ends at `end` may be the beginning of JSON."""
    if not isinstance(error, json.JSONDecodeError):  # a number of thousands of digits
        return False
    return error.msg.startswith("Unterminated string") or error.pos > end - _LONGEST_MARK


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__
