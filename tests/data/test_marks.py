"""Variants of dashes, quotes and spaces are read as plain ones, in training and in use alike."""

import pickle
from pathlib import Path

import pytest
import tiny

import seq2attn
from seq2attn.data import marks
from seq2attn.data.prepared import Prepared
from seq2attn.data.text.words import word_numbers
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.errors import UserError

FANCY, PLAIN = "l’art\xa0– “ici” ‚là‘ «a» 5−3", 'l\'art - "ici" \'là\' "a" 5-3'


def tokenizer(plain_marks: str, kind: str = "char") -> Tokenizer:
    own = Tokenizer.train([PLAIN, FANCY, *tiny.ENGLISH], 80, kind, False)
    own.plain_marks = plain_marks
    return own


def test_marks_plain_keeps_places_and_words() -> None:
    assert marks.plain(FANCY) == PLAIN
    for variant, mark in marks.PLAIN.items():
        assert len(mark) == 1
        assert variant.isspace() == mark.isspace()
        assert marks.plain(mark) == mark
        assert not marks.is_plain(variant)
    assert marks.is_plain("naïve – ".replace("–", "-"))


@pytest.mark.parametrize("plain_marks", marks.SIDES)
def test_tokenizer_reads_marks_as_it_was_trained(plain_marks: str, tmp_path: Path) -> None:
    own = tokenizer(plain_marks)
    own.save(tmp_path / "a.model")
    for one in (own, Tokenizer.load(tmp_path / "a.model"), pickle.loads(pickle.dumps(own))):
        assert (one.encode(FANCY) == one.encode(PLAIN)) == (plain_marks != "none")
        assert (one.of_target.encode(FANCY) == one.of_target.encode(PLAIN)) == (plain_marks == "both")
        assert one.of_target.of_target is one.of_target is one.of_target


def test_tokenizer_without_the_mark_is_one_of_before(tmp_path: Path) -> None:
    tokenizer("none").save(tmp_path / "a.model")
    content = (tmp_path / "a.model").read_bytes()
    assert b"plain_marks" not in content
    tokenizer("source").save(tmp_path / "b.model")
    assert b'"plain_marks":"source"' in (tmp_path / "b.model").read_bytes()


def test_tokenizer_refuses_an_unknown_side(tmp_path: Path) -> None:
    own = tokenizer("source")
    own.plain_marks = "target"
    own.save(tmp_path / "a.model")
    with pytest.raises(UserError, match="damaged"):
        Tokenizer.load(tmp_path / "a.model")


@pytest.mark.parametrize("kind", ["word", "unigram", "char"])
def test_word_numbers_with_plain_marks(kind: str) -> None:
    own = tokenizer("source", kind)
    text = "the\xa0small dog – “sleeps” in the garden"
    assert word_numbers(text, own.encode(text), own) == word_numbers(marks.plain(text), own.encode(text), own)
    assert max(word_numbers(text, own.encode(text), own)) == 7


@pytest.mark.parametrize(("normalise", "plain"), [("none", ""), ("source", "s"), ("both", "st")])
@pytest.mark.parametrize("joint", [True, False])
def test_prepare_normalises_the_sides_that_are_named(
    normalise: str, plain: str, joint: bool, tmp_path: Path
) -> None:
    pairs = [
        (f"{a} – it’s {number}", f"{b} – c’est {number}")
        for number, (a, b) in enumerate(zip(tiny.ENGLISH, tiny.FRENCH, strict=True))
    ]
    (tmp_path / "a.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in pairs), encoding="utf-8")
    prepared = seq2attn.prepare(
        tmp_path / "a.tsv", tmp_path / "out", normalise=normalise, joint=joint, tokenizer="char", workers=1
    )
    for one in (prepared, Prepared(prepared.path)):
        sides = zip("st", (one.source_tokenizer, one.target_tokenizer), pairs[0], strict=True)
        for side, own, text in sides:
            assert (own.encode(text) == own.encode(marks.plain(text))) == (side in plain)
            assert ("–" in own.vocabulary) == (side not in plain or (joint and normalise == "source"))
    facts = prepared.report["splits"]["train"]
    counts = [facts[side].get("plain_marks", 0) for side in ("source", "target")]
    assert counts == [facts["kept"] * (side in plain) for side in "st"]
    texts = prepared.split("train").texts()[0]
    assert "–" in texts[0]  # as read
