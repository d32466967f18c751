"""The bytes of a SentencePiece model: a check before SentencePiece loads it, and more subwords in it.

Models of this program have no rules of normalisation. Rules of others are compiled, and SentencePiece follows
them without a check of their bounds. The file is a protocol buffer: fields, each
with a number and a kind; the subwords come first, and the rules are in fields 3 and 5. A subword is a message
itself: its text, its score (float32) and its type.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from seq2attn.data.formats import charsmap

_SUBWORD = 0x0A  # the key of a subword: field 1, with a length
_TEXT, _SCORE, _TYPE = 0x0A, 0x15, 0x18  # the keys of its fields 1, 2 and 3
_NORMAL, _SYMBOL = 1, 4  # types
_NORMALISERS = (3, 5)
_RULES = (2, 6)  # fields of a normaliser with its rules: compiled, and as text


class Subword(NamedTuple):
    """A subword that is added to a model."""

    text: str  # with "▁" for a space
    score: float
    is_symbol: bool = False  # whether the text is one token wherever it stands


def with_subwords(model: bytes, subwords: Iterable[Subword]) -> bytes:
    """The model with more subwords: they get the numbers after those that it has, which stay."""
    place = _end_of_subwords(model)
    return b"".join([model[:place], *map(_message, subwords), model[place:]])


def _message(subword: Subword) -> bytes:
    text = subword.text.encode()
    kind = _SYMBOL if subword.is_symbol else _NORMAL
    body = bytes([_TEXT]) + _as_varint(len(text)) + text
    body += bytes([_SCORE]) + struct.pack("<f", subword.score) + bytes([_TYPE, kind])
    return bytes([_SUBWORD]) + _as_varint(len(body)) + body


def _as_varint(number: int) -> bytes:
    """The number in groups of 7 bits, the lowest first; bit 8 says that another one follows."""
    groups = []
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


def refuse_rules(model: bytes) -> None:
    """Raise ValueError for a model with rules of normalisation, and for anything but a protocol buffer."""
    if any(_rules(model)):
        raise ValueError("a model with rules of normalisation")


def refuse_unsound_rules(model: bytes) -> None:
    """Raise ValueError for a model with rules that SentencePiece could follow out of their bounds, and for
    anything but a protocol buffer. Only compiled rules on the way from text to subwords can be sound.
    """
    for part, form, rules in _rules(model):
        if (part, form) != (_NORMALISERS[0], _RULES[0]):
            raise ValueError("a model with rules of normalisation that are not compiled")
        charsmap.refuse_unsound(rules)


def _rules(model: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(number of the normaliser, number of the form, content) of all rules that are not empty."""
    for number, value in fields(model[_end_of_subwords(model) :]):
        inside = fields(value) if number in _NORMALISERS and isinstance(value, bytes) else ()
        for inner, rules in inside:
            if inner in _RULES and rules:
                yield number, inner, rules if isinstance(rules, bytes) else b"?"


def _end_of_subwords(model: bytes) -> int:
    place = 0
    end = len(model) - 1
    while place < end and model[place] == _SUBWORD:  # there are thousands of subwords
        length, place = (model[place + 1], place + 2) if model[place + 1] < 128 else _varint(model, place + 1)
        place += length
    return place


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field: an integer, or the bytes of a text, a message or a fixed number."""
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
