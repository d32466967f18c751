"""Variants of dashes, quotes and spaces, and the plain mark that stands for each.

One character becomes one character, and white space stays white space: words and places do not move.
"""

SIDES = ("none", "source", "both")  # whose marks become plain ones

_VARIANTS = {
    " ": "\xa0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2212",
    "'": "\u2018\u2019\u201a\u201b\u2032\u2039\u203a\u02bc\xb4",
    '"': "\u201c\u201d\u201e\u201f\u2033\xab\xbb",
}
PLAIN = {variant: mark for mark, variants in _VARIANTS.items() for variant in variants}
_TABLE = str.maketrans(PLAIN)


def plain(text: str) -> str:
    """The text with plain marks."""
    return text if text.isascii() else text.translate(_TABLE)


def is_plain(text: str) -> bool:
    """Whether a text has plain marks alone."""
    return text.isascii() or PLAIN.keys().isdisjoint(text)
