"""The scripts of a language, and how much of a text is in other scripts."""

import unicodedata
from collections import Counter
from collections.abc import Iterable

_CODES = {
    "LATIN": "en de fr es it pt nl sv da no nb nn fi is pl cs sk hu ro hr sl et lv lt tr az vi id ms sw ca "
    "eu gl ga cy mt sq eo la af",
    "CYRILLIC": "ru uk bg be mk",
    "GREEK": "el",
    "ARABIC": "ar fa ur ps",
    "HEBREW": "he yi",
    "DEVANAGARI": "hi mr ne",
    "BENGALI": "bn",
    "TAMIL": "ta",
    "TELUGU": "te",
    "ARMENIAN": "hy",
    "GEORGIAN": "ka",
    "THAI": "th",
    "CJK": "zh ja ko",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
}
_ENOUGH = 10  # bytes of letters of another script: ten Latin letters, five Cyrillic ones, four of Chinese
_USUAL = 0.05  # share of the letters of a language, from which on a script is one of its scripts
_EXTENDED_LATIN = "ɐ"  # the first letter after those that every Latin alphabet of Europe needs


class _Scripts(dict[str, str]):
    """The script of a letter, "" for other characters; looked up once."""

    def __missing__(self, character: str) -> str:
        name = unicodedata.name(character, "").split(" ")[0] if character.isalpha() else ""
        # modifier letters and letters of a width belong to every script
        self[character] = script = "" if name in ("MODIFIER", "FULLWIDTH", "HALFWIDTH", "MASCULINE") else name
        return script


_SCRIPT_OF = _Scripts()


def scripts_of(language: str | None, texts: Iterable[str]) -> frozenset[str]:
    """The scripts of a language, by its code of two letters or, without one that is known, of the texts."""
    by_code = {script for script, codes in _CODES.items() if language in codes.split()}
    if by_code:
        return frozenset(by_code)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(map(_SCRIPT_OF.__getitem__, text[:200]))
    del counts[""]
    return frozenset(script for script, count in counts.items() if count >= _USUAL * counts.total())


def is_foreign(text: str, scripts: frozenset[str]) -> bool:
    """Whether most letters of a text are in other scripts. A few letters, as of a name, do not count."""
    if "LATIN" in scripts and (text.isascii() or max(text) < _EXTENDED_LATIN):
        return False
    own = other = 0
    for character in text:
        if script := _SCRIPT_OF[character]:
            size = 1 if character < "\x80" else 2 if character < "\u0800" else 3
            if script in scripts:
                own += size
            else:
                other += size
    return other >= _ENOUGH and other > own
