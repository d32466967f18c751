"""The nouns of raw data: a row, and a corpus that yields its rows one by one. Knows no file format and no
tokenizer.
"""

import os
import re
import string
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from seq2attn.errors import UserError
from seq2attn.strict_json import whole_text

LIMIT = 1_000_000  # bytes of one line, characters of one cell: what one row can make us allocate

SPLIT_NAMES = "it can be train, valid (or val, dev) and test*, as a folder may be called"
_SPLIT_BYTES = 100


class Row(NamedTuple):
    """One pair as its corpus has it."""

    source: str
    target: str
    place: str  # for people: "train.en:17"
    split: str | None = None  # "train", "valid", "test...", or None: still to be divided
    alignment: str | None = None  # gold links, Pharaoh `i-j`


@dataclass(frozen=True)
class Corpus:
    """Where pairs come from. `rows()` reads everything once, in order, and holds one row at a time."""

    name: str
    languages: tuple[str | None, str | None]
    rows: Callable[[], Iterator[Row]]
    inputs: list[Path] = field(default_factory=list)  # the files that are read
    notes: list[str] = field(default_factory=list)  # what was decided for the user


def split_name(name: str) -> str | None:
    """The split that a file, column value or hub split of this name belongs to: train, valid, test* under its
    own name, or None.
    """
    lower = name.lower()
    if lower.startswith("test"):
        return name if is_split(name) else None  # the split becomes a folder of that name
    if match := re.match(r"(train(?:ing)?|valid(?:ation)?|val|dev(?:elopment)?)(?![a-z])", lower):
        return "train" if match[1].startswith("train") else "valid"
    return None


def is_split(name: object) -> bool:
    """Whether a split may be called so: the name is that of a folder, in the folder that it belongs to."""
    if not isinstance(name, str) or not name.isprintable() or name != name.strip():
        return False
    if not name or name[0] == "." or ".." in name or set("/\\:\ufffd") & set(name):
        return False
    return len(name.encode()) <= _SPLIT_BYTES


def shown(path: Path | str) -> str:
    """A path as text: bytes of it that are not UTF-8 are written as escapes."""
    try:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # half of a surrogate pair that stands for no byte
        return str(path).encode("utf-8", "backslashreplace").decode()


def one_line(text: str, place: str) -> str:
    """A cell as one line of text: a line break inside it becomes a space, half of a surrogate pair U+FFFD.

    Raises UserError when it is longer than LIMIT.
    """
    if len(text) > LIMIT:
        raise UserError(f"{place}: a text of {len(text):,} characters; {LIMIT:,} is the most")
    if "\n" in text:
        text = text.replace("\r\n", " ").replace("\n", " ")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return whole_text(text)
    return text


def is_blank(text: str) -> bool:
    """Whether a text has nothing to read: white space, control and format characters, marks without a letter,
    or nothing at all.
    """
    if text[:1] in _ORDINARY:
        return False  # nearly every text
    return not _LETTER.search(text) and all(map(_is_unseen, text))


_ORDINARY = frozenset(string.ascii_letters + string.digits)
_FILLERS = "\u115f\u1160\u3164\uffa0"  # letters of Hangul without a shape
_LETTER = re.compile(rf"[^\W_{_FILLERS}]")
_UNSEEN = {"Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Mn", "Me"}


def _is_unseen(character: str) -> bool:
    code = ord(character)
    noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return (
        unicodedata.category(character) in _UNSEEN
        or character in _FILLERS
        or character == "\u2800"
        or noncharacter
    )
