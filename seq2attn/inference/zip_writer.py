"""Writes a zip archive of many small files in constant memory.

`zipfile` keeps a few hundred bytes of each file until the archive is closed. Here the directory, which is at
the end of an archive, is collected in a temporary file without a name.
"""

import struct
import tempfile
import zlib
from typing import IO

_DEFLATED, _VERSION, _VERSION_64 = 8, 20, 45
_DAY = (1 << 5) | 1  # 1 January 1980, so that equal content gives equal bytes
_UTF8 = 1 << 11  # names are UTF-8
_MOST_32, _MOST_16 = 2**32 - 1, 2**16 - 1


class ZipWriter:
    def __init__(self, file: IO[bytes]) -> None:
        """`file` is empty, and nobody else writes to it. Raises OSError if no temporary file can be made."""
        self._file = file
        self._directory = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
        self._offset = 0
        self.count = 0

    def add(self, name: str, content: bytes) -> None:
        """Add a file of less than 4 GiB."""
        packer = zlib.compressobj(zlib.Z_DEFAULT_COMPRESSION, zlib.DEFLATED, -15)
        packed = packer.compress(content) + packer.flush()
        title = name.encode()
        common = (_UTF8, _DEFLATED, 0, _DAY, zlib.crc32(content), len(packed), len(content), len(title))
        self._file.write(struct.pack("<4s5H3L2H", b"PK\x03\x04", _VERSION, *common, 0) + title)
        self._file.write(packed)
        far = self._offset >= _MOST_32
        extra = struct.pack("<HHQ", 1, 8, self._offset) if far else b""
        version = _VERSION_64 if far else _VERSION
        self._directory.write(
            struct.pack(
                "<4s6H3L5H2L",
                b"PK\x01\x02",
                version,
                version,
                *common,
                len(extra),
                0,
                0,
                0,
                0,
                min(self._offset, _MOST_32),
            )
            + title
            + extra
        )
        self._offset += 30 + len(title) + len(packed)
        self.count += 1

    def close(self) -> None:
        """Write the directory; without it the file is no archive."""
        with self._directory:  # closed even if the disk is full
            size = self._directory.tell()
            self._directory.seek(0)
            while block := self._directory.read(1 << 16):
                self._file.write(block)
        if self.count > _MOST_16 or self._offset + size > _MOST_32:
            end = self._offset + size
            numbers = (_VERSION_64, _VERSION_64, 0, 0, self.count, self.count, size, self._offset)
            self._file.write(
                struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, *numbers)
                + struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
            )
        count = min(self.count, _MOST_16)
        self._file.write(
            struct.pack(
                "<4s4H2LH",
                b"PK\x05\x06",
                0,
                0,
                count,
                count,
                min(size, _MOST_32),
                min(self._offset, _MOST_32),
                0,
            )
        )
