"""What a SentencePiece model is made of, read from its file and written to one, without SentencePiece.

The file is a protocol buffer: the pieces are its fields 1, the settings of the training its field 2, and
those of the normalisation its field 3. A piece has a text, a score and a type.
"""

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from seq2attn.data.formats.sentencepiece_model import fields

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)  # types of a piece
KINDS = {1: "unigram", 2: "bpe", 4: "char"}  # of a model; words between spaces, 3, are not read
MOST_PIECES = 1_000_000
_TRAINING, _NORMALISATION, _BACK = 2, 3, 5
_KIND, _SUFFIX, _BYTES = 3, 24, 35  # of the training
_FLAGS = {3: 1, 4: 1, 5: 1}  # of the normalisation, with their defaults
_ESCAPES = 5


class Piece(NamedTuple):
    text: str
    score: float
    type: int


class Parts(NamedTuple):
    pieces: list[Piece]
    kind: str  # of KINDS
    rules: bytes  # of normalisation, compiled; b"": none
    flags: dict[int, int]  # of normalisation: what happens to spaces


def read(model: bytes) -> Parts:
    """The parts of a model. Raises ValueError for what is no model, and for one that cannot be read."""
    pieces: list[Piece] = []
    training: dict[int, int | bytes] = {}
    normalisation: dict[int, int | bytes] = {}
    for number, value in fields(model):
        if not isinstance(value, bytes):
            continue
        if number == 1:
            pieces.append(_piece(value))
        elif number == _TRAINING:
            training |= fields(value)
        elif number == _NORMALISATION:
            normalisation |= fields(value)
        elif number == _BACK and any(inner == 2 and rules for inner, rules in fields(value)):
            raise ValueError("it has rules for the way back to text")
        if len(pieces) > MOST_PIECES:
            raise ValueError(f"it has more than {MOST_PIECES:,} pieces")
    kind, rules = training.get(_KIND, 1), normalisation.get(2, b"")
    flags = {flag: normalisation.get(flag, default) for flag, default in _FLAGS.items()}
    if not pieces or kind not in KINDS or not isinstance(rules, bytes):
        raise ValueError("it is no model of subwords")
    if training.get(_BYTES) or any(piece.type == BYTE for piece in pieces):
        raise ValueError("it writes unknown characters as bytes")
    if training.get(_SUFFIX) or not flags[_ESCAPES]:
        raise ValueError("it writes spaces at the ends of words")
    numbers = {flag: value for flag, value in flags.items() if isinstance(value, int)}
    return Parts(pieces, KINDS[kind], rules, numbers)


def write(parts: Parts) -> bytes:
    """The file of a model of these parts."""
    kind = next(number for number, name in KINDS.items() if name == parts.kind)
    flags = b"".join(_number(flag, value) for flag, value in sorted(parts.flags.items()))
    rules = _bytes(2, parts.rules) if parts.rules else b""
    normalisation = _bytes(1, b"imported" if rules else b"identity") + rules + flags
    return b"".join(
        [
            *_pieces(parts.pieces),
            _bytes(_TRAINING, _number(_KIND, kind)),
            _bytes(_NORMALISATION, normalisation),
        ]
    )


def _piece(message: bytes) -> Piece:
    text, score, type_ = b"", 0.0, NORMAL
    for number, value in fields(message):
        if number == 1 and isinstance(value, bytes):
            text = value
        elif number == 2 and isinstance(value, bytes) and len(value) == 4:
            (score,) = struct.unpack("<f", value)
        elif number == 3 and isinstance(value, int):
            type_ = value
    return Piece(text.decode(), score, type_)


def _pieces(pieces: Iterable[Piece]) -> Iterator[bytes]:
    for text, score, type_ in pieces:
        content = _bytes(1, text.encode()) + b"\x15" + struct.pack("<f", score)
        yield _bytes(1, content + _number(3, type_))


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    return bytes([*result, value])
