"""Texts taken apart and put together: what is not a sentence stays as it is, character by character."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2attn.data.text.paragraphs import put_together, take_apart


def translate(text: str, of_html: bool = False, target: str = "fr") -> str:
    parts = take_apart(text, of_html)
    return put_together(parts, [part.content.upper() for part in parts if part.sentence], target)


def sentences(text: str, of_html: bool = False) -> list[str]:
    return [part.content for part in take_apart(text, of_html) if part.sentence]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two.", ["One.", "Two."]),
        ("  - a list\n\n\t* of two\r\n", ["- a list", "* of two"]),
        ("Dr. Who left.\nHe is here", ["Dr. Who left.", "He is here"]),
        ("\n\n", []),
        ("---\n***", []),
        ("你好。我很好。", ["你好。", "我很好。"]),
    ],
)
def test_take_apart_finds_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    "text", ["", "\n", " a\n\n  b. c?  D!\r\n\te ", "a\n---\nb", "\u2028a\u2028", "a\x0bb", "1\n\n\n2\n"]
)
def test_put_together_keeps_lines_and_spaces(text: str) -> None:
    assert translate(text) == text.upper()


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab. !?\n\t\r。A1—", max_size=40))
def test_put_together_keeps_all_but_the_glue_of_wide_marks(text: str) -> None:
    same = [part.content for part in take_apart(text)]
    assert "".join(same) == text
    assert translate(text).replace(" ", "") == text.upper().replace(" ", "")


def test_put_together_writes_spaces_as_the_target_language_does() -> None:
    assert translate("你好。我很好。", target="en") == "你好。 我很好。"
    assert translate("One. Two.", target="zh") == "ONE.TWO."
    assert translate("One.  Two.", target="zh") == "ONE.  TWO."  # no plain space: it was meant


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p class='a'>the dog &amp; cat</p>", "<p class='a'>THE DOG &amp; CAT</p>"),
        ("a &lt;b&gt; &eacute;", "A &lt;B&gt; É"),
        ("<script>x = 'the dog'</script>the dog", "<script>x = 'the dog'</script>THE DOG"),
        ("<!-- the dog -->&nbsp;<b>x</b> ", "<!-- the dog -->&nbsp;<b>X</b> "),
        ("the\n  dog", "THE DOG"),
        ("<pre>the\n  dog</pre>", "<pre>THE\n  DOG</pre>"),
        ("1 < 2", "1 &lt; 2"),
    ],
)
def test_put_together_keeps_markup(html: str, expected: str) -> None:
    assert translate(html, of_html=True) == expected


def test_take_apart_cuts_long_sentences_at_clauses_spaces_or_anywhere() -> None:
    clauses = "word " * 90 + "end, " + "more " * 40
    assert sentences(clauses.strip()) == [("word " * 90 + "end,"), ("more " * 40).strip()]
    words = "word " * 300
    assert {len(each) for each in sentences(words)} == {594, 309}
    assert sentences("字" * 1300) == ["字" * 600, "字" * 600, "字" * 100]
    for text in (clauses, words, "字" * 1300, "a" * 20_000, ", " * 1000 + "a"):
        assert translate(text).replace(" ", "") == text.upper().replace(" ", "")


def test_take_apart_is_fast_on_any_text() -> None:
    before = time.process_time()
    for piece in ("a", ",", ", ", " ", "a, ", "，", "<", "&", "a. "):
        for of_html in (False, True):
            take_apart(piece * (200_000 // len(piece)) + "a", of_html)
    assert time.process_time() - before < 10
