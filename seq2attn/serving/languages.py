"""Codes of languages and their English names, as the LibreTranslate protocol lists them."""

UNDETERMINED = "und"  # ISO 639 for a language that the run does not name

_NAMES = (
    "ar Arabic|az Azerbaijani|bg Bulgarian|bn Bengali|ca Catalan|cs Czech|da Danish|de German|el Greek|"
    "en English|eo Esperanto|es Spanish|et Estonian|eu Basque|fa Persian|fi Finnish|fr French|ga Irish|"
    "gl Galician|he Hebrew|hi Hindi|hr Croatian|hu Hungarian|hy Armenian|id Indonesian|is Icelandic|"
    "it Italian|ja Japanese|ka Georgian|kk Kazakh|ko Korean|lt Lithuanian|lv Latvian|mk Macedonian|"
    "mn Mongolian|ms Malay|nb Norwegian Bokmål|ne Nepali|nl Dutch|nn Norwegian Nynorsk|no Norwegian|"
    "pl Polish|pt Portuguese|ro Romanian|ru Russian|sk Slovak|sl Slovenian|sq Albanian|sr Serbian|"
    "sv Swedish|sw Swahili|ta Tamil|te Telugu|th Thai|tl Tagalog|tr Turkish|uk Ukrainian|ur Urdu|"
    "uz Uzbek|vi Vietnamese|zh Chinese|und not named"
)
NAMES = dict(pair.split(" ", 1) for pair in _NAMES.split("|"))


def code_of(language: str | None) -> str:
    """The code of a run's language: as the run names it, in lower case."""
    return language.strip().lower() if language and language.strip() else UNDETERMINED


def name_of(code: str) -> str:
    """The English name of a language; its code, if it is not known here."""
    return NAMES.get(code, NAMES.get(code.replace("_", "-").split("-")[0], code))
