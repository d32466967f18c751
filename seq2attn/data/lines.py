"""Lines of a UTF-8 file, plain or gzip, one by one. A line ends at "\\n" (a "\\r" before it is dropped) and nowhere else."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from seq2attn.data.corpus import LIMIT
from seq2attn.errors import UserError


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked when it ends in .gz. What goes wrong in the body is reported by the file's name."""
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb", buffering=1 << 20) as file:
            yield file  # type: ignore[misc]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: damaged gzip file: {error}") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None


def read_lines(path: Path) -> Iterator[str]:
    """The lines without their ends. Raises UserError with file and line for what is not UTF-8 and for a line longer than LIMIT bytes."""
    with opened(path) as file:
        number = 0
        while line := file.readline(LIMIT + 2):
            number += 1
            if len(line) > LIMIT + 1 and not line.endswith(b"\n"):
                raise UserError(f"{path}:{number}: a line of more than {LIMIT:,} bytes; remove or split it")
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            if number == 1:
                if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise UserError(f"{path}: UTF-16, not UTF-8; convert it: iconv -f UTF-16 -t UTF-8 {path.name}")
                line = line.removeprefix(b"\xef\xbb\xbf")
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path}:{number}: not UTF-8: byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line; mend the line or convert the file with iconv"
                ) from None
            yield text
