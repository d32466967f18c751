"""The unpacked sizes of the pages of a Parquet file, by their headers, before anything is unpacked.

A header is a struct in Thrift's compact protocol. Its second field is the unpacked size of the page, the
third the packed size.
"""

from collections.abc import Iterator
from typing import BinaryIO

_STEP = 1 << 12
_MOST = 1 << 20  # bytes of a header
_DEPTH = 8
_TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = range(1, 13)


def sizes(file: BinaryIO, start: int, end: int) -> Iterator[int]:
    """Unpacked bytes of each page from `start` to `end`. Raises ValueError for an invalid header."""
    while start < end:
        fields, length = _header(file, start)
        unpacked, packed = fields.get(2, -1), fields.get(3, -1)
        if unpacked < 0 or packed < 0:
            raise ValueError("a page without a size")
        yield unpacked
        start += length + packed


def _header(file: BinaryIO, start: int) -> tuple[dict[int, int], int]:
    size = _STEP
    while True:
        file.seek(start)
        data = file.read(size)
        try:
            return _struct(data, 0, 0)
        except IndexError:
            if len(data) < size or size >= _MOST:
                raise ValueError("the header of a page is cut off") from None
            size *= 16


def _struct(data: bytes, place: int, depth: int) -> tuple[dict[int, int], int]:
    """The numbers among the fields of a struct, and its end. Raises IndexError if the data end before."""
    if depth > _DEPTH:
        raise ValueError("the header of a page is nested too deep")
    fields: dict[int, int] = {}
    number = 0
    while head := data[place]:
        place += 1
        kind = head & 15
        if head >> 4:
            number += head >> 4
        else:
            number, place = _zigzag(data, place)
        if kind in (_I16, _I32, _I64):
            fields[number], place = _zigzag(data, place)
        elif kind not in (_TRUE, _FALSE):
            place = _behind(data, place, kind, depth)
    return fields, place + 1


def _behind(data: bytes, place: int, kind: int, depth: int) -> int:
    """The place after a value of that kind."""
    if kind in (_TRUE, _FALSE, _BYTE):
        return place + 1
    if kind in (_I16, _I32, _I64):
        return _varint(data, place)[1]
    if kind == _DOUBLE:
        return place + 8
    if kind == _BINARY:
        length, place = _varint(data, place)
        if place + length > len(data):
            raise IndexError
        return place + length
    if kind in (_LIST, _SET):
        head = data[place]
        count, place = (head >> 4, place + 1) if head >> 4 < 15 else _varint(data, place + 1)
        for _ in range(count):
            place = _behind(data, place, head & 15, depth + 1)
            data[place - 1]
        return place
    if kind == _STRUCT:
        return _struct(data, place, depth + 1)[1]
    raise ValueError("the header of a page has a field of no known kind")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
        shift += 7
        if shift > 63:
            raise ValueError("the header of a page has a number of no known size")


def _zigzag(data: bytes, place: int) -> tuple[int, int]:
    value, place = _varint(data, place)
    return (value >> 1) ^ -(value & 1), place
