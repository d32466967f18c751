"""What a SentencePiece model has to be before SentencePiece is given it: a list of pieces that our training writes, without rules of its own.

The file is a protocol buffer: fields, each with a number and a kind. Pieces are field 1, each a text, a score and a type; the rules of
normalisation are in fields 3 and 5, and ours have none: the compiled ones are code of a kind, and are read without bounds.
"""

import math
import struct
from collections.abc import Iterator

_PIECES, _NORMALISER, _DENORMALISER = 1, 3, 5
_RULES, _RULES_AS_TEXT = 2, 6  # of a normaliser
_TEXT, _SCORE, _TYPE = 1, 2, 3  # of a piece
_SPECIALS = ((b"<pad>", 3), (b"<unk>", 2), (b"<s>", 3), (b"</s>", 3))  # text and type (2: unknown, 3: control) of the first pieces
_MOST_PIECES = 10_000_000
_LONGEST = 1 << 16  # bytes of a piece


def check(model: bytes) -> None:
    """Raises ValueError for a model that our training did not write."""
    texts: set[bytes] = set()
    for number, value in _fields(model):
        if number == _PIECES:
            _check_piece(_bytes(value), texts)
        if number in (_NORMALISER, _DENORMALISER):
            for inner, rules in _fields(_bytes(value)):
                if inner in (_RULES, _RULES_AS_TEXT) and rules:
                    raise ValueError("a model with rules of normalisation")
    if len(texts) <= len(_SPECIALS):
        raise ValueError("a model without pieces")


def _check_piece(piece: bytes, texts: set[bytes]) -> None:
    text, score, kind = b"", 0.0, 1
    for number, value in _fields(piece):
        if number == _TEXT:
            text = _bytes(value)
        elif number == _SCORE:
            (score,) = struct.unpack("<f", _bytes(value))
        elif number == _TYPE and isinstance(value, int):
            kind = value
    if not text or len(text) > _LONGEST or text in texts or not math.isfinite(score):
        raise ValueError("a piece that is empty, too long, there twice, or without a score")
    text.decode("utf-8")
    place = len(texts)
    special = place < len(_SPECIALS)
    if (text, kind) != _SPECIALS[place] if special else kind != 1:
        raise ValueError("the special pieces are not the first four")
    texts.add(text)
    if len(texts) > _MOST_PIECES:
        raise ValueError("too many pieces")


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError("a number where text is wanted")  # noqa: TRY004
    return value


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field: an integer, or the bytes of a text, a message or a number of fixed size."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(message, place)
            yield key >> 3, value
            continue
        if kind == 2:
            length, place = _varint(message, place)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError("a field of no known kind")
        if length > len(message) - place:
            raise ValueError("cut off")
        yield key >> 3, message[place : place + length]
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise ValueError("cut off")
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
