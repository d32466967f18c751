"""The word of the raw text to which each subword belongs. It knows tokenizers by their output.

Words of the raw text are separated by white space.
"""

from collections.abc import Callable, Sequence

from seq2attn.data.marian_tokenizer import MarianTokenizer
from seq2attn.data.tokenizer import SPACE, STAND_IN, UNK, Tokenizer


def word_numbers(text: str, ids: Sequence[int], tokenizer: Tokenizer) -> list[int]:
    """The index in `text.split()` of the word of each id; -1 for white space.

    `ids` are `tokenizer.encode(text)`, or its beginning. A subword that reaches over several words belongs to
    the first. Unlike the decoded text, this is right even if unknown characters are white space.
    """
    if isinstance(tokenizer, MarianTokenizer):
        return tokenizer.word_numbers(text)[: len(ids)]
    # the tokenizer puts a space at the beginning
    normal = " " + tokenizer.normal(text).replace(STAND_IN, SPACE)
    word_at, words, inside = [], 0, False
    for character in normal:
        space = character.isspace()
        words += not space and not inside
        inside = not space
        word_at.append(-1 if space else words - 1)

    def first(start: int, stop: int) -> int:
        return next((word for word in word_at[start:stop] if word >= 0), -1)

    # after an unknown subword, which decodes to one character, a space is not removed
    surfaces = [tokenizer.decode([UNK, token])[1:] for token in ids]
    numbers: list[int] = []
    if tokenizer.kind == "word":  # one id between two spaces, known or not
        position = 0
        for surface in surfaces:
            while surface != " " and normal.startswith("  ", position):
                position += 1
            end = normal.find(" ", position + 1)
            end = len(normal) if end < 0 else end
            numbers.append(first(position, end))
            position = end
        return numbers

    position, unknown = 0, 0
    for token, surface in zip(ids, surfaces, strict=True):
        if token == UNK:
            unknown += 1
            continue
        start = max(normal.find(surface, position + unknown), position) if unknown else position
        numbers += _spread(position, start, unknown, first)
        numbers.append(first(start, start + len(surface)))
        position, unknown = start + len(surface), 0
    return numbers + _spread(position, len(normal), unknown, first)


def _spread(start: int, stop: int, unknown: int, first: Callable[[int, int], int]) -> list[int]:
    """The words of `unknown` ids that share the characters from start to stop.

    Each id has one character, and the last one the rest.
    """
    return [first(start + i, stop if i == unknown - 1 else start + i + 1) for i in range(unknown)]
