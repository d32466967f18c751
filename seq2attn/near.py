"""Similar spellings of a word among known names. Words that merely share some letters are not similar.

This module has no names of its own.
"""

from collections.abc import Iterable

MOST = 2  # letters that may differ: changed, missing, extra, or two exchanged
SHARE = 3  # at most one letter in this many may differ


def nearest(word: str, names: Iterable[str], most: int = 3) -> list[str]:
    """The names nearest to `word`, all equally near, at most `most` of them.

    Two letters may differ, but no more than a third of the letters. Capitals, "-" and "_" do not count.
    """
    typed = _plain(word)
    by_distance: dict[int, list[str]] = {}
    for name in names:
        other = _plain(name)
        apart = distance(typed, other)
        if apart <= min(MOST, max(len(typed), len(other)) // SHARE):
            by_distance.setdefault(apart, []).append(name)
    return by_distance[min(by_distance)][:most] if by_distance else []


def distance(one: str, other: str) -> int:
    """The number of edits that turn one word into the other (Damerau).

    An edit changes, adds or drops a letter, or exchanges two neighbours. A distance above MOST is any number
    above MOST.
    """
    if abs(len(one) - len(other)) > MOST:
        return MOST + 1
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row = [i]
        for j, b in enumerate(other, 1):
            best = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                best = min(best, before[j - 2] + 1)
            row.append(best)
        before, last = last, row
    return last[-1]


def _plain(word: str) -> str:
    return word.lower().replace("-", "").replace("_", "")
