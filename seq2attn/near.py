"""Names that somebody may have meant who wrote another one: near spellings, and nothing that merely shares
some letters.

A leaf: it knows no name of its own.
"""

from collections.abc import Iterable

MOST = 2  # letters that are wrong, left out, too many, or two of them exchanged
SHARE = 3  # of a word's letters, one in so many at the most


def nearest(word: str, names: Iterable[str], most: int = 3) -> list[str]:
    """The names nearest to `word`, all equally near: at most two letters apart, and at most a third of the
    letters; capitals, "-" and "_" count for nothing.
    """
    typed = _plain(word)
    found: dict[int, list[str]] = {}
    for name in names:
        other = _plain(name)
        apart = distance(typed, other)
        if apart <= min(MOST, max(len(typed), len(other)) // SHARE):
            found.setdefault(apart, []).append(name)
    return found[min(found)][:most] if found else []


def distance(one: str, other: str) -> int:
    """Letters to change, add, leave out, or exchange with their neighbour (Damerau), to make one word of the
    other; more than MOST is not counted out.
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
