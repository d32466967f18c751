"""The form in which texts are compared: the form in which a tokenizer writes them.

Unicode has several ways to write one character: "é" is one code point or two. A tokenizer writes the composed
one (NFC), and lower case if it is set to. In any other form a perfect output would differ from its reference.
References, outputs and captions are brought into this form before anything is counted. This module knows no
metric.
"""

import unicodedata
from collections.abc import Iterable, Sequence

from seq2attn.data.tokenizer import SPACE, STAND_IN, normalise


def comparable(text: str, lowercase: bool = False) -> str:
    """`text` as a tokenizer would write it. A second call changes nothing more."""
    if text.isascii():
        return text.lower() if lowercase else text
    written = normalise(text, lowercase).replace(STAND_IN, SPACE)
    # Lower case may change the order of combining marks.
    return unicodedata.normalize("NFC", written) if lowercase else written


def comparables(lines: Iterable[str], lowercase: bool = False) -> list[str]:
    """`comparable` of each line. None, which stands for a missing reference of an image, stays None."""
    return [line if line is None else comparable(line, lowercase) for line in lines]


def changed(lines: Sequence[str]) -> int:
    """The number of lines that are not in that form, apart from case."""
    return sum(comparable(line) != line for line in lines)
