"""Punctuation split off words: "anglais." becomes "anglais" and a full stop."""

import re
import unicodedata
from collections.abc import Sequence
from itertools import groupby

# punctuation that may stand between the letters of one word
_INSIDE = frozenset("'’ʼ-‐‑.:/@&_·‧・־׳״་#%*\\")
_BETWEEN_DIGITS = frozenset(",:")  # punctuation that may stand between digits only
_CLOSING = ".,;:!?…'\"’”»)]}>"
_ADDRESS = re.compile(r"[^\w]*(?:\w[\w+.-]*://|www\.\w|[\w.+-]+@[\w-]+\.\w)")
_INITIALS = re.compile(r"(?:[^\W\d_]\.)+[^\W\d_]")


def split_punctuation(word: str) -> list[str]:
    """The parts of a white-space word: words, and the punctuation around and inside them.

    Punctuation that belongs to a word stays in it: the apostrophe of "don't", the hyphen of "e-mail", the
    comma of "3,14", the dots of "U.S.", and all of an address.
    """
    if _ADDRESS.match(word):
        core = word.lstrip("([{<«“\"'¿¡").rstrip(_CLOSING)
        before, after = word[: word.index(core)], word[word.index(core) + len(core) :]
        return [*_runs(before), core, *_runs(after)]
    return _runs(word)


def _runs(word: str) -> list[str]:
    """Words, runs of symbols, and runs of one punctuation mark."""
    clusters = _clusters(word)
    kinds = [_kind(cluster) for cluster in clusters]
    joined = list(kinds)
    for place, (cluster, kind) in enumerate(zip(clusters, kinds, strict=True)):
        if kind == "punctuation" and _belongs(clusters, kinds, place):
            joined[place] = "word"
            continue
        before = clusters[_start_of_run(joined, place) : place]
        if cluster[0] == "." and _INITIALS.fullmatch("".join(before)):
            joined[place] = "word"  # the last dot of U.S.
    pairs = zip(joined, clusters, strict=True)
    runs = groupby(pairs, lambda pair: (pair[0], pair[1] if pair[0] == "punctuation" else ""))
    return ["".join(cluster for _, cluster in run) for _, run in runs]


def _start_of_run(kinds: Sequence[str], place: int) -> int:
    while place and kinds[place - 1] == "word":
        place -= 1
    return place


def _belongs(clusters: Sequence[str], kinds: Sequence[str], place: int) -> bool:
    """Whether a punctuation mark is part of the word around it."""
    mark, after = clusters[place][0], clusters[place + 1 : place + 2]
    if not after or kinds[place + 1] != "word":
        return False
    if place == 0:  # a sign
        return mark in "-−" and after[0][0].isdecimal()
    if kinds[place - 1] != "word":
        return False
    if mark in _BETWEEN_DIGITS:
        return clusters[place - 1][0].isdecimal() and after[0][0].isdecimal()
    return mark in _INSIDE


def _clusters(word: str) -> list[str]:
    """The characters, each with the combining marks and invisible characters that follow it."""
    clusters: list[str] = []
    for character in word:
        if clusters and (_attached(character) or all(map(_attached, clusters[-1]))):
            clusters[-1] += character
        else:
            clusters.append(character)
    return clusters


def _attached(character: str) -> bool:
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Cf")


def _kind(cluster: str) -> str:
    base = next((character for character in cluster if not _attached(character)), cluster[0])
    category = unicodedata.category(base)
    if category[0] == "P":
        return "punctuation"
    return "symbol" if category in ("So", "Sk") else "word"
