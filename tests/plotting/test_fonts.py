"""Fonts: what is installed covers what it can, and what stands in for the rest can be read."""

import pytest

from seq2attn.plotting import fonts


@pytest.fixture
def only_dejavu(monkeypatch):
    monkeypatch.setattr(fonts, "_installed", lambda: [fonts.FIRST])


def test_what_comes_with_matplotlib_draws_latin_greek_cyrillic_arabic_and_vietnamese(only_dejavu):
    found = fonts.covering(["Łódź", "ἀγάπη", "Москва", "القطط", "Nguyễn Ơ ằ", "😀"])
    assert found == fonts.Fonts((fonts.FIRST,), frozenset())


@pytest.mark.usefixtures("only_dejavu")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("北京", "U+5317 4EAC"),
        ("in北京now", "in[U+5317 4EAC]now"),
        ("🐶", ":dog face:"),
        ("a\x07", "a[U+0007]"),
        ("\ud800", "U+D800"),
        ("plain text", "plain text"),
        ("🐶\ufe0f", ":dog face:"),
    ],
)
def test_what_no_font_has_is_written_so_that_it_can_be_looked_up(text, shown):
    legible = fonts.covering([text]).legible(text)
    assert legible.replace("\ufe0f", "") == shown


@pytest.mark.usefixtures("only_dejavu")
def test_only_what_a_reader_would_miss_is_reported():
    assert fonts.covering(["北\x07\u2069\U000e0101x"]).unseen() == ["北"]


def test_the_font_with_most_of_the_missing_characters_is_taken_first(monkeypatch):
    has = {fonts.FIRST: "ab", "Few": "北", "Most": "北京市", "None": ""}
    monkeypatch.setattr(fonts, "_installed", lambda: ["Few", "Most", "None"])
    monkeypatch.setattr(fonts, "_drawn", lambda family, characters: set(has[family]) & set(characters))
    assert fonts.covering(["ab北京市"]) == fonts.Fonts((fonts.FIRST, "Most"), frozenset())
    assert fonts.covering(["ab北京市族"]).missing == {"族"}


def test_installed_fonts_hold_no_font_of_boxes_or_other_codes():
    assert fonts.FIRST in fonts._installed()
    assert not any(name.startswith(("Last Resort", "cmr", "STIXNonUni")) for name in fonts._installed())
