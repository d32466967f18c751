"""One matrix of attention in axes of its own: cells, words at the left and on top, and the colour scale.

Lengths are inches, whatever the figure's size is. `heatmap` and `grid` place these axes in a figure.
"""

import math
from collections.abc import Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from seq2attn.errors import UsageError
from seq2attn.plotting.alignment import Alignment, hardly_read
from seq2attn.plotting.fonts import Fonts
from seq2attn.plotting.style import INK, MARK, SOFT

LONGEST_LABEL = 30  # characters; longer words end in an ellipsis
FONT = 11.0  # points
SMALLEST_FONT = 5.0
GAP = 0.07  # inches between a label and the cells
DPI = 160

_SLANT = 50.0  # degrees
_NEARLY_WHITE = 2.9  # sum of red, green and blue
_HAIRLINE = "#e3e8ee"  # between the cells of a colour map that begins with white


class Matrix(NamedTuple):
    """Weights (target words, source words) and labels; every character of them is in one of the fonts."""

    weights: np.ndarray
    sources: Sequence[str]
    targets: Sequence[str]
    ends: bool = False  # the last word of each side is the end token
    hardly: Sequence[int] = ()  # the columns of source words that were hardly read

    @classmethod
    def of(cls, alignment: Alignment, fonts: Fonts) -> "Matrix":
        return cls(
            np.asarray(alignment.attention, dtype=np.float64),
            [fonts.legible(word) for word in alignment.source_words],
            [fonts.legible(word) for word in alignment.target_words],
            alignment.ends,
            hardly_read(alignment),
        )

    def check(self) -> None:
        """Raise UsageError if the weights do not fit the words."""
        rows, columns = len(self.targets), len(self.sources)
        if self.weights.shape != (rows, columns) or not self.weights.size:
            raise UsageError(
                f"attention of shape {self.weights.shape} for {rows} target and {columns} source words: "
                "it needs a row for each target word and a column for each source word"
            )


class Measures(NamedTuple):
    """Lengths of a drawing."""

    wide: float  # inches of a cell
    high: float
    font: float  # points


def font_of(cell: float) -> float:
    """Points of the labels of cells that are `cell` inches wide or high, whichever is less."""
    return max(min(FONT, 72 * 0.7 * cell), SMALLEST_FONT)


def small(font: float) -> float:
    """Points of notes and of the colour scale, beside labels of `font` points."""
    return max(0.75 * font, min(SMALLEST_FONT, font))


def cells(
    figure: Figure,
    place: tuple[float, float, float, float],
    matrix: Matrix,
    measures: Measures,
    highest: float,
    colours: Colormap,
) -> Axes:
    """Axes at that place (left, bottom, width and height, shares of the figure) with the cells."""
    axes: Axes = figure.add_axes(place)
    axes.set_axis_off()
    fill(axes, matrix, highest, colours, gaps=min(measures.wide, measures.high) > 0.15)
    return axes


def fill(axes: Axes, matrix: Matrix, highest: float, colours: Colormap, gaps: bool) -> None:
    """Draw the cells in the axes, the first row on top; `highest` has the last colour.

    Source words that were hardly read get a frame. With `gaps`, cells are apart.
    """
    rows, columns = matrix.weights.shape
    # Cells of weight 0 stay visible where they have the colour of the paper.
    between = "white" if sum(colours(0.0)[:3]) < _NEARLY_WHITE else _HAIRLINE
    axes.pcolormesh(
        matrix.weights,
        cmap=colours,
        vmin=0,
        vmax=highest,
        edgecolors=between if gaps else "none",
        linewidth=1.2 if gaps else 0,
        rasterized=matrix.weights.size > 10_000,
    )
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    if matrix.ends:  # set apart from the words
        apart = 3.0 if gaps else 1.0
        axes.vlines(columns - 1, 0, rows, color="white", linewidth=apart)
        axes.hlines(rows - 1, 0, columns, color="white", linewidth=apart)
    for first, last in _runs(matrix.hardly):
        frame = Rectangle(
            (first, 0),
            last + 1 - first,
            rows - matrix.ends,
            zorder=3,
            fill=False,
            edgecolor=MARK,
            linewidth=0.9,
            linestyle=(0, (3, 2)),
            clip_on=False,
        )
        axes.add_patch(frame)


def write_targets(axes: Axes, matrix: Matrix, measures: Measures) -> float:
    """Write the target words at the left. Returns the inches that they take beyond the cells."""
    texts = []
    for row in labelled(len(matrix.targets), measures.high, measures.font):
        at: dict[str, Any] = {
            "size": measures.font,
            "ha": "right",
            "va": "center",
            "color": target_colour(matrix, row),
        }
        label = shortened(matrix.targets[row])
        texts.append(axes.text(-GAP / measures.wide, row + 0.5, label, parse_math=False, **at))
    edge = axes.get_window_extent().x0
    return float(edge - min(text.get_window_extent().x0 for text in texts)) / DPI


def write_sources(axes: Axes, matrix: Matrix, measures: Measures) -> tuple[float, float]:
    """Write the source words on top, upright or slanted.

    Returns the inches that they take above the cells, and right of them.
    """
    wide, high, font = measures
    texts = []
    for column in labelled(len(matrix.sources), wide, font):
        at: dict[str, Any] = {
            "size": font,
            "ha": "center",
            "va": "bottom",
            "color": source_colour(matrix, column),
        }
        label = shortened(matrix.sources[column])
        texts.append(axes.text(column + 0.5, -GAP / high, label, parse_math=False, **at))
    if max(text.get_window_extent().width for text in texts) > 0.94 * wide * DPI:
        slant = _SLANT if wide > 0.2 else 90.0
        for text in texts:
            middle = "center" if slant == 90 else "baseline"
            text.set(rotation=slant, rotation_mode="anchor", ha="left", va=middle)
            if slant != 90:
                text.set_x(text.get_position()[0] - 0.1)
    box = axes.get_window_extent()
    extents = [text.get_window_extent() for text in texts]
    above, right = max(extent.y1 for extent in extents), max(extent.x1 for extent in extents)
    return float(above - box.y1) / DPI, max(0.0, float(right - box.x1) / DPI)


def target_colour(matrix: Matrix, row: int) -> str:
    return SOFT if matrix.ends and row == len(matrix.targets) - 1 else INK


def source_colour(matrix: Matrix, column: int) -> str:
    if matrix.ends and column == len(matrix.sources) - 1:
        return SOFT
    return MARK if column in matrix.hardly else INK


def text(figure: Figure, x: float, y: float, words: str, **how: Any) -> Text:
    """Text in the figure. `x` and `y` are shares of its width and height."""
    return figure.text(x, y, words, ha="left", parse_math=False, **{"color": INK, **how})


def scale(
    figure: Figure, corner: tuple[float, float], length: float, highest: float, font: float, colours: Colormap
) -> None:
    """The colour scale, `length` inches high; its upper left `corner` is in inches from the lower left."""
    width, height = figure.get_size_inches()
    axes: Axes = figure.add_axes(
        (corner[0] / width, (corner[1] - length) / height, 0.09 / width, length / height)
    )
    steps = np.linspace(0, highest, 128)[:, None]
    # With a rectangle for each colour, seams would show.
    edges = np.linspace(0, highest, 129)
    axes.pcolormesh([0, 1], edges, steps, cmap=colours, vmin=0, vmax=highest, rasterized=True)
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks([0, highest], ["0", f"{highest:g}"])
    axes.tick_params(length=0, pad=3, labelsize=small(font), labelcolor=INK)
    for edge in axes.spines.values():
        edge.set_visible(False)


def labelled(count: int, cell: float, font: float) -> range:
    """The numbers of the labels to write: all of them, or every nth where they would overlap."""
    return range(0, count, max(1, math.ceil(0.95 * font / 72 / cell)))


def ceiling(weights: Sequence[np.ndarray]) -> float:
    """The weight of the darkest colour: a round number that is not below the highest weight.

    So low weights are visible, and images are comparable.
    """
    most = max(float(matrix.max()) for matrix in weights)
    return next(step for step in (0.05, 0.1, 0.2, 0.5, 1.0, math.ceil(most)) if most <= step + 1e-6)


def shortened(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last number of each run of consecutive numbers."""
    groups = groupby(enumerate(numbers), lambda entry: entry[1] - entry[0])
    runs = [[number for _, number in group] for _, group in groups]
    return [(run[0], run[-1]) for run in runs]
