"""What raw corpora have in common: how to read one, a row of text, and the names of splits.

This module knows no file format and no tokenizer.
"""

import re
from typing import NamedTuple

from seq2attn.data.formats.bad_rows import SHARE

LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z]{2,4})?")  # a language code: en, pt-BR
# The column that holds both sides by language, as translation corpora of the Hugging Face hub have it.
NESTED = "translation"
SPLIT, ALIGNMENT = "split", "alignment"  # columns of every kind of corpus

SPLIT_NAMES = "it can be train, valid (or val, dev) and test*, as a folder may be called"
_MAX_SPLIT_BYTES = 100  # of the name of a split


class ReadingOptions(NamedTuple):
    """How the user wants a corpus to be read."""

    source: str | None = None  # the name of a side: a language or a column
    target: str | None = None
    max_bad: float = SHARE  # of the rows of a table of text may be bad
    follow_links: bool = False  # whether links may lead out of a folder of images or tables


class Row(NamedTuple):
    """One pair as its corpus has it."""

    source: str
    target: str
    place: str  # for people: "train.en:17"
    split: str | None = None  # "train", "valid", "test..."; None: the corpus is not divided yet
    alignment: str | None = None  # gold links, Pharaoh `i-j`
    weight: float = 1.0  # how often an epoch has it, if it is a training pair


def split_name(name: str) -> str | None:
    """The split to which a file, a cell or a split of the hub with this name belongs.

    It is train, valid, or test* under its own name; None for other names.
    """
    lower = name.lower()
    if lower.startswith("test"):
        return name if is_split(name) else None  # the split becomes a folder of that name
    if match := re.match(r"(train(?:ing)?|valid(?:ation)?|val|dev(?:elopment)?)(?![a-z])", lower):
        return "train" if match[1].startswith("train") else "valid"
    return None


def is_split(name: object) -> bool:
    """Whether a split may have this name. It becomes the name of a folder in the prepared folder."""
    if not isinstance(name, str) or not name.isprintable() or name != name.strip():
        return False
    if not name or name[0] == "." or ".." in name or set("/\\:\ufffd") & set(name):
        return False
    return len(name.encode()) <= _MAX_SPLIT_BYTES
