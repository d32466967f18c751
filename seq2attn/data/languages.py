"""The language of texts, by its code or by their script, and whether it has spaces between words."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

_NAMES = {
    "zh": "cmn zho chi yue lzh wuu nan chinese mandarin cantonese",
    "ja": "jpn japanese",
    "ko": "kor korean",
    "th": "tha thai",
    "lo": "lao",
    "km": "khm khmer",
    "my": "mya bur burmese",
    "bo": "bod tib tibetan",
}
_TWO_LETTERS = {name: code for code, names in _NAMES.items() for name in names.split()}
UNSPACED = ("zh", "ja", "th", "lo", "km", "my", "bo")  # written without spaces between words
_SCRIPTS = {
    "CJK": "zh",
    "HIRAGANA": "ja",
    "KATAKANA": "ja",
    "HANGUL": "ko",
    "THAI": "th",
    "LAO": "lo",
    "KHMER": "km",
    "MYANMAR": "my",
    "TIBETAN": "bo",
}


# What people write above a column
_TITLE_WORDS = (
    "afrikaans albanian amharic arabic armenian aymara azerbaijani basque belarusian bengali bosnian "
    "bulgarian burmese cantonese catalan chinese croatian czech danish dutch english esperanto "
    "estonian faroese finnish french galician georgian german greek guarani gujarati haitian hausa "
    "hawaiian hebrew hindi hungarian icelandic igbo indonesian irish italian japanese kannada kazakh "
    "khmer kinyarwanda korean kurdish kyrgyz lao latin latvian lithuanian luxembourgish macedonian "
    "malagasy malay malayalam maltese mandarin maori marathi mongolian nahuatl nepali norwegian "
    "occitan pashto persian polish portuguese punjabi quechua romanian russian samoan sardinian "
    "serbian shona sicilian sinhala slovak slovenian somali spanish sundanese swahili swedish tajik "
    "tamil tatar telugu thai tibetan tigrinya turkish turkmen ukrainian urdu uyghur uzbek vietnamese "
    "welsh wolof xhosa yiddish yoruba zulu deutsch english español français italiano nederlands "
    "polski português svenska türkçe русский українська 中文 日本語 한국어"
)
_TITLES = frozenset(_TITLE_WORDS.split())


def is_title(cell: str) -> bool:
    """Whether the title of a column is the name of a language."""
    return cell.strip().lower() in _TITLES


def language_of(language: str | None, texts: Iterable[str]) -> str | None:
    """The code of two letters of a `language` or, without one, of the script of the first texts.

    None for a language whose code is not known and for a script of several languages, such as Latin.
    """
    code = re.split(r"[-_.]", language.strip().lower())[0] if language else ""
    code = _TWO_LETTERS.get(code, code)
    if re.fullmatch(r"[a-z]{2}", code):
        return code
    scripts: Counter[str] = Counter()
    for text in _first(texts, 1000):
        scripts.update(
            _SCRIPTS.get(unicodedata.name(character, "").split(" ")[0], "other")
            for character in text
            if character.isalpha()
        )
    if scripts["ja"] > 0.1 * scripts.total():  # kana among Chinese characters is Japanese
        return "ja"
    most, count = scripts.most_common(1)[0] if scripts else ("other", 0)
    return most if most != "other" and count * 2 > scripts.total() else None


def uses_spaces(texts: Sequence[str], language: str | None = None) -> bool:
    """Whether words are separated by spaces: if not, a length is counted in characters."""
    return language_of(language, texts) not in UNSPACED


def unspaced(words: Sequence[str]) -> bool:
    """Whether these strings are not words, but long texts of a language without spaces between words."""
    return sum(map(len, words)) > 3 * len(words) and not uses_spaces(words)


def _first(texts: Iterable[str], count: int) -> Iterable[str]:
    return (text for text, _ in zip(texts, range(count), strict=False))
