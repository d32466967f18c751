"""One cell of text: on one line, of bounded length, and whether there is anything to read in it."""

import os
import re
import string
import unicodedata
from pathlib import Path

from seq2attn.errors import UserError
from seq2attn.strict_json import whole_text

MAX_LENGTH = 1_000_000  # bytes of one line, characters of one cell: bounds the memory that one row can take

_ORDINARY = frozenset(string.ascii_letters + string.digits)
_FILLERS = "\u115f\u1160\u3164\uffa0"  # letters of Hangul without a shape
_LETTER = re.compile(rf"[^\W_{_FILLERS}]")
_INVISIBLE = {"Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Mn", "Me"}  # categories of Unicode


def one_line(text: str, place: str) -> str:
    """A cell as one line of text: a line break becomes a space, an unpaired surrogate U+FFFD.

    Raises UserError if it is longer than MAX_LENGTH.
    """
    if len(text) > MAX_LENGTH:
        raise UserError(f"{place}: a text of {len(text):,} characters; {MAX_LENGTH:,} is the most")
    if "\n" in text:
        text = text.replace("\r\n", " ").replace("\n", " ")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return whole_text(text)
    return text


def is_blank(text: str) -> bool:
    """Whether a text holds nothing to read.

    White space, control and format characters, and marks without a letter are nothing to read.
    """
    if text[:1] in _ORDINARY:
        return False  # nearly every text
    return not _LETTER.search(text) and all(map(_is_invisible, text))


def printable(path: Path | str) -> str:
    """A path as text: bytes of it that are not UTF-8 are written as escapes."""
    try:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # an unpaired surrogate that stands for no byte
        return str(path).encode("utf-8", "backslashreplace").decode()


def _is_invisible(character: str) -> bool:
    code = ord(character)
    noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return (
        unicodedata.category(character) in _INVISIBLE
        or character in _FILLERS
        or character == "\u2800"  # an empty cell of Braille
        or noncharacter
    )
