"""Near spellings of a word among known names; words that merely share some letters are not near.

A leaf: it knows no name of its own.
"""

from collections.abc import Iterable

MOST = 2  # letters that differ: changed, missing, extra, or two exchanged
SHARE = 3  # at most one letter in so many


def nearest(word: str, names: Iterable[str], most: int = 3) -> list[str]:
    """The names nearest to `word`, all equally near, at most `most` of them.

    Two letters may differ, and a third of the letters; capitals, "-" and "_" count for nothing.
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
    """Letters to change, add, drop or exchange with a neighbour (Damerau) to turn one word into the other.

    A distance above MOST is any number above MOST.
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
