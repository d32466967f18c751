"""Word links of sentence pairs, and their lines in the Pharaoh format.

A line is `i-j i-j ...`: source word and target word. Gold lines mark links that are only possible as `i?j` or
`ipj`. Words are separated by white space. This module knows no tokenizer.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from seq2attn.errors import UserError

Link = tuple[int, int]
_LINK = re.compile(r"([0-9]{1,9})([-?p])([0-9]{1,9})")  # no sentence has 10^9 words
_LONGEST = 40  # characters of a word that an error repeats


class Links(NamedTuple):
    """The links (source word, target word) of one sentence pair, counted from 0.

    Every sure link is possible, too.
    """

    sure: frozenset[Link]
    possible: frozenset[Link]


def parse(line: str, first: int = 0, where: str = "alignment") -> Links:
    """The links of one Pharaoh line whose words are counted from `first`, 0 or 1.

    Raises UserError, which begins with `where`.
    """
    sure, possible = set(), set()
    for word in line.split():
        match = _LINK.fullmatch(word)
        if match is None:
            text = repr(word if len(word) <= _LONGEST else word[:_LONGEST] + "...")
            raise UserError(f"{where}: {text} is no link: write i-j for a sure link, i?j for a possible one")
        link = (int(match[1]) - first, int(match[3]) - first)
        if min(link) < 0:
            raise UserError(f"{where}: {word} counts from 0, but words are said to be counted from {first}")
        possible.add(link)
        if match[2] == "-":
            sure.add(link)
    return Links(frozenset(sure), frozenset(possible))


def turn(line: str) -> str:
    """The line with the links of the other direction. What is no link stays as it is."""
    return " ".join(_LINK.sub(r"\3\2\1", word) if _LINK.fullmatch(word) else word for word in line.split())


def parse_lines(lines: Iterable[str], first: int = 0, where: str = "alignment") -> list[Links]:
    """The links of many lines; an error names `where` and the line, counted from 1."""
    return [parse(line, first, f"{where}, line {number}") for number, line in enumerate(lines, 1)]


def check_words(
    gold: Sequence[Links],
    sources: Sequence[str],
    targets: Sequence[str],
    where: str = "gold",
    way_out: str = "are the words counted from 1? Then say so (gold_first=1)",
) -> None:
    """Raise UserError unless every link is between white-space words that exist.

    Alignments of other texts, or with words counted from another number, have other links.
    """
    if not len(gold) == len(sources) == len(targets):
        raise UserError(f"{where}: {len(gold):,} lines of alignments for {len(sources):,} pairs of sentences")
    for number, (links, source, target) in enumerate(zip(gold, sources, targets, strict=True), 1):
        source_words, target_words = len(source.split()), len(target.split())
        for i, j in sorted(links.possible):
            if i >= source_words or j >= target_words:
                raise UserError(
                    f"{where}, line {number}: the link {i}-{j} (counted from 0) points past the end: "
                    f"the source has {source_words} words, the target {target_words}; {way_out}"
                )
