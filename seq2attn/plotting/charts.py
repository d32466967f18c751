"""Curves of numbers to draw: what a chart holds, and round numbers for its axis. It knows no run.

`curves` draws charts with matplotlib, and `svg_chart` as part of a page.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

MOST_RUNS = 12  # of one drawing
COLOURS = ("#12629e", "#c2410c", "#2f8132", "#8a3ab9", "#0f7f86", "#b3235f", "#7a5c00", "#4b5563")
DASHES = ("", "6 3", "2 3")  # of the first eight curves, of the next eight, and so on


class Curve(NamedTuple):
    """One line of a chart. A pale one stands behind the others, and one with dots has a dot at each value."""

    run: int  # number of the run, which has a colour
    x: Sequence[float]
    y: Sequence[float]
    pale: bool = False
    dots: bool = False

    @property
    def colour(self) -> int:
        return self.run % len(COLOURS)

    @property
    def dash(self) -> str:
        return DASHES[self.run // len(COLOURS) % len(DASHES)]


class Chart(NamedTuple):
    """Curves over one axis: what they measure, and what `x` is."""

    title: str
    across: str  # name of x
    curves: Sequence[Curve]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The least and greatest x, and the least and greatest y, of all curves."""
        xs = [x for curve in self.curves for x in curve.x]
        ys = [y for curve in self.curves for y in curve.y]
        return min(0.0, *xs), max(xs), min(0.0, *ys), max(ys)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """At most `count` + 1 round numbers from `low` to `high`."""
    if not high - low > 1e-300:  # less has no power of ten
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * times for times in (1, 2, 2.5, 5, 10) if power * times >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def short(number: float) -> str:
    """A number of an axis for people: 20,000 as "20k"."""
    if abs(number) >= 1e6:
        return f"{number / 1e6:g}M"
    return f"{number / 1000:g}k" if abs(number) >= 10_000 else f"{round(number, 6):g}"


def thinned(count: int, most: int) -> list[int]:
    """At most that many of the numbers 0 to `count` - 1, evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})
