"""Attention as a heat map: a row for each target word and a column for each source word.

A darker cell has a higher weight. The size follows from the number of words, up to a limit, unless the caller
gives a size. Words may be in any script. Several heads are drawn as small multiples with one colour scale.
Source words with low total attention are marked. This module knows no model and no terminal.
"""

import math
import textwrap
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from seq2attn.errors import UsageError
from seq2attn.plotting import figures, matrix
from seq2attn.plotting.alignment import Alignment, count_line, hardly_read, mean
from seq2attn.plotting.figures import PAD, check_ending, settings, write
from seq2attn.plotting.fonts import Fonts, covering
from seq2attn.plotting.matrix import DPI, FONT, GAP, LONGEST_LABEL, Matrix, Measures, ceiling, font_of
from seq2attn.plotting.style import MARK, Style

__all__ = ["LONGEST_LABEL"]

LARGEST = 22.0  # inches a side of all cells together, at most
CELL = 0.4  # inches a side of a cell of short sentences

_SHORTEST_LINE = 30  # characters of a line of the title at least, however narrow the cells are
_DENSE_CELL = 0.25  # inches a side of a cell of long sentences
_ROOMY = 9.0  # inches a side of all cells together, above which cells get smaller
_SMALL_PANEL = 2.6  # inches a side of one of several panels, at most
_FONT_OF_CELL = FONT / CELL  # points of the font for an inch of a cell, if the caller gives a size
_LEAST_FONT, _MOST_FONT = 3.0, 36.0  # points, if the caller gives a size
_LEAST_CELL = 0.01  # inches


class _Sheet(NamedTuple):
    """The heads of one pair, which have the same words; every character is in one of the fonts."""

    heads: Sequence[Matrix]
    titles: Sequence[str]
    note: str = ""
    title: str = ""


def save(
    attention: np.ndarray, source_words: Sequence[str], target_words: Sequence[str], path: Path
) -> Fonts:
    """Draw `attention` (target words, source words), weights from 0 to 1, to the file `path`.

    Source words are on top from left to right, target words on the left from top to bottom, in the order of
    the text. Returns the fonts of the drawing and the characters that no font has. Raises UsageError for
    another file ending or shape.
    """
    return save_alignments([Alignment(source_words, target_words, attention)], path)


def save_alignments(
    alignments: Sequence[Alignment],
    path: Path,
    *,
    title: str = "",
    size: tuple[float, float] | None = None,
    dpi: int | None = None,
    style: Style | None = None,
) -> Fonts:
    """Draw one alignment, or several of the same words, to the file `path`: see `save` and `picture`.

    `dpi` is the dots an inch of a PNG.
    """
    check_ending(path, "a heat map")
    figure, fonts = picture(alignments, title=title, size=size, style=style)
    write(figure, path, fonts.families, dpi=dpi or DPI)
    return fonts


def picture(
    alignments: Sequence[Alignment],
    *,
    title: str = "",
    size: tuple[float, float] | None = None,
    style: Style | None = None,
) -> tuple[Figure, Fonts]:
    """A figure of one alignment, or of several of the same words as small multiples with their titles.

    `size` is the total width and height in inches. Returns the fonts, too, and the characters that no font
    has. Raises UsageError if the size is too small for the words, and for another shape of the attention.
    """
    style = style or Style()
    first, together = alignments[0], mean(alignments)
    note = count_line(together, name_words=False)
    titles = [alignment.title for alignment in alignments]
    fonts = covering(["…", title, note, *first.source_words, *first.target_words, *titles], style.font)
    hardly = hardly_read(together)
    sheet = _Sheet(
        [Matrix.of(alignment, fonts)._replace(hardly=hardly) for alignment in alignments],
        [fonts.legible(title) for title in titles],
        note,
        fonts.legible(title),
    )
    if size is None:
        figure = _draw(sheet, fonts.families, _natural(sheet), style.colours)
        figures.fit(figure)
        return figure, fonts
    across, down = _grid(sheet)
    figure = fitted(
        lambda measures: _draw(sheet, fonts.families, measures, style.colours),
        _natural(sheet),
        (across * len(first.source_words), down * len(first.target_words)),
        size,
    )
    return figure, fonts


def draw(
    attention: np.ndarray, source_labels: Sequence[str], target_labels: Sequence[str], families: Sequence[str]
) -> Figure:
    """The heat map as a matplotlib figure that is as large as its cells.

    Every character of the labels must be in one of the font `families`. The labels reach beyond the figure,
    so save it with a tight bounding box.
    """
    weights_TS = np.asarray(attention, dtype=np.float64)
    sheet = _Sheet([Matrix(weights_TS, source_labels, target_labels)], [""])
    return _draw(sheet, families, _natural(sheet), Style().colours)


def fitted(
    draw: Callable[[Measures], Figure], natural: Measures, counts: tuple[int, int], size: tuple[float, float]
) -> Figure:
    """A figure of `size` inches, whose content fits it.

    `draw` draws with other measures, of which `natural` are the first to try; `counts` are the cells side by
    side and one below the other. Raises UsageError if the size is too small.
    """
    cell, shrunk = [natural.wide, natural.high], 1.0
    for _ in range(12):
        font = max(min(FONT, 72 * 0.7 * min(cell)), _FONT_OF_CELL * min(cell))
        font = min(max(shrunk * font, _LEAST_FONT), _MOST_FONT)
        figure = draw(Measures(cell[0], cell[1], font))
        box = figures.content(figure)
        spare = [side - 2 * PAD - length for side, length in zip(size, (box.width, box.height), strict=True)]
        if all(-0.01 <= rest <= 0.02 for rest in spare):
            break
        cell = [
            length + rest / max(count, 1) for length, rest, count in zip(cell, spare, counts, strict=True)
        ]
        if min(cell) < _LEAST_CELL:  # the labels leave no room for cells
            cell, shrunk = [max(length, 2 * _LEAST_CELL) for length in cell], shrunk * 0.7
    else:
        if min(spare) < -PAD:
            raise UsageError(f"{size[0]:.3g} x {size[1]:.3g} inches are too few for the words: enlarge it")
    figures.fit(figure, size)
    return figure


def _natural(sheet: _Sheet) -> Measures:
    """The lengths that suit the number of words and panels."""
    first, count = sheet.heads[0], len(sheet.heads)
    rows, columns = max(len(first.targets), 1), max(len(first.sources), 1)
    across, down = _grid(sheet)
    roomy = _ROOMY if count == 1 else _SMALL_PANEL
    dense = _DENSE_CELL if count == 1 else 0.0
    cell = min(CELL, max(dense, roomy / max(rows, columns)))
    wide, high = min(cell, LARGEST / (across * columns)), min(cell, LARGEST / (down * rows))
    return Measures(wide, high, font_of(min(wide, high)))


def _grid(sheet: _Sheet) -> tuple[int, int]:
    """The numbers of panels across and down. Several layers of several heads have a row for each layer."""
    count = len(sheet.heads)
    layers = [len(list(group)) for _, group in groupby(title.split(", ")[0] for title in sheet.titles)]
    across = next((wide for wide in (4, 5, 6, 3) if count % wide == 0), 4) if count > 4 else count
    if len(layers) > 1 and len(set(layers)) == 1 and 1 < layers[0] <= 8:
        across = layers[0]
    return across, math.ceil(count / across)


def _draw(sheet: _Sheet, families: Sequence[str], measures: Measures, colours: Colormap) -> Figure:
    for head in sheet.heads:
        head.check()
    rows, columns = sheet.heads[0].weights.shape
    wide, high, font = measures
    across, down = _grid(sheet)
    highest = ceiling([head.weights for head in sheet.heads])
    # inches between panels, side by side and one above the other
    between = (1.4 * font / 72, 2.0 * font / 72 + 2 * GAP)
    width, height = (
        across * columns * wide + (across - 1) * between[0],
        down * rows * high + (down - 1) * between[1],
    )
    with settings(families):
        figure = figures.new(width, height, DPI)
        tops = [0.0] * across  # inches that the labels above each column of panels take
        for number, head in enumerate(sheet.heads):
            column, row = number % across, number // across
            left, top = column * (columns * wide + between[0]), row * (rows * high + between[1])
            place = (
                left / width,
                1 - (top + rows * high) / height,
                columns * wide / width,
                rows * high / height,
            )
            axes = matrix.cells(figure, place, head, measures, highest, colours)
            if column == 0:
                matrix.write_targets(axes, head, measures)
            if row == 0:
                tops[column], _ = matrix.write_sources(axes, head, measures)
        # beside the upper right corner
        matrix.scale(figure, (width + 0.2, height), min(height, 1.2), highest, font, colours)
        for number, title in enumerate(sheet.titles):
            column, row = number % across, number // across
            left, top = column * (columns * wide + between[0]), row * (rows * high + between[1])
            above = top - (max(tops) if row == 0 else 0) - GAP
            matrix.text(figure, left / width, 1 - above / height, title, size=font, va="bottom")
        if sheet.title:
            above = max(tops) + (1.7 * font / 72 if any(sheet.titles) else 0) + 2 * GAP
            write_title(figure, sheet.title, (0, height + above), width, font)
        if sheet.note:
            write_note(figure, sheet.note, (0, -2 * GAP), width, font)
    return figure


def write_title(figure: Figure, title: str, corner: tuple[float, float], width: float, font: float) -> None:
    """Write the title, wrapped at about `width`; its lower left `corner` is in inches."""
    # Where the words are large, the font is as large as a short line of the title allows.
    large = 1.25 * min(font, max(FONT, width * 72 / (0.55 * 1.25 * _SHORTEST_LINE)))
    lines = textwrap.fill(title, max(_SHORTEST_LINE, int(width * 72 / (0.55 * large))))
    wide, high = figure.get_size_inches()
    matrix.text(figure, corner[0] / wide, corner[1] / high, lines, size=large, va="bottom")


def write_note(figure: Figure, note: str, corner: tuple[float, float], width: float, font: float) -> None:
    """Write a note on source words that were hardly read; its upper left `corner` is in inches."""
    points = matrix.small(font)
    lines = textwrap.fill(note, max(50, int(width * 72 / (0.55 * points))))
    wide, high = figure.get_size_inches()
    matrix.text(figure, corner[0] / wide, corner[1] / high, lines, size=points, va="top", color=MARK)
