"""Rules of normalisation are checked before SentencePiece follows them: none leads out of its bounds."""

import random

import marian_folders
import numpy as np
import pytest

from seq2attn.data.formats import charsmap, sentencepiece_model, sentencepiece_parts
from seq2attn.data.marian_tokenizer import MarianTokenizer


@pytest.fixture(scope="module")
def rules() -> bytes:
    return sentencepiece_parts.read(marian_folders.subwords("source", 60)).rules


def parts(rules: bytes) -> tuple[np.ndarray, bytes]:
    size = int.from_bytes(rules[:4], "little")
    return np.frombuffer(rules, "<u4", size // 4, 4).copy(), rules[4 + size :]


def joined(units: np.ndarray, texts: bytes) -> bytes:
    return (4 * len(units)).to_bytes(4, "little") + units.tobytes() + texts


def test_rules_of_sentencepiece_are_sound(rules: bytes) -> None:
    assert len(rules) > 200_000
    charsmap.refuse_unsound(rules)
    charsmap.refuse_unsound(b"")
    assert joined(*parts(rules)) == rules


def test_every_step_out_of_bounds_is_refused(rules: bytes) -> None:
    units, texts = parts(rules)
    draw = random.Random(1)
    inner = np.flatnonzero(units >> 31 == 0)
    values = np.flatnonzero(units >> 31 == 1)
    for place in draw.sample(inner.tolist(), 20):
        wrong = units.copy()
        wrong[place] = (wrong[place] & 0x1FF) | (1 << 9) | (0x1FFFFF << 10)  # a far step
        with pytest.raises(ValueError, match="lead nowhere"):
            charsmap.refuse_unsound(joined(wrong, texts))
    for place in draw.sample(values.tolist(), 20):
        wrong = units.copy()
        wrong[place] = (1 << 31) | len(texts)
        with pytest.raises(ValueError, match="lead to no text"):
            charsmap.refuse_unsound(joined(wrong, texts))


@pytest.mark.parametrize(
    "change",
    [
        lambda rules: rules[:100],
        lambda rules: b"\xff\xff\xff\xff" + rules[4:],
        lambda rules: b"\0\0\0\0" + rules[4:],
        lambda rules: rules[:-1] + b"x",
        lambda rules: rules + b"x" * 65 + b"\0",
        lambda rules: rules + b"\0" * charsmap.MOST_BYTES,
    ],
)
def test_damaged_rules_are_refused(rules: bytes, change: object) -> None:
    with pytest.raises(ValueError, match="rules of normalisation"):
        charsmap.refuse_unsound(change(rules))  # type: ignore[operator]


def test_rules_are_checked_at_import_and_when_a_run_is_opened(rules: bytes) -> None:
    from seq2attn.data import marian_tokenizer

    units, texts = parts(rules)
    units[0] = (units[0] & 0x1FF) | (1 << 9) | (0x1FFFFF << 10)
    model = marian_folders.subwords("source", 60)
    hostile = sentencepiece_parts.write(sentencepiece_parts.read(model)._replace(rules=joined(units, texts)))
    with pytest.raises(ValueError, match="lead nowhere"):
        MarianTokenizer.convert(hostile, ["a"])
    with pytest.raises(ValueError, match="lead nowhere"):
        marian_tokenizer.load(hostile, {"kind": "unigram", "size": 30})
    with pytest.raises(ValueError, match="no size"):
        marian_tokenizer.load(model, {"kind": "unigram", "size": True})


def test_rules_on_the_way_back_are_refused() -> None:
    model = marian_folders.subwords("source", 60) + b"\x2a\x04\x12\x02ab"
    with pytest.raises(ValueError, match="not compiled"):
        sentencepiece_model.refuse_unsound_rules(model)


def test_models_are_written_as_they_are_read() -> None:
    for kind in ("unigram", "bpe"):
        own = sentencepiece_parts.read(marian_folders.subwords("source", 60, kind))
        assert own.kind == kind
        assert sentencepiece_parts.read(sentencepiece_parts.write(own)) == own


def test_bytes_as_subwords_are_refused() -> None:
    own = sentencepiece_parts.read(marian_folders.subwords("source", 60))
    piece = sentencepiece_parts.Piece("<0x00>", 0.0, sentencepiece_parts.BYTE)
    with pytest.raises(ValueError, match="as bytes"):
        sentencepiece_parts.read(sentencepiece_parts.write(own._replace(pieces=[*own.pieces, piece])))
