"""Symmetrised links: the pseudocode of the paper, and the output of Moses' symal, on 1,000 random cases."""

import hashlib
import random
from collections.abc import Iterable, Iterator

import pytest
from reference.symmetrise import symmetrise as in_loops

from seq2attn.explaining.symmetrise import METHODS, Link, symmetrise

Case = tuple[set[Link], set[Link], int, int]

# SHA-256 of what Moses' symal (symal.cpp, compiled with g++) prints for the cases of `one_link`,
# each case a line: links i-j of source and target words, in the order of (i, j)
SYMAL = {
    "grow-diag-final-and": "b24165e4985a8e7162e3cc9cab572554316573f99080b8b21e9980a5ddec11da",
    "grow-diag-final": "69710be9c2888b01b0f40553c7b3f57d9a8d5c46cb353c80956d95b47e107382",
    "grow-diag": "ec62c3f02d82a87b84fea99019ac6167629a009edce4b40f58651bcd2c79cb76",
    "intersection": "86f6715fb13bb543dc97c5b3f98cf7d8e4ff56dd2f17f7df74b1592bbcfd508c",
    "union": "8a0415a14e127e122fcee5e1b91a8f8a2909104440d9a7043ae61622ff74da8a",
}


def one_link(count: int = 1000) -> Iterator[Case]:
    """Alignments as aligners give them: each word of one side has one link or none."""
    draw = random.Random(17)
    for _ in range(count):
        sources, targets, share = draw.randint(1, 9), draw.randint(1, 9), draw.choice((0.5, 0.8, 1.0))
        forward = {(draw.randrange(sources), j) for j in range(targets) if draw.random() < share}
        reverse = {(i, draw.randrange(targets)) for i in range(sources) if draw.random() < share}
        near = {(min(max(i + draw.randint(-1, 1), 0), sources - 1), j) for i, j in reverse}
        if draw.random() < 0.7:  # directions that agree more often
            forward = {link for link in {j: (i, j) for i, j in sorted(near)}.values()}
        yield forward, reverse, sources, targets


def any_links(count: int = 300) -> Iterator[Case]:
    """Any number of links of each word, as a threshold on weights gives them."""
    draw = random.Random(18)
    for _ in range(count):
        sources, targets, share = draw.randint(0, 8), draw.randint(0, 8), draw.random() / 2
        grid = [(i, j) for i in range(sources) for j in range(targets)]
        forward, reverse = ({link for link in grid if draw.random() < share} for _ in range(2))
        yield forward, reverse, sources, targets


def line(links: Iterable[Link]) -> str:
    return " ".join(f"{i}-{j}" for i, j in sorted(links)) + "\n"


@pytest.mark.parametrize("method", METHODS)
def test_symmetrise_equals_the_paper_in_loops(method: str) -> None:
    for forward, reverse, sources, targets in (*one_link(), *any_links()):
        got = symmetrise(forward, reverse, method)
        assert set(got) == in_loops(forward, reverse, sources, targets, method)
        assert got == sorted(set(got), key=lambda link: link[::-1])


@pytest.mark.parametrize("method", SYMAL)
def test_symmetrise_equals_moses(method: str) -> None:
    lines = [line(symmetrise(forward, reverse, method)) for forward, reverse, _, _ in one_link()]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == SYMAL[method]


def test_random_cases_tell_the_methods_and_the_directions_apart() -> None:
    """A mistake in the order of visits, or a swap of the directions, changes some of the cases."""
    results = {m: [symmetrise(f, r, m) for f, r, _, _ in one_link()] for m in METHODS}
    assert len({str(result) for result in results.values()}) == len(METHODS)
    for method in ("grow-diag-final", "grow-diag-final-and"):
        swapped = [symmetrise(r, f, method) for f, r, _, _ in one_link()]
        assert sum(a != b for a, b in zip(results[method], swapped, strict=True)) > 5


def test_symmetrise_by_hand() -> None:
    forward, reverse = {(0, 0), (1, 1), (3, 2)}, {(0, 0), (1, 2), (2, 2), (3, 2)}
    assert symmetrise(forward, reverse, "intersection") == [(0, 0), (3, 2)]
    assert symmetrise(forward, reverse, "grow-diag") == [(0, 0), (1, 1), (2, 2), (3, 2)]
    assert symmetrise(set(), {(4, 4)}, "grow-diag") == []
    assert symmetrise(set(), {(4, 4)}, "grow-diag-final-and") == [(4, 4)]
    assert symmetrise(set(), set(), "union") == []
