"""Reads the arrays of an untrusted npz file one by one.

Compression, size and type are checked before memory is allocated. numpy's own reader allocates what a header
declares and unpacks everything. Here nothing is executed, and no Python object is read.
"""

import math
import tokenize
import warnings
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 1 << 26  # bytes of one array, at most
MOST_DIRECTORY = 48 << 20  # bytes of the archive's directory, at most
ENDING = ".npy"
_MAGIC = b"PK"
_END, _WIDE_END = b"PK\x05\x06", b"PK\x06\x06"  # signatures of the end record, and of zip64's


class NpzReader:
    def __init__(self, file: zipfile.ZipFile) -> None:
        """Raises ValueError if two arrays have the same name."""
        self._file = file
        self._infos: dict[str, zipfile.ZipInfo] = {}
        for info in file.infolist():
            name = info.filename.removesuffix(ENDING)
            if name in self._infos:
                raise ValueError(f"two arrays are called {name[:40]!r}")
            self._infos[name] = info

    @property
    def names(self) -> Collection[str]:
        return self._infos.keys()

    def array(self, name: str) -> NDArray[Any]:
        """An array of numbers or text.

        Raises ValueError, and the errors of zipfile, for an array that is damaged, too large or of another
        type.
        """
        info = self._infos[name]
        if info.flag_bits & 1:
            raise ValueError(f"{name} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} has a compression that numpy does not write")
        with self._file.open(info) as entry:
            shape, fortran_order, dtype = _header(entry, name)
            size = math.prod(shape) * dtype.itemsize
            content = entry.read(size + 1)
        if len(content) != size:
            raise ValueError(f"{name} holds {'more' if len(content) > size else 'less'} than its header says")
        return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran_order else "C")


def is_archive(path: Path) -> bool:
    """Whether the file begins like a zip archive, or is an .npz that does not look like text."""
    try:
        with path.open("rb") as file:
            start = file.read(len(_MAGIC))
    except OSError:
        return path.suffix == ".npz"
    return start == _MAGIC or (path.suffix == ".npz" and not start.startswith((b"{", b"\x1f\x8b")))


@contextmanager
def open_npz(path: Path) -> Iterator[NpzReader]:
    """The reader of an npz file, which is closed at the end.

    Raises ValueError, and the errors of zipfile, if it is no archive of arrays.
    """
    if not path.is_file():
        raise ValueError("no file")
    with path.open("rb") as file:
        if _directory(file) > MOST_DIRECTORY:
            raise ValueError("too many arrays: keep attention of fewer lines, or as .jsonl")
        with zipfile.ZipFile(file) as archive:
            yield NpzReader(archive)


def _directory(file: IO[bytes]) -> int:
    """Size in bytes of the archive's directory, which zipfile reads as a whole."""
    length = file.seek(0, 2)
    file.seek(max(0, length - (1 << 17)))
    tail = file.read(1 << 17)
    file.seek(0)
    end = tail.rfind(_END)
    if end < 0:
        raise ValueError("no archive of arrays")
    size = int.from_bytes(tail[end + 12 : end + 16], "little")
    wide = tail.rfind(_WIDE_END, 0, end)
    if wide >= 0:
        size = int.from_bytes(tail[wide + 40 : wide + 48], "little")
    return size


def _header(entry: IO[bytes], name: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """The shape, whether the order is Fortran's, and the type, from the header of an array."""
    readers: dict[tuple[int, int], Any] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(entry)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about headers written by Python 2
            shape, fortran_order, dtype = readers[version](entry)
    except (
        ValueError,
        LookupError,
        TypeError,
        SyntaxError,
        tokenize.TokenError,
        RecursionError,
        MemoryError,
    ):
        raise ValueError(f"{name} has a damaged header") from None
    if dtype.hasobject or dtype.kind not in "fiuU" or not dtype.itemsize:
        raise ValueError(f"{name} holds {dtype.name[:40]}, not numbers or text")
    if not all(isinstance(side, int) and not isinstance(side, bool) and side >= 0 for side in shape):
        raise ValueError(f"{name} has an impossible shape")
    if math.prod(shape) * dtype.itemsize > MOST_BYTES:
        raise ValueError(f"{name} would take more than {MOST_BYTES >> 20} MB")
    return shape, bool(fortran_order), dtype
