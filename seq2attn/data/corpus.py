"""The nouns of raw data: a row, and a corpus that yields its rows one by one. Knows no file format and no tokenizer."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from seq2attn.errors import UserError

LIMIT = 1_000_000  # bytes of one line, characters of one cell: what one row can make us allocate


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
    """The split that a file, column value or hub split of this name belongs to: train, valid, test* under its own name, or None."""
    lower = name.lower()
    if lower.startswith("test"):
        return name if "/" not in name else None  # the split becomes a folder of that name
    if match := re.match(r"(train(?:ing)?|valid(?:ation)?|val|dev(?:elopment)?)(?![a-z])", lower):
        return "train" if match[1].startswith("train") else "valid"
    return None


def one_line(text: str, place: str) -> str:
    """A cell as one line of text: a line break inside it becomes a space. Raises UserError when it is longer than LIMIT."""
    if len(text) > LIMIT:
        raise UserError(f"{place}: a text of {len(text):,} characters; {LIMIT:,} is the most")
    return text.replace("\r\n", " ").replace("\n", " ") if "\n" in text else text


def is_blank(text: str) -> bool:
    """Whether a text has nothing to read: white space, control and format characters, marks without a letter, or nothing at all."""
    return not _LETTER.search(text) and all(map(_is_unseen, text))


_FILLERS = "\u115f\u1160\u3164\uffa0"  # letters of Hangul without a shape
_LETTER = re.compile(rf"[^\W_{_FILLERS}]")
_UNSEEN = {"Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Mn", "Me"}


def _is_unseen(character: str) -> bool:
    code = ord(character)
    noncharacter = code & 0xFFFE == 0xFFFE or 0xFDD0 <= code <= 0xFDEF
    return unicodedata.category(character) in _UNSEEN or character in _FILLERS or character == "\u2800" or noncharacter
