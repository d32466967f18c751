"""Fonts: what is installed covers what it can, and what stands in for the rest can be read."""

import os
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from matplotlib import font_manager

from seq2attn.plotting import fonts

ROOT = Path(__file__).parents[2]


@pytest.fixture
def only_dejavu(monkeypatch):
    monkeypatch.setattr(fonts, "_installed", lambda: [fonts.FIRST])


def test_covering_needs_only_fonts_of_matplotlib_for_five_scripts(only_dejavu):
    chain = fonts.covering(["Łódź", "ἀγάπη", "Москва", "القطط", "Nguyễn Ơ ằ", "😀"])
    assert chain == fonts.Fonts((fonts.FIRST,), frozenset())


@pytest.mark.usefixtures("only_dejavu")
@pytest.mark.parametrize(
    ("text", "expected"),
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
def test_legible_writes_missing_characters_as_code_points(text, expected):
    legible = fonts.covering([text]).legible(text)
    assert legible.replace("\ufe0f", "") == expected


@pytest.mark.usefixtures("only_dejavu")
def test_unseen_reports_only_visible_characters():
    assert fonts.covering(["北\x07\u2069\U000e0101x"]).unseen() == ["北"]


@pytest.mark.usefixtures("only_dejavu")
def test_legible_drops_marks_of_direction():
    assert fonts.covering(["a\u202eb\u2066c"]).legible("a\u202eb\u2066c") == "abc"


def test_covering_uses_fonts_that_were_installed_later(tmp_path, monkeypatch):
    """matplotlib's own list is older than the font: it is looked for once, and the list written anew."""
    manager = font_manager.fontManager
    path = font_manager.findfont("STIXGeneral", fallback_to_default=False)
    stale = [entry for entry in manager.ttflist if entry.fname == font_manager.findfont(fonts.FIRST)]
    monkeypatch.setattr(manager, "ttflist", list(stale))
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [path, str(tmp_path / "broken.ttf")])
    monkeypatch.setattr(matplotlib, "get_cachedir", lambda: str(tmp_path))
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    for cached in (fonts._look_again, fonts._families, fonts._font):
        cached.cache_clear()
    try:
        character = next(
            chr(code)
            for code in font_manager.get_font(path).get_charmap()
            if code not in fonts._font(fonts.FIRST)[0] and chr(code).isprintable()
        )
        assert fonts.covering([character]).missing == frozenset()
        assert fonts.covering([character]).families == (fonts.FIRST, "STIXGeneral")
        (cache,) = tmp_path.glob("fontlist-*.json")
        assert "STIXGeneral" in {entry.name for entry in font_manager.json_load(cache).ttflist}
        assert fonts.covering(["\U000f0000"]).missing == {"\U000f0000"}
    finally:
        for cached in (fonts._look_again, fonts._families, fonts._font):
            cached.cache_clear()
        manager._findfont_cached.cache_clear()


@pytest.mark.parametrize("character", "🐶😀👩🏽🇫")
def test_is_emoji_knows_emoji(character):
    assert fonts.is_emoji(character)


@pytest.mark.parametrize("character", "北a∑ك€")
def test_is_emoji_rejects_other_characters(character):
    assert not fonts.is_emoji(character)


@pytest.mark.slow
@pytest.mark.parametrize(
    "setting",
    [{"MPLCONFIGDIR": "/proc/nowhere"}, {"XDG_CACHE_HOME": "/proc/x", "XDG_CONFIG_HOME": "/proc/x"}],
)
def test_fonts_say_nothing_of_an_unwritable_cache(tmp_path, setting):
    script = (
        "import sys, numpy\nfrom pathlib import Path\nfrom seq2attn.plotting import heatmap\n"
        "heatmap.save(numpy.ones((1, 1)), ['a'], ['b'], Path(sys.argv[1]))"
    )
    cache = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HOME", "MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    }
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.png")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=cache | setting,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "a.png").is_file()


def test_covering_takes_the_font_with_most_missing_characters_first(monkeypatch):
    has = {fonts.FIRST: "ab", "Few": "北", "Most": "北京市", "None": ""}
    monkeypatch.setattr(fonts, "_installed", lambda: ["Few", "Most", "None"])
    monkeypatch.setattr(fonts, "_drawable", lambda family, characters: set(has[family]) & set(characters))
    assert fonts.covering(["ab北京市"]) == fonts.Fonts((fonts.FIRST, "Most"), frozenset())
    assert fonts.covering(["ab北京市族"]).missing == {"族"}


def test_installed_omits_fonts_of_boxes_or_other_codes():
    assert fonts.FIRST in fonts._installed()
    assert not any(name.startswith(("Last Resort", "cmr", "STIXNonUni")) for name in fonts._installed())
