"""Text files, plain or packed: gzip, bzip2 and xz are unpacked, other packed or binary files are refused.

The first bytes decide, not the name: `text.gz` that is plain text is read as text. Memory holds one block,
and the file may be a pipe.
"""

import bz2
import codecs
import gzip
import io
import lzma
import os
import re
import select
import shlex
import zlib
from collections.abc import Callable, Collection
from typing import BinaryIO, Protocol, cast

from seq2attn.errors import UserError

HEAD = 512  # bytes that decide: the signature of tar begins at byte 257
BLOCK = 1 << 20
MEMORY = 1 << 28  # bytes for unpacking xz, at most; `xz -9` needs a quarter of them
PARQUET, ARROW, NPY, ZIP = "a Parquet file", "an Arrow file", "an array of NumPy", "a zip archive"
PARQUET_MAGIC = b"PAR1"
ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".lzma", ".z", ".zip", ".7z")

_GZIP, _BZIP2, _XZ = "gzip", "bzip2", "xz"
_BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # after BZh and a digit: a block, or the end
_SHEET = "save it as CSV (UTF-8) in the program that made it"
_TEXT = "save it as plain text (UTF-8)"
# First bytes, kind of file, way out; {} is the file.
_KNOWN: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", _GZIP, "gunzip {}"),
    (b"BZh", _BZIP2, "bunzip2 {}"),
    (b"\xfd7zXZ\x00", _XZ, "unxz {}"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it first: unzstd {}"),
    (b"\x04\x22\x4d\x18", "an lz4 file", "unpack it first: unlz4 {}"),
    (b"\x1f\x9d", "a file of compress", "unpack it first: uncompress {}"),
    (b"\x1f\xa0", "a file of compress", "unpack it first: uncompress {}"),
    (b"\x5d\x00\x00", "an lzma file", "unpack it first: unlzma {}"),
    (b"LZIP\x01", "an lzip file", "unpack it first: lzip -d {}"),
    (b"\x89LZO\x00", "an lzop file", "unpack it first: lzop -d {}"),
    (b"PK\x03\x04", ZIP, "unpack it first: unzip {}"),
    (b"PK\x05\x06", ZIP, "unpack it first: unzip {}"),
    (b"PK\x07\x08", ZIP, "unpack it first: unzip {}"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it first: 7z x {}"),
    (b"Rar!\x1a\x07", "a rar archive", "unpack it first: unrar x {}"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old spreadsheet or document of an office program", _SHEET),
    (b"%PDF-", "a PDF", _TEXT),
    (b"%!PS-", "a PostScript file", _TEXT),
    (b"{\\rtf", "an RTF document", _TEXT),
    (PARQUET_MAGIC, PARQUET, "give it the ending .parquet"),
    (b"ARROW1\x00", ARROW, "save it as Parquet or JSONL"),
    (b"\x93NUMPY", NPY, "name a file of text"),
    (b"SQLite format 3\x00", "a database of SQLite", "save the table as CSV (UTF-8)"),
    (b"\x89HDF\r\n", "an HDF5 file", "save the text in it as JSONL"),
    (b"\x89PNG\r\n", "an image", "name a file of text"),
    (b"\xff\xd8\xff", "an image", "name a file of text"),
    (b"GIF87a", "an image", "name a file of text"),
    (b"GIF89a", "an image", "name a file of text"),
    (b"\x7fELF", "a program", "name a file of text"),
)
_OFFICE = (
    (re.compile(rb"xl/|mimetypeapplication/vnd\.oasis\.opendocument\.spreadsheet"), "a spreadsheet", _SHEET),
    (re.compile(rb"word/|ppt/|mimetypeapplication/(vnd\.oasis|epub)"), "a document", _TEXT),
    (re.compile(rb"\[Content_Types\]\.xml|_rels/"), "a spreadsheet or document", _SHEET),
)


class _Decompressor(Protocol):
    """The interface that bz2 and lzma share."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def unpacked(file: BinaryIO, name: str, also: Collection[str] = ()) -> BinaryIO:
    """The bytes of an open binary file, unpacked if they are packed. `name` is for errors.

    This waits for the first bytes, and reads from the position of `file` without seeking. The result closes
    `file` when it is closed. `read1` returns the bytes that are available, and waits for a non-blocking pipe.
    Raises UserError, here or while it is read, for anything but text and the kinds in `also`, for UTF-16 and
    UTF-32, and for damaged packed files.
    """
    ahead = _Ahead(file)
    head = ahead.peek()
    packing, _ = _kind(head)
    if packing not in _UNPACKING:
        _refuse(head, name, also)
        return cast(BinaryIO, io.BufferedReader(ahead, BLOCK))
    stream = io.BufferedReader(_Unpacked(packing, _UNPACKING[packing](ahead), ahead, name), BLOCK)
    head = stream.peek(HEAD)[:HEAD]
    kind, way_out = _kind(head)
    if kind in _UNPACKING:
        raise UserError(f"{name}: packed twice: unpack it once, with {way_out.format(shlex.quote(name))}")
    _refuse(head, name, also, packed=packing)
    return cast(BinaryIO, stream)


def bare(name: str) -> str:
    """The name of a file without the ending of a packed file."""
    stem, dot, ending = name.rpartition(".")
    return stem if stem and f"{dot}{ending.lower()}" in ENDINGS else name


def _kind(head: bytes) -> tuple[str, str]:
    """The kind of file that begins with `head` ("" if it may be text), and the way out."""
    for magic, kind, way_out in _KNOWN:
        if head.startswith(magic) and (kind is not _BZIP2 or head[4:10] in _BZIP2_BLOCKS):
            if kind is ZIP:
                offices = ((office, out) for sign, office, out in _OFFICE if sign.search(head))
                return next(offices, (kind, way_out))
            return kind, way_out
    if head[257:262] == b"ustar":
        return "a tar archive", "unpack it first: tar -xf {}"
    if head[:4] == b"RIFF" and head[8:12] in (b"WEBP", b"WAVE", b"AVI "):
        return "an image, a sound or a film", "name a file of text"
    return "", ""


def _refuse(head: bytes, name: str, also: Collection[str], packed: str = "") -> None:
    """Raise UserError for anything but text and the kinds in `also`; `packed` is how it was packed."""
    kind, way_out = _kind(head)
    if kind in also:
        return
    if kind:
        inside = f" inside a {packed} file" if packed else ""
        raise UserError(f"{name}: {kind}{inside}, not text: {way_out.format(shlex.quote(name))}")
    if encoding := _wide(head):
        first = "unpack it, then " if packed else ""
        command = f"{first}iconv -f {encoding} -t UTF-8 {shlex.quote(name)}"
        raise UserError(f"{name}: {encoding}, not UTF-8; convert it: {command}")


def _wide(head: bytes) -> str | None:
    """UTF-16 or UTF-32 by its byte order mark or, without one, by zeros between letters; None for others."""
    if head.startswith((b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff")):
        return "UTF-32"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "UTF-16"
    if b"\0" not in head or len(head) < 4 or len(head) % 2:
        return None
    zeros = [head[place::4].count(0) for place in range(4)]  # zeros at each place of groups of four bytes
    every = len(head) // 4
    if len(head) % 4 == 0:
        if not zeros[0] and zeros[2] == zeros[3] == every:
            return "UTF-32LE"
        if not zeros[3] and zeros[0] == zeros[1] == every:
            return "UTF-32BE"
    first, second = zeros[0] + zeros[2], zeros[1] + zeros[3]
    if not first and second == len(head) // 2:
        return "UTF-16LE"
    if not second and first == len(head) // 2:
        return "UTF-16BE"
    if _begins(head, "UTF-8"):
        return None
    pairs = {head[place : place + 2] for place in range(0, len(head), 2)}
    for encoding, spaces in (("UTF-16LE", {b"\n\0", b" \0"}), ("UTF-16BE", {b"\0\n", b"\0 "})):
        if spaces & pairs and _begins(head, encoding):  # every script has these spaces
            return encoding
    return None


def _begins(head: bytes, encoding: str) -> bool:
    """Whether `head` is the beginning of a text in that encoding. Random bytes are not, with their surrogates
    that have no partner.
    """
    try:
        codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return True


class _Ahead(io.RawIOBase):
    """A binary stream whose first bytes can be looked at before they are read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._read: Callable[[int], bytes | None] = getattr(file, "read1", file.read)
        self._head = b""

    def peek(self) -> bytes:
        """The first bytes that are available, and more if these could be the beginning of a packed file."""
        while len(self._head) < HEAD and (not self._head or _may_go_on(self._head)):
            if not (data := self._some(HEAD - len(self._head))):
                break
            self._head += data
        return self._head

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._file.fileno()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._head:
            data, self._head = self._head[: len(buffer)], self._head[len(buffer) :]
        else:
            data = self._some(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def _some(self, most: int) -> bytes:
        while (data := self._read(most)) is None:  # a non-blocking pipe
            select.select([self._file], [], [])
        return data

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()


def _may_go_on(head: bytes) -> bool:
    if _kind(head)[0] in _UNPACKING:  # the kind is known, so packed data are read as they come
        return False
    if any(magic.startswith(head) for magic, *_ in _KNOWN) or head.startswith((b"PK", b"BZh", b"RIFF")):
        return True
    return b"\0" in head and b"\n" not in head  # a name and zeros: tar; or UTF-16


class _Unpacked(io.RawIOBase):
    """The content of a packed stream. Damage raises UserError with the name of the file."""

    def __init__(self, kind: str, inside: io.BufferedIOBase, packed: _Ahead, name: str) -> None:
        self._kind, self._inside, self._packed, self._name = kind, inside, packed, name

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._inside.read1(len(buffer))
        except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise UserError(f"{self._name}: {os.strerror(error.errno)}") from None
            raise UserError(f"{self._name}: damaged {self._kind} file: {error}") from None
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._packed.close()
        super().close()


class _Members(io.BufferedIOBase):
    """The members of a bzip2 or xz file one after another, a bounded block at a time."""

    def __init__(self, packed: _Ahead, new: Callable[[], _Decompressor]) -> None:
        self._packed, self._new = packed, new
        self._member = new()

    def read1(self, size: int = -1) -> bytes:
        data, block = b"", b""
        while not block:
            if self._member.eof:
                data = self._member.unused_data or self._packed.read(BLOCK) or b""
                data = data.lstrip(b"\0")  # xz pads with zeros
                if not data:
                    return b""
                self._member = self._new()
            elif self._member.needs_input and not (data := self._packed.read(BLOCK) or b""):
                raise EOFError("it ends before its end mark")
            block = self._member.decompress(data, size if size > 0 else BLOCK)
            data = b""
        return block


def _of_gzip(packed: _Ahead) -> io.BufferedIOBase:
    return cast(io.BufferedIOBase, gzip.GzipFile(fileobj=packed, mode="rb"))


def _of_bzip2(packed: _Ahead) -> io.BufferedIOBase:
    return _Members(packed, bz2.BZ2Decompressor)


def _of_xz(packed: _Ahead) -> io.BufferedIOBase:
    return _Members(packed, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY))


_UNPACKING: dict[str, Callable[[_Ahead], io.BufferedIOBase]] = {
    _GZIP: _of_gzip,
    _BZIP2: _of_bzip2,
    _XZ: _of_xz,
}
