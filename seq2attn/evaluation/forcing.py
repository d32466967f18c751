"""Which texts a model is forced on to see how likely it finds them: all but those that have nothing to read,
or too much.

A text of many tokens takes memory by the tokens times the vocabulary, and in a Transformer by their square.
"""

from collections.abc import Sequence

from seq2attn.config import MOST_TOKENS
from seq2attn.data.tokenizer import Tokenizer

_LIKELY_FEWER = MOST_TOKENS // 4  # characters: none is more tokens than it has bytes


def is_too_long(text: str, tokenizer: Tokenizer) -> bool:
    """Whether a text has more tokens than an output can have, which are MOST_TOKENS."""
    return len(text) > _LIKELY_FEWER and len(tokenizer.encode(text)) > MOST_TOKENS


def within_bounds(texts: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """The texts, with an empty one in place of each that is too long."""
    return ["" if is_too_long(text, tokenizer) else text for text in texts]
