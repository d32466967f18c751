"""Words of captions: what Stanford's tokenizer 3.4.1 gave for each line, less coco-caption's punctuation, and
any text at all.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2attn.evaluation.ptb_tokenizer import PUNCTUATION, tokens


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A man's dog, at 3:30pm; isn't it?", "a man 's dog at 3:30 pm is n't it"),
        ("I don't know; can't, won't, cannot", "i do n't know ca n't wo n't can not"),
        ("gonna wanna gotta lemme gimme 'tis 'twas", "gon na wan na got ta lem me gim me 't is 't was"),
        ("The dogs' bowls -- and boys' toys... wait.... hm..", "the dogs bowls and boys toys wait hm"),
        (
            "A well-known T-shirt-wearing man on a black-and-white photo",
            "a well-known t-shirt-wearing man on a black-and-white photo",
        ),
        (
            "3.5 apples and 1,000 pears, 1/2 cup $5.00 50% #1 & @home",
            "3.5 apples and 1,000 pears 1/2 cup $ 5.00 50 % # 1 & @home",
        ),
        (
            "\"Quoted\" text 'single' `tick` “curly” ‘curly’ it’s don’t",
            "quoted text single tick curly curly it 's do n't",
        ),
        ("the U.S. Mr. Smith etc. at 5 a.m. Dr. vs. St.", "the u.s. mr. smith etc. at 5 a.m. dr. vs. st."),
        (
            "he'll they've I'm we're she'd o'clock ma'am y'all O'Reilly's",
            "he 'll they 've i 'm we 're she 'd o'clock ma'am y' all o'reilly 's",
        ),
        ("foo/bar http://www.example.com/x?y=1 a@b.com", "foo/bar http://www.example.com/x?y=1 a@b.com"),
        ("dash – en-dash… it costs £3 or 5€", "dash en-dash it costs # 3 or 5 $"),
        (
            "two-year-old 20-30 1980s '80s 90's the 5th 100mph",
            "two-year-old 20-30 1980s '80s 90 's the 5th 100mph",
        ),
        ("A dog .A cat.The end", "a dog a cat.the end"),
        ("(brown) [is] {here}", "-lrb- brown -rrb- -lsb- is -rsb- -lcb- here -rcb-"),
        ("hello!!! what?! oh! no?", "hello !!! what ?! oh no"),
        ("half-eaten- and -started -5 degrees", "half-eaten and started -5 degrees"),
        ("AT&T, at&t and R&amp;B", "at&t at & t and r&b"),
        ("vitamin C. and vitamin c.", "vitamin c. and vitamin c"),
        ("he is number #5 no. 7, no. And no.", "he is number # 5 no. 7 no and no"),
        ("日本語 text Über café naïve Straße", "日本語 text über café naïve straße"),
        ("🐶 dog 🐱cat 😀", "dog cat"),
        ("ca n't be , is n't", "ca n't be is n't"),
        ("rock 'n' roll 'em 'cause", "rock 'n' roll 'em 'cause"),
        ("dog,cat;mouse:house", "dog cat mouse house"),
        (" . , ' -- ", ""),
        ("", ""),
    ],
)
def test_tokens_equal_those_of_stanfords_tokenizer(caption, expected):
    assert tokens(caption) == tuple(expected.split())


@given(st.text(st.characters(codec=None)) | st.text("a'.-:,!3 \n\"()n'ts`_/&$#@<>"))
def test_tokens_of_any_text_hold_no_space(text):
    ours = tokens(text)
    assert all(word and not any(character.isspace() for character in word) for word in ours)
    assert not PUNCTUATION.intersection(ours)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 100_000,
        "a." * 50_000,
        "'" * 100_000,
        "a-" * 50_000,
        ". " * 50_000,
        "<a" * 50_000,
        "1," * 50_000,
        "www." * 25_000,
        "a@" * 50_000,
        "a+" * 50_000,
        "(" * 99_999,
    ],
)
def test_tokens_of_a_long_text_take_little_time(text):
    tokens(text)
