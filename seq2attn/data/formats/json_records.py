"""Objects of JSON: one a line, in a list, or one after another. Read as a stream."""

import codecs
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from seq2attn import strict_json
from seq2attn.data.formats.bad_rows import BadRow, beginning
from seq2attn.data.formats.lines import opened, read_lines
from seq2attn.data.formats.text import MAX_LENGTH
from seq2attn.errors import UserError

_CHUNK = 1 << 16
_HALF = re.compile(r"\\u[dD][89a-fA-F]")
_KIND = "without an object of JSON"
_IN_A_LIST = 'not a list of objects, as in [{"en": "...", "fr": "..."}]'
_OBJECT = 'not an object with keys, as in {"en": "...", "fr": "..."}'


def of_lines(path: Path) -> Iterator[tuple[int, Mapping[str, object]] | BadRow]:
    """(line, object) of a file with one object a line, or a bad row."""
    for number, line in enumerate(read_lines(path), 1):
        if line and not line.isspace():
            try:
                record = strict_json.parse(line, constants=True) if "\\u" in line else json.loads(line)
            except (ValueError, RecursionError) as error:
                yield BadRow(str(path), number, _KIND, f"not JSON: {str(error)[:200]}: {beginning(line)}")
                continue
            if isinstance(record, dict):
                yield number, record
            else:
                yield BadRow(str(path), number, _KIND, f"{_OBJECT}: {beginning(line)}")


def of_list(path: Path, key: str | None = None) -> Iterator[tuple[int, Mapping[str, object]] | BadRow]:
    """(line, object) of a list of objects, or of objects one after another, read as a stream.

    With `key`, it is the list that the object at the top has under this key. Raises UserError for invalid
    JSON and for a file that is cut off.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    scan = json.JSONDecoder()
    buffer, line, listed, size, ended = "", 1, None, _CHUNK, False
    with opened(path) as file:
        while key is not None and (match := re.search(rf'"{key}"\s*:\s*(?=\[)', buffer)) is None:
            data = file.read(_CHUNK)
            if not data or len(buffer) > MAX_LENGTH:
                raise UserError(f'{path}: no list "{key}" in it')
            buffer += _decoded(decoder, data, f"{path}:{line}")
        if key is not None and match is not None:
            line += buffer.count("\n", 0, match.end())
            buffer = buffer[match.end() :]
        while True:
            stripped = buffer.lstrip(" \t\r\n,")
            line += buffer.count("\n", 0, len(buffer) - len(stripped))
            buffer = stripped
            if listed is None and buffer:
                listed = buffer.startswith("[")
                if listed:
                    buffer = buffer[1:]
                    continue
            if listed and buffer.startswith("]"):
                return
            if buffer and not (listed or buffer.startswith("{")):
                raise UserError(f"{path}:{line}: {_IN_A_LIST}")
            try:
                record, end = scan.raw_decode(buffer) if buffer else ({}, 0)
            except (ValueError, RecursionError) as error:
                cut = isinstance(error, json.JSONDecodeError) and not ended
                if not cut or len(buffer) > MAX_LENGTH:
                    problem = f"a record of more than {MAX_LENGTH:,} characters" if cut else str(error)[:200]
                    raise UserError(f"{path}:{line}: not a list of objects: {problem}") from None
                end = 0
            if end and not ended and end == len(buffer):
                end = 0  # a number may continue
            if end:
                if _HALF.search(buffer, 0, end):
                    record = strict_json.parse(buffer[:end], constants=True)
                if isinstance(record, dict):
                    yield line, record
                else:
                    yield BadRow(str(path), line, _KIND, f"{_IN_A_LIST}: {beginning(buffer[:end])}")
                line += buffer.count("\n", 0, end)
                buffer, size = buffer[end:], _CHUNK
                continue
            if ended:
                if listed:
                    raise UserError(f"{path}: the list of objects does not end: the file is cut off")
                return
            data = file.read(size)
            size, ended = size * 2, not data  # doubled, because a long record is parsed again each time
            buffer += _decoded(decoder, data, f"{path}:{line}", ended)


def _decoded(decoder: codecs.IncrementalDecoder, data: bytes, place: str, ended: bool = False) -> str:
    try:
        return decoder.decode(data, final=ended)
    except UnicodeDecodeError as error:
        raise UserError(f"{place}: not UTF-8 in this record or a later one: {error.reason}") from None
