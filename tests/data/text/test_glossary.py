"""Glossaries: the terms that a text has, and files that are refused with their line."""

from pathlib import Path

import pytest

from seq2attn.data.text.glossary import LONGEST, Glossary, times
from seq2attn.errors import UserError


def load(path: Path, content: str | bytes) -> Glossary:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Glossary.load(path)


def found_terms(glossary: Glossary, text: str) -> list[tuple[str, str]]:
    return [(term.target, text[term.start : term.stop]) for term in glossary.find(text)]


def test_find_takes_the_longest_term_as_words_of_its_own() -> None:
    glossary = Glossary({"york": "a", "new york": "b", "new": "c", "NATO": "OTAN", "well-known": "d"})
    text = "New York, newer yorks; NEW  york's nato NATO well-known new"
    assert found_terms(glossary, text) == [
        ("b", "New York"),
        ("b", "NEW  york"),
        ("OTAN", "NATO"),
        ("d", "well-known"),
        ("c", "new"),
    ]


def test_find_needs_no_spaces_where_a_script_has_none() -> None:
    glossary = Glossary({"猫": "cat", "小猫": "kitten"})
    assert found_terms(glossary, "我的小猫和猫。") == [("kitten", "小猫"), ("cat", "猫")]


@pytest.mark.parametrize(
    ("term", "text", "count"),
    [
        ("chien", "Le chien, les chiens et l'autre chien.", 2),
        ("chien", "Chien et CHIEN", 1),
        ("homme", "L'homme", 1),
        ("pomme de terre", "Une pomme de  terre; pomme de terres", 1),
        ("iPhone", "un iphone, un iPhone", 1),
        ("猫", "小猫和猫", 2),
    ],
)
def test_times_counts_whole_words(term: str, text: str, count: int) -> None:
    assert times(term, text) == count


def test_load_reads_lines_of_two_columns(tmp_path: Path) -> None:
    glossary = load(tmp_path / "t.tsv", "\ufeffdog\tchien\r\n\n new york \t New York \ndog\tchien\n")
    assert glossary.terms == {"dog": "chien", "new york": "New York"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("dog\tchien\ncat chat\n", ":2: no tab"),
        ("dog\tchien\tx\n", ":1: 2 tabs"),
        ("dog\t\n", ':1: "": a term has a letter'),
        ("dog\t!\n", ':1: "!": a term has a letter'),
        ("dog\tchien\n\ndog\tloup\n", ':3: "dog" has another target term in line 1'),
        (f"dog\t{'x' * (LONGEST + 1)}\n", ":1: a term of 201 characters"),
        ("\n\n", ": no terms"),
        (b"dog\t\xff\n", ": not UTF-8"),
    ],
)
def test_load_names_the_line_of_what_is_wrong(tmp_path: Path, content: str | bytes, problem: str) -> None:
    with pytest.raises(UserError) as caught:
        load(tmp_path / "t.tsv", content)
    assert str(caught.value).startswith(f"{tmp_path / 't.tsv'}{problem}")
    assert "\n" not in str(caught.value)


def test_load_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        Glossary.load(tmp_path / "none.tsv")
