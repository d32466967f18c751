"""Where sentences end, by many scripts and their habits."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2attn.data.text.sentences import count_sentences, split_sentences


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (3, "The cat sleeps. The dog eats. The small child sings in the garden."),
        (3, "Is it? Yes! No."),
        (2, "the cat sleeps. the dog eats."),
        (2, "the cat sleeps . the dog eats ."),
        (2, "“Go.” “No.”"),
        (2, "« Oui. » Non."),
        (2, "Das war 1999. Dann kam er."),
        (2, "你好。我很好。"),
        (2, "「行く。」彼は言った。"),
        (2, "本当？ はい！"),
        (2, "हाँ। नहीं।"),
        (2, "كيف حالك؟ أنا بخير."),
        (2, "¿Qué? ¿No?"),
        (2, "Он спит. Она ест."),
        (2, "Wait... She is here."),
        (2, "It costs 3.14. Buy it."),
    ],
)
def test_count_sentences_of_several(count: int, text: str) -> None:
    assert count_sentences(text) == count


@pytest.mark.parametrize(
    "text",
    [
        "Hello!",
        "你好。",
        "Mr. Smith met Dr. J. R. Brown in Washington D.C. on Monday.",
        "It costs 3.14 dollars.",
        "Visit https://example.com/a.b?c=1 or www.example.org.",
        "e.g. this and i.e. that",
        "The U.S. Army was here.",
        "At 5 p.m. Tom left.",
        "Am 3. Mai kam er.",
        "No. 5 is alive.",
        'He said "Stop!" and left.',
        "Wait... what is it?",
        "Il est M. Dupont.",
        "version 2.0.1 Beta",
        "What?!",
    ],
)
def test_count_sentences_of_one(text: str) -> None:
    assert count_sentences(text) == 1


@pytest.mark.parametrize("text", ["", " ", "...", "!!!", "\u200b"])
def test_count_sentences_without_words_is_zero(text: str) -> None:
    assert count_sentences(text) == 0


@pytest.mark.parametrize("piece", ["a. ", ".", "x", " ", "'", "。'", ". '", ".'\"", "! ", "a.b"])
def test_count_sentences_is_fast_on_any_text(piece: str) -> None:
    before = time.process_time()
    count_sentences(piece * 1_000_000 + "x")
    assert time.process_time() - before < 10  # what grows with the square would take hours


@pytest.mark.parametrize(
    "sentences",
    [
        # English
        ["Mr. Smith met Dr. J. R. Brown.", "They left at 5 p.m. on Monday."],
        ["Is it e.g. 3.14?", "“No!”", "(It is not.)", "Wait..."],
        # French
        ["M. Dupont habite av. Foch.", "« Où est-il ? »", "Il est 10 h."],
        ["C'est l'art. 5 du code.", "Quoi ?!", "L’été arrive."],
        # German
        ["Am 3. Mai kam Hr. Prof. Dr. Müller.", "„Ja!“", "Das sind z. B. bzw. ca. 5 Äpfel."],
        ["Das war 1999.", "Dann, d. h. später, ging er."],
    ],
)
def test_split_sentences_with_spaces(sentences: list[str]) -> None:
    line = " ".join(sentences)
    assert [sentence.text for sentence in split_sentences(line)] == sentences
    assert [sentence.space for sentence in split_sentences(line)] == [" "] * (len(sentences) - 1) + [""]


@pytest.mark.parametrize(
    "sentences",
    [
        ["你好。", "我很好！", "你呢？"],
        ["他说：“走吧。”", "她走了。"],
        ["价格是3.14元。", "Dr. Wang来了！？", "好"],
        ["「行く。」", "彼は言った。"],
    ],
)
def test_split_sentences_without_spaces(sentences: list[str]) -> None:
    assert [tuple(sentence) for sentence in split_sentences("".join(sentences))] == [
        (sentence, "") for sentence in sentences
    ]


def test_split_sentences_keeps_white_space() -> None:
    assert [tuple(sentence) for sentence in split_sentences("  One. \t Two.  ")] == [
        ("  One.", " \t "),
        ("Two.", "  "),
    ]
    assert split_sentences("") == []


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="aB1. !?…。？»«\"'()\t—", max_size=40))
def test_split_sentences_loses_nothing_and_agrees_with_the_count(line: str) -> None:
    sentences = split_sentences(line)
    assert "".join(text + space for text, space in sentences) == line
    if count := count_sentences(line):
        assert len(sentences) == count


@pytest.mark.parametrize(
    "piece", ["a. ", ".", "x", " ", "'", "。'", ". '", ".'\"", "! ", "a.b", "。 ", ". ("]
)
def test_split_sentences_is_fast_on_any_text(piece: str) -> None:
    before = time.process_time()
    split_sentences(piece * (200_000 // len(piece)) + "x")
    assert time.process_time() - before < 5
