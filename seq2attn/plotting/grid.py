"""Several pairs in one figure, each as a heat map with words and a title of its own, and one colour scale.

Each row of the grid may stand for a sentence and each column for a run. This module knows no model.
"""

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from seq2attn.errors import UsageError
from seq2attn.plotting import MOST_PANELS, figures, heatmap, matrix
from seq2attn.plotting.alignment import HARDLY, Alignment
from seq2attn.plotting.figures import check_ending, settings, write
from seq2attn.plotting.fonts import Fonts, covering
from seq2attn.plotting.matrix import DPI, GAP, Matrix, Measures, ceiling, font_of
from seq2attn.plotting.style import Style

_NOTE = f"framed: source words that were hardly read: weights that add up to less than {HARDLY:g}"
_WIDEST = 16.0  # inches of all cells side by side, at most
_BETWEEN = (0.35, 0.4)  # inches between two panels, side by side and one below the other
_SHAPE = 1.5  # width by height of a figure that is pleasant to look at
_LABEL = 1.3  # inches that the words beside and above a panel take, about
_SHORT_LINE = 18  # characters of a line of a panel's title, at least


class _Panel(NamedTuple):
    """One panel: its matrix, its title, and its place in the grid."""

    matrix: Matrix
    title: str
    row: int
    column: int


class _Room(NamedTuple):
    """What a panel takes around its cells, in inches."""

    left: float
    above: float
    right: float


def save(
    rows: Sequence[Sequence[Alignment]],
    path: Path,
    *,
    title: str = "",
    size: tuple[float, float] | None = None,
    dpi: int | None = None,
    style: Style | None = None,
) -> Fonts:
    """Draw the grid to the file `path`: see `picture`. `dpi` is the dots an inch of a PNG."""
    check_ending(path, "a grid of heat maps")
    figure, fonts = picture(rows, title=title, size=size, style=style)
    write(figure, path, fonts.families, dpi=dpi or DPI)
    return fonts


def picture(
    rows: Sequence[Sequence[Alignment]],
    *,
    title: str = "",
    size: tuple[float, float] | None = None,
    style: Style | None = None,
) -> tuple[Figure, Fonts]:
    """A figure with rows of alignments. The title of an alignment stands above its panel.

    `size` is the total width and height in inches. Returns the fonts, too, and the characters that no font
    has. Raises UsageError for no alignment, for more than MOST_PANELS, for a size that is too small, and for
    weights that do not fit their words.
    """
    style = style or Style()
    alignments = [alignment for row in rows for alignment in row]
    check_count(len(alignments))
    words = [word for one in alignments for word in (*one.source_words, *one.target_words)]
    fonts = covering(["…", title, _NOTE, *words, *(one.title for one in alignments)], style.font)
    panels = [
        _Panel(Matrix.of(one, fonts), fonts.legible(one.title), row, column)
        for row, ones in enumerate(rows)
        for column, one in enumerate(ones)
    ]
    for panel in panels:
        panel.matrix.check()
    counts = (sum(_columns(panels).values()), sum(_rows(panels).values()))

    def draw(measures: Measures) -> Figure:
        return _draw(panels, fonts.legible(title), fonts.families, measures, style.colours)

    if size is not None:
        return heatmap.fitted(draw, _natural(counts), counts, size), fonts
    figure = draw(_natural(counts))
    figures.fit(figure)
    return figure, fonts


def check_count(count: int) -> None:
    """Raise UsageError if so many panels do not fit one figure."""
    if not count:
        raise UsageError("there is nothing to draw: give one translation at least")
    if count > MOST_PANELS:
        raise UsageError(
            f"{count} panels are too many for one figure: {MOST_PANELS} is the most; choose some"
        )


def arrange(alignments: Sequence[Alignment]) -> list[list[Alignment]]:
    """Rows of a pleasant shape for alignments that follow each other."""
    check_count(len(alignments))

    def shape(across: int) -> tuple[float, int]:
        rows = [alignments[start : start + across] for start in range(0, len(alignments), across)]
        wide = sum(
            max(len(row[column].source_words) for row in rows if column < len(row)) * heatmap.CELL + _LABEL
            for column in range(across)
        )
        high = sum(max(len(one.target_words) for one in row) * heatmap.CELL + _LABEL for row in rows)
        empty = across * len(rows) - len(alignments)
        return abs(math.log(wide / high / _SHAPE)) + 0.4 * empty, across

    _, across = min(shape(across) for across in range(1, min(6, len(alignments)) + 1))
    return [list(alignments[start : start + across]) for start in range(0, len(alignments), across)]


def _columns(panels: Sequence[_Panel]) -> dict[int, int]:
    """The most cells side by side in each column of panels."""
    most: dict[int, int] = {}
    for panel in panels:
        most[panel.column] = max(most.get(panel.column, 0), len(panel.matrix.sources))
    return most


def _rows(panels: Sequence[_Panel]) -> dict[int, int]:
    """The most cells one below the other in each row of panels."""
    most: dict[int, int] = {}
    for panel in panels:
        most[panel.row] = max(most.get(panel.row, 0), len(panel.matrix.targets))
    return most


def _natural(counts: tuple[int, int]) -> Measures:
    """The lengths that suit so many cells side by side and one below the other."""
    wide = min(heatmap.CELL, _WIDEST / max(counts[0], 1))
    high = min(heatmap.CELL, heatmap.LARGEST / max(counts[1], 1), max(wide, 0.15))
    return Measures(wide, high, font_of(min(wide, high)))


def _draw(
    panels: Sequence[_Panel], title: str, families: Sequence[str], measures: Measures, colours: Colormap
) -> Figure:
    wide, high, font = measures
    highest = ceiling([panel.matrix.weights for panel in panels])
    with settings(families):
        figure = figures.new(1, 1, DPI)
        parts = [_draw_panel(figure, panel, measures, highest, colours) for panel in panels]
        rooms = [room for _, room in parts]
        cells_wide = {column: count * wide for column, count in _columns(panels).items()}
        cells_high = {row: count * high for row, count in _rows(panels).items()}
        lefts = {
            column: max(
                room.left for panel, room in zip(panels, rooms, strict=True) if panel.column == column
            )
            for column in cells_wide
        }
        slots = {
            column: lefts[column]
            + max(
                len(panel.matrix.sources) * wide + room.right
                for panel, room in zip(panels, rooms, strict=True)
                if panel.column == column
            )
            for column in cells_wide
        }
        large = 1.1 * font
        titles = [_wrapped(panel.title, slots[panel.column], large) for panel in panels]
        texts = [matrix.text(figure, 0, 0, lines, size=large, va="bottom") for lines in titles]
        sizes = [text.get_window_extent() for text in texts]
        for panel, size in zip(panels, sizes, strict=True):
            slots[panel.column] = max(slots[panel.column], size.width / DPI)
        labels = {  # inches of the words above each row of panels
            row: max(room.above for panel, room in zip(panels, rooms, strict=True) if panel.row == row)
            for row in cells_high
        }
        heads = {  # and of the titles, too
            row: labels[row]
            + max(
                size.height / DPI + GAP if panel.title else 0
                for panel, size in zip(panels, sizes, strict=True)
                if panel.row == row
            )
            for row in cells_high
        }
        x_of, y_of = (
            _starts(slots, _BETWEEN[0]),
            _starts({row: heads[row] + cells_high[row] for row in cells_high}, _BETWEEN[1]),
        )
        width = max(x_of[column] + slots[column] for column in slots)
        height = max(y_of[row] + heads[row] + cells_high[row] for row in heads)
        figure.set_size_inches(width, height)
        for panel, (axes, _), text in zip(panels, parts, texts, strict=True):
            rows, columns = panel.matrix.weights.shape
            left, top = x_of[panel.column] + lefts[panel.column], y_of[panel.row] + heads[panel.row]
            axes.set_position(
                (left / width, 1 - (top + rows * high) / height, columns * wide / width, rows * high / height)
            )
            above = top - labels[panel.row] - GAP
            text.set_position((x_of[panel.column] / width, 1 - above / height))
        top = height - heads[min(heads)]
        length = min(1.2, max(cells_high[min(cells_high)], 0.4))
        matrix.scale(figure, (width + 0.2, top), length, highest, font, colours)
        if title:
            heatmap.write_title(figure, title, (0, height + 3 * GAP), width, max(large, font))
        if any(panel.matrix.hardly for panel in panels):
            heatmap.write_note(figure, _NOTE, (0, -2 * GAP), width, font)
    return figure


def _draw_panel(
    figure: Figure, panel: _Panel, measures: Measures, highest: float, colours: Colormap
) -> tuple[Axes, _Room]:
    """The panel at the lower left of the figure, and the room that it needs around its cells."""
    width, height = figure.get_size_inches()
    rows, columns = panel.matrix.weights.shape
    place = (0, 0, columns * measures.wide / width, rows * measures.high / height)
    axes = matrix.cells(figure, place, panel.matrix, measures, highest, colours)
    left = matrix.write_targets(axes, panel.matrix, measures)
    above, right = matrix.write_sources(axes, panel.matrix, measures)
    return axes, _Room(left, above, right)


def _wrapped(title: str, width: float, font: float) -> str:
    """The title in at most three lines of about `width` inches."""
    letters = max(_SHORT_LINE, int(width * 72 / (0.58 * font)))
    return textwrap.fill(title, letters, max_lines=3, placeholder=" …")


def _starts(lengths: dict[int, float], between: float) -> dict[int, float]:
    """Where each of several things begins that follow each other with a gap between them."""
    starts, position = {}, 0.0
    for key in sorted(lengths):
        starts[key] = position
        position += lengths[key] + between
    return starts
