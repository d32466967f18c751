"""The one form in which texts are compared: that of the tokenizer, or a perfect output would not be its
reference.

Unicode has several ways to write one character: "é" is one code point or two. A tokenizer writes the composed
one (NFC), and lower case where it was asked to. References, outputs of any system and captions are brought
into this form before anything is counted. Knows no metric.
"""

import unicodedata
from collections.abc import Iterable, Sequence

from seq2attn.data.tokenizer import SPACE, STAND_IN, normalise


def comparable(text: str, lowercase: bool = False) -> str:
    """`text` as a tokenizer would write it; applied twice, it changes nothing more."""
    if text.isascii():
        return text.lower() if lowercase else text
    written = normalise(text, lowercase).replace(STAND_IN, SPACE)
    # Lower case may take the order of combining marks apart.
    return unicodedata.normalize("NFC", written) if lowercase else written


def comparables(lines: Iterable[str], lowercase: bool = False) -> list[str]:
    """`comparable` of each line; None, which stands for a reference that an image does not have, stays
    None."""
    return [line if line is None else comparable(line, lowercase) for line in lines]


def changed(lines: Sequence[str]) -> int:
    """How many lines are not in that form, case aside."""
    return sum(comparable(line) != line for line in lines)
