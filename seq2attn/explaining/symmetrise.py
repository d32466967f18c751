"""Two alignments of one sentence pair, of both directions, as one (Koehn, Och and Marcu 2003, section 4.1;
Koehn et al. 2005, section 2.2).

Both are sets of links (source word, target word): those of the reverse direction are turned already. Points
are visited in the order of the target words and, of one target word, of the source words. A point that is
added behind the present one is visited in the same pass. This order decides the result, and it is that of
Moses. This module knows no model.

MEAN joins weights and not links: those of both directions are averaged before links are made of them.
"""

from bisect import bisect
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

Link = tuple[int, int]
Method = Callable[[set[Link], set[Link]], list[Link]]
MEAN = "mean"

# (source, target): the neighbours of a link, nearest first
NEIGHBOURS = ((0, -1), (-1, 0), (0, 1), (1, 0), (-1, -1), (1, -1), (-1, 1), (1, 1))


def symmetrise(forward: Iterable[Link], reverse: Iterable[Link], method: str) -> list[Link]:
    """The links of both directions by one of METHODS, in target order.

    With "intersection" they are those of both, with "union" those of either. "grow-diag" begins with the
    intersection and adds neighbours that are in the union and link a word that has no link yet.
    "grow-diag-final" then adds every link of `forward`, and after that of `reverse`, one of whose words has
    no link yet; "grow-diag-final-and" those of which neither word has one.
    """
    return METHODS[method](set(forward), set(reverse))


def mean(forward: NDArray[np.floating], reverse: NDArray[np.floating]) -> NDArray[np.floating]:
    """The mean of the weights of both directions (W, U), where `reverse` has its own rows (U, W)."""
    both: NDArray[np.floating] = np.float32(0.5) * (forward + reverse.T)
    return both


def _by_target(link: Link) -> Link:
    return link[1], link[0]


class _Growing:
    """Links that grow, and the words that they cover."""

    def __init__(self, forward: set[Link], reverse: set[Link]) -> None:
        self.union = forward | reverse
        self.links = sorted(forward & reverse, key=_by_target)
        self.sources = {source for source, _ in self.links}
        self.targets = {target for _, target in self.links}

    def grow(self) -> None:
        """Add neighbours until there is none to add."""
        before = -1
        while before < len(self.links):
            before, place = len(self.links), 0
            while place < len(self.links):
                source, target = self.links[place]
                for right, down in NEIGHBOURS:
                    link = source + right, target + down
                    covers = link[0] in self.sources and link[1] in self.targets
                    if link in self.union and not covers:
                        place += self._add(link) <= place
                place += 1

    def finish(self, links: set[Link], both: bool) -> None:
        """Add links one of whose words is not covered; with `both`, links of two words that are not."""
        for link in sorted(links, key=_by_target):
            bare = (link[0] not in self.sources) + (link[1] not in self.targets)
            if bare > both:
                self._add(link)

    def _add(self, link: Link) -> int:
        """Add a link; returns its place."""
        place = bisect(self.links, _by_target(link), key=_by_target)
        self.links.insert(place, link)
        self.sources.add(link[0])
        self.targets.add(link[1])
        return place


def _grow_diag(forward: set[Link], reverse: set[Link]) -> list[Link]:
    growing = _Growing(forward, reverse)
    growing.grow()
    return growing.links


def _final(both: bool) -> Method:
    def grow_diag_final(forward: set[Link], reverse: set[Link]) -> list[Link]:
        growing = _Growing(forward, reverse)
        growing.grow()
        growing.finish(forward, both)
        growing.finish(reverse, both)
        return growing.links

    return grow_diag_final


METHODS: dict[str, Method] = {
    "grow-diag-final-and": _final(both=True),
    "grow-diag-final": _final(both=False),
    "grow-diag": _grow_diag,
    "intersection": lambda forward, reverse: sorted(forward & reverse, key=_by_target),
    "union": lambda forward, reverse: sorted(forward | reverse, key=_by_target),
}
NAMES = (*METHODS, MEAN)
