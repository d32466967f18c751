"""Lines of a UTF-8 file, plain or packed, one by one.

A line ends at "\\n" (a "\\r" before it is dropped) and nowhere else.
"""

import shlex
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from seq2attn.data.formats.packed import BLOCK, unpacked
from seq2attn.data.formats.text import MAX_LENGTH
from seq2attn.errors import UserError

__all__ = ["opened", "read_lines", "seekable", "unpacked"]

UNPACKED = 4 << 30  # bytes of a packed file for random access, at most


@contextmanager
def opened(path: Path, also: Collection[str] = ()) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked if they are packed (see `unpacked`).

    A system error in the body becomes a UserError that names the file.
    """
    try:
        with path.open("rb", buffering=BLOCK) as file, unpacked(file, str(path), also) as content:
            yield content
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


@contextmanager
def seekable(path: Path, also: Collection[str]) -> Iterator[BinaryIO]:
    """The file for random access: itself or, if it is packed, a temporary file with the unpacked bytes."""
    with opened(path, also) as content, path.open("rb") as plain, tempfile.TemporaryFile() as whole:
        if content.peek(4)[:4] == plain.read(4):  # type: ignore[attr-defined]
            yield plain
            return
        size = 0
        while block := content.read(BLOCK):
            size += whole.write(block)
            if size > UNPACKED:
                raise UserError(f"{path}: unpacks to more than {UNPACKED >> 30} GiB; unpack it yourself")
        whole.seek(0)
        yield whole


def read_lines(path: Path) -> Iterator[str]:
    """The lines without their ends.

    Raises UserError, with file and line, for a line that is not UTF-8 or has more than MAX_LENGTH bytes.
    """
    with opened(path) as file:
        number = 0
        while line := file.readline(MAX_LENGTH + 2):
            number += 1
            if number == 1 and b"\r" in line[:-1] and not line.endswith(b"\n"):
                way_out = f"tr '\\r' '\\n' < {shlex.quote(str(path))} > NEW"
                raise UserError(f"{path}: its lines end with CR alone, as on old Macs; convert it: {way_out}")
            if len(line) > MAX_LENGTH + 1 and not line.endswith(b"\n"):
                raise UserError(
                    f"{path}:{number}: a line of more than {MAX_LENGTH:,} bytes; remove or split it"
                )
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                where = f"byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line"
                way_out = "mend the line or convert the file with iconv"
                raise UserError(f"{path}:{number}: not UTF-8: {where}; {way_out}") from None
            yield text
