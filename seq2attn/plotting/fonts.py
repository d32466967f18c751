"""Installed fonts that can draw a text in any script, and replacements for characters that no font has.

Every character is looked up in the tables of the fonts, so that matplotlib never draws a missing glyph.
"""

import functools
import itertools
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

from seq2attn.errors import UsageError
from seq2attn.near import nearest

FIRST = "DejaVu Sans"  # comes with matplotlib: Latin, Greek, Cyrillic, Arabic, Hebrew, many symbols
_PREFERRED = (
    "Noto Sans CJK SC",
    "Noto Sans",
    "Source Han Sans",
    "PingFang",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "WenQuanYi",
    "Segoe UI",
)
# Fonts of matplotlib that have other characters at these code points, or that draw every character as a box.
_NO_TEXT = ("Last Resort", "cm", "STIXNonUni", "STIXSiz")
# These characters change the direction of the text after them. Fonts have them, and draw nothing.
_STEERING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
# Families that any system has, by the names of CSS.
_GENERIC = {"sans-serif": FIRST, "serif": "DejaVu Serif", "monospace": "DejaVu Sans Mono"}
_NO_CODE = ("Cc", "Cs", "Zl", "Zp")  # categories of characters that are always written as code points


@dataclass(frozen=True)
class Fonts:
    """Font families in the order to try them, and the characters that none of them has."""

    families: tuple[str, ...]
    missing: frozenset[str]

    def legible(self, text: str) -> str:
        """`text` with replacements for the characters that these fonts cannot draw.

        A replacement is the name of a symbol, or the code points as U+XXXX. Invisible characters are left
        out.
        """
        runs = [
            (drawable, "".join(run))
            for drawable, run in itertools.groupby(text, lambda character: character not in self.missing)
        ]
        parts = [part for part in (run if drawable else _stand_in(run) for drawable, run in runs) if part]
        return "".join(f"[{part}]" if part.startswith("U+") and len(parts) > 1 else part for part in parts)

    def unseen(self) -> list[str]:
        """The visible characters that no font has, in order of their code points."""
        return sorted(
            character
            for character in self.missing
            if not _invisible(character) and unicodedata.category(character) not in _NO_CODE
        )


def installed(name: str) -> str:
    """The name of an installed font family, as the font itself writes it.

    Capitals do not count; sans-serif, serif and monospace are fonts that come with matplotlib. Raises
    UsageError, which names similar families, if there is none of that name.
    """
    if not isinstance(name, str):
        raise UsageError(f"font is of type {type(name).__name__}: give a name", setting="font")
    family_name = " ".join(name.split()).lower()
    if family_name in _GENERIC:
        return _GENERIC[family_name]
    for again in (False, True):
        if again and not _look_again():
            break
        families = {family.lower(): family for family in _installed()}
        if family_name in families:
            return families[family_name]
    near = nearest(family_name, families.values()) or [
        family for low, family in families.items() if family_name and family_name in low
    ]
    hint = f"did you mean {' or '.join(near[:3])}?" if near else "sans-serif, serif and monospace always are"
    raise UsageError(f"font {name}: no font of this name is installed; {hint}", setting="font")


def covering(texts: Iterable[str], first: str = FIRST) -> Fonts:
    """The fewest installed fonts that draw every character of `texts`: `first`, then the preferred ones."""
    characters = {character for text in texts for character in text if character != " "}
    undrawable = {c for c in characters if unicodedata.category(c) in _NO_CODE or c in _STEERING}
    families = [first]
    left = characters - undrawable - _drawable(first, characters - undrawable)
    if first != FIRST and (ours := _drawable(FIRST, left)):
        families.append(FIRST)
        left -= ours
    looked = False
    while visible := {character for character in left if not _invisible(character)}:
        best = _best(visible)
        if not _drawable(best, visible):
            if looked or not _look_again():
                break
            looked = True
            continue
        families.append(best)
        left -= _drawable(best, left)
    return Fonts(tuple(families), frozenset(left | undrawable))


def _best(characters: set[str]) -> str:
    """The family that draws most of the characters; of several equally good ones the first."""
    best, most = FIRST, -1
    for family in _installed():
        count = len(_drawable(family, characters))
        if count > most:
            best, most = family, count
        if count == len(characters):
            break
    return best


@functools.cache
def _look_again() -> bool:
    """Add fonts that were installed since matplotlib wrote its list, and write it again, once per process.

    Returns whether there are any.
    """
    before = list(font_manager.fontManager.ttflist)
    known = {entry.fname for entry in before}
    for path in sorted(set(font_manager.findSystemFonts()) - known):
        try:
            font_manager.fontManager.addfont(path)
        # The font is damaged, or of a kind that FreeType does not read.
        except (OSError, RuntimeError, ValueError, KeyError):
            continue
    if len(font_manager.fontManager.ttflist) == len(before):
        return False
    _font.cache_clear()
    try:
        font_list = Path(matplotlib.get_cachedir()) / f"fontlist-v{font_manager.FontManager.__version__}.json"
        beside = font_list.with_name(f".{font_list.name}.{os.getpid()}")
        font_manager.json_dump(font_manager.fontManager, beside)
        beside.replace(font_list)
    except OSError:  # the list cannot be written, so the next process looks again
        pass
    return True


def is_emoji(character: str) -> bool:
    """Whether a character is a symbol that fonts have in colour: an emoji or a skin tone."""
    return unicodedata.category(character) in ("So", "Sk", "Cn") and 0x1F000 <= ord(character) <= 0x1FAFF


def _installed() -> Sequence[str]:
    """Families with an upright regular face, the preferred ones first."""
    return _families(len(font_manager.fontManager.ttflist))


@functools.cache
def _families(faces: int) -> Sequence[str]:
    """The font families of matplotlib's list.

    `faces`, the length of that list, is the key of the cache: the list only grows.
    """
    names = {
        entry.name
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and entry.weight in (400, "normal", "regular", "book")
    }
    names = {name for name in names if not name.startswith(_NO_TEXT)}
    places = {
        name: next(
            (place for place, start in enumerate(_PREFERRED) if name.startswith(start)), len(_PREFERRED)
        )
        for name in names
    }
    return sorted(names, key=lambda name: (places[name], "Sans" not in name, "Mono" in name, name))


def _drawable(family: str, characters: Iterable[str]) -> set[str]:
    """The characters that the font of this family can draw."""
    has, font = _font(family)
    known_characters = {character for character in characters if ord(character) in has}
    return {
        character
        for character in known_characters
        if character.isspace()
        or _invisible(character)
        or (font is not None and _has_outline(font, character))
    }


@functools.cache
def _font(family: str) -> tuple[frozenset[int], FT2Font | None]:
    try:
        font = font_manager.get_font(font_manager.findfont(family, fallback_to_default=False))
        return frozenset(font.get_charmap()), font
    except (OSError, RuntimeError, ValueError):  # gone, damaged, or a format that this FreeType does not read
        return frozenset(), None


def _has_outline(font: FT2Font, character: str) -> bool:
    """Whether the font can draw the character as an outline.

    A font of coloured emoji may have only an image of it.
    """
    font.load_char(ord(character))
    vertices, _ = font.get_path()
    return len(vertices) > 0


def _invisible(character: str) -> bool:
    """Whether a character only changes how others are drawn, such as a joiner or a variation selector."""
    return unicodedata.category(character) == "Cf" or unicodedata.name(character, "").startswith(
        "VARIATION SELECTOR"
    )


def _stand_in(characters: Iterable[str]) -> str:
    """The replacement of characters that no font has; "" for invisible ones."""
    names, codes = "", []
    for character in characters:
        if _invisible(character):
            continue
        name = unicodedata.name(character, "")
        # a symbol, an emoji above all, says more by its name
        if unicodedata.category(character) == "So" and 0 < len(name) <= 20:
            names += f":{name.lower()}:"
        else:
            codes.append(f"{ord(character):04X}")
    return names + ("U+" + " ".join(codes) if codes else "")
