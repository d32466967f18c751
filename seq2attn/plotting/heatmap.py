"""Attention as a heat map in a file: a row for each target word and a column for each source word.

A darker cell has a higher weight. The ending of the path chooses PNG, SVG or PDF. The size follows from the
number of words, up to a limit, unless the caller gives a size. Words may be in any script. Several heads are
drawn as small multiples with one colour scale. Source words with low total attention are marked. This module
knows no model and no terminal.
"""

import math
import textwrap
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from seq2attn.errors import UsageError
from seq2attn.plotting.alignment import Alignment, count_line, hardly_read, mean
from seq2attn.plotting.figures import check_ending, settings, write
from seq2attn.plotting.fonts import Fonts, covering

COLOURS = LinearSegmentedColormap.from_list(
    "seq2attn", ["#f4f7fb", "#cfe1f2", "#8dbde0", "#3a87c2", "#12508f", "#08204a"]
)  # The lightness falls evenly, so that the map is legible in grey, too.
INK = "#1f2933"
LONGEST_LABEL = 30  # characters; longer words end in an ellipsis
_SHORTEST_LINE = 30  # characters of a line of the title at least, however narrow the cells are

_SOFT = "#7b8794"  # colour of the end token and of notes
_MARK = "#c2410c"  # colour of source words that were hardly read
_CELL, _DENSE_CELL = 0.4, 0.25  # inches a side of a cell, of short and of long sentences
_ROOMY = 9.0  # inches a side of all cells together, above which cells get smaller
_LARGEST = 22.0  # inches a side of all cells together, at most
_SMALL_PANEL = 2.6  # inches a side of one of several panels, at most
_FONT = 11.0  # points
_SMALLEST_FONT = 5.0
_FONT_OF_CELL = _FONT / _CELL  # points of the font for an inch of a cell, if the caller gives a size
_LEAST_FONT, _MOST_FONT = 3.0, 36.0  # points, if the caller gives a size
_LEAST_CELL = 0.01  # inches
_GAP = 0.07  # inches between a label and the cells
_SLANT = 50.0  # degrees
_DPI = 160
_PAD = 0.15  # inches around all


class _Sheet(NamedTuple):
    """Weights and labels to draw; every character of the labels is in one of the fonts."""

    weights: Sequence[np.ndarray]  # (target words, source words) of each panel
    titles: Sequence[str]
    sources: Sequence[str]
    targets: Sequence[str]
    ends: bool = False
    hardly: Sequence[int] = ()
    note: str = ""
    title: str = ""


class _Measures(NamedTuple):
    """Lengths of a drawing."""

    wide: float  # inches of a cell
    high: float
    font: float  # points


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
) -> Fonts:
    """Draw one alignment, or several of the same words as small multiples with their titles, like `save`.

    `size` is the total width and height in inches, `dpi` the dots an inch of a PNG. Raises UsageError if the
    size is too small for the words.
    """
    check_ending(path, "a heat map")
    first, together = alignments[0], mean(alignments)
    note = count_line(together, name_words=False)
    fonts = covering(
        [
            "…",
            title,
            note,
            *first.source_words,
            *first.target_words,
            *(alignment.title for alignment in alignments),
        ]
    )
    sheet = _Sheet(
        [np.asarray(alignment.attention, dtype=np.float64) for alignment in alignments],
        [fonts.legible(alignment.title) for alignment in alignments],
        [fonts.legible(word) for word in first.source_words],
        [fonts.legible(word) for word in first.target_words],
        first.ends,
        hardly_read(together),
        note,
        fonts.legible(title),
    )
    if size is None:
        write(
            _draw(sheet, fonts.families, _natural(sheet)),
            path,
            fonts.families,
            dpi=dpi or _DPI,
            bbox_inches="tight",
            pad_inches=_PAD,
        )
        return fonts
    figure, box = _fitted(sheet, fonts.families, size)
    write(figure, path, fonts.families, dpi=dpi or _DPI, bbox_inches=box, pad_inches=0)
    return fonts


def draw(
    attention: np.ndarray, source_labels: Sequence[str], target_labels: Sequence[str], families: Sequence[str]
) -> Figure:
    """The heat map as a matplotlib figure.

    Every character of the labels must be in one of the font `families`. The labels reach beyond the figure,
    so save it with a tight bounding box.
    """
    sheet = _Sheet([np.asarray(attention, dtype=np.float64)], [""], source_labels, target_labels)
    return _draw(sheet, families, _natural(sheet))


def _natural(sheet: _Sheet) -> _Measures:
    """The lengths that suit the number of words and panels."""
    rows, columns = max(len(sheet.targets), 1), max(len(sheet.sources), 1)
    across, down = _grid(sheet)
    roomy = _ROOMY if len(sheet.weights) == 1 else _SMALL_PANEL
    dense = _DENSE_CELL if len(sheet.weights) == 1 else 0.0
    cell = min(_CELL, max(dense, roomy / max(rows, columns)))
    wide, high = min(cell, _LARGEST / (across * columns)), min(cell, _LARGEST / (down * rows))
    return _Measures(wide, high, max(min(_FONT, 72 * 0.7 * min(wide, high)), _SMALLEST_FONT))


def _fitted(sheet: _Sheet, families: Sequence[str], size: tuple[float, float]) -> tuple[Figure, Bbox]:
    """A figure whose content fits `size` inches, and the part of it to save."""
    across, down = _grid(sheet)
    counts = (across * max(len(sheet.sources), 1), down * max(len(sheet.targets), 1))
    cell, shrunk = [_natural(sheet).wide, _natural(sheet).high], 1.0
    for _ in range(12):
        natural = max(min(_FONT, 72 * 0.7 * min(cell)), _FONT_OF_CELL * min(cell))
        font = min(max(shrunk * natural, _LEAST_FONT), _MOST_FONT)
        figure = _draw(sheet, families, _Measures(cell[0], cell[1], font))
        box = figure.get_tightbbox(figure.canvas.get_renderer())  # type: ignore[attr-defined]
        spare = [side - 2 * _PAD - length for side, length in zip(size, (box.width, box.height), strict=True)]
        if all(-0.01 <= rest <= 0.02 for rest in spare):
            break
        cell = [length + rest / count for length, rest, count in zip(cell, spare, counts, strict=True)]
        if min(cell) < _LEAST_CELL:  # the labels leave no room for cells
            cell, shrunk = [max(length, 2 * _LEAST_CELL) for length in cell], shrunk * 0.7
    else:
        if min(spare) < -_PAD:
            raise UsageError(f"{size[0]:.3g} x {size[1]:.3g} inches are too few for the words: enlarge it")
    left, bottom = box.x0 - (size[0] - box.width) / 2, box.y0 - (size[1] - box.height) / 2
    return figure, Bbox.from_bounds(left, bottom, *size)


def _grid(sheet: _Sheet) -> tuple[int, int]:
    """The numbers of panels across and down. Several layers of several heads have a row for each layer."""
    count = len(sheet.weights)
    layers = [len(list(group)) for _, group in groupby(title.split(", ")[0] for title in sheet.titles)]
    across = next((wide for wide in (4, 5, 6, 3) if count % wide == 0), 4) if count > 4 else count
    if len(layers) > 1 and len(set(layers)) == 1 and 1 < layers[0] <= 8:
        across = layers[0]
    return across, math.ceil(count / across)


def _draw(sheet: _Sheet, families: Sequence[str], measures: _Measures) -> Figure:
    rows, columns = len(sheet.targets), len(sheet.sources)
    for weights_TS in sheet.weights:
        if weights_TS.shape != (rows, columns) or not weights_TS.size:
            raise UsageError(
                f"attention of shape {weights_TS.shape} for {rows} target and {columns} source words: "
                "it needs a row for each target word and a column for each source word"
            )
    wide, high, font = measures
    across, down = _grid(sheet)
    highest = _ceiling(np.stack(sheet.weights))
    # inches between panels, side by side and one above the other
    between = (1.4 * font / 72, 2.0 * font / 72 + 2 * _GAP)
    width, height = (
        across * columns * wide + (across - 1) * between[0],
        down * rows * high + (down - 1) * between[1],
    )
    with settings(families):
        figure = Figure(figsize=(width, height), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        tops = [0.0] * across  # inches that the labels above each column of panels take
        for number, weights_TS in enumerate(sheet.weights):
            column, row = number % across, number // across
            left, top = column * (columns * wide + between[0]), row * (rows * high + between[1])
            place = (
                left / width,
                1 - (top + rows * high) / height,
                columns * wide / width,
                rows * high / height,
            )
            axes = _panel(figure, place, weights_TS, sheet, measures, highest)
            if column == 0:
                _rows(axes, sheet, measures)
            if row == 0:
                tops[column] = _columns(axes, sheet, measures)
        _legend(figure, 1 + 0.2 / width, height, width, highest, font)
        for number, title in enumerate(sheet.titles):
            column, row = number % across, number // across
            left, top = column * (columns * wide + between[0]), row * (rows * high + between[1])
            above = top - (max(tops) if row == 0 else 0) - _GAP
            _text(figure, left / width, 1 - above / height, title, size=font, va="bottom")
        if sheet.title:
            above = max(tops) + (1.7 * font / 72 if any(sheet.titles) else 0) + 2 * _GAP
            # Where the words are large, the font is as large as a short line of the title allows.
            large = 1.25 * min(font, max(_FONT, width * 72 / (0.55 * 1.25 * _SHORTEST_LINE)))
            title = textwrap.fill(sheet.title, max(_SHORTEST_LINE, int(width * 72 / (0.55 * large))))
            _text(figure, 0, 1 + above / height, title, size=large, va="bottom")
        if sheet.note:
            small = max(0.75 * font, min(_SMALLEST_FONT, font))
            letters = max(50, int(width * 72 / (0.55 * small)))
            _text(
                figure,
                0,
                -2 * _GAP / height,
                textwrap.fill(sheet.note, letters),
                size=small,
                va="top",
                color=_MARK,
            )
    return figure


def _panel(
    figure: Figure,
    place: tuple[float, float, float, float],
    weights_TS: np.ndarray,
    sheet: _Sheet,
    measures: _Measures,
    highest: float,
) -> Axes:
    axes: Axes = figure.add_axes(place)
    gaps = min(measures.wide, measures.high) > 0.15
    axes.pcolormesh(
        weights_TS,
        cmap=COLOURS,
        vmin=0,
        vmax=highest,
        edgecolors="white" if gaps else "none",
        linewidth=1.2 if gaps else 0,
        rasterized=weights_TS.size > 10_000,
    )
    axes.invert_yaxis()
    axes.set_axis_off()
    rows, columns = weights_TS.shape
    if sheet.ends:  # set apart from the words
        apart = 3.0 if gaps else 1.0
        axes.vlines(columns - 1, 0, rows, color="white", linewidth=apart)
        axes.hlines(rows - 1, 0, columns, color="white", linewidth=apart)
    for first, last in _runs(sheet.hardly):
        frame = Rectangle(
            (first, 0),
            last + 1 - first,
            rows - sheet.ends,
            zorder=3,
            fill=False,
            edgecolor=_MARK,
            linewidth=0.9,
            linestyle=(0, (3, 2)),
            clip_on=False,
        )
        axes.add_patch(frame)
    return axes


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """The first and the last number of each run of consecutive numbers."""
    groups = groupby(enumerate(numbers), lambda entry: entry[1] - entry[0])
    runs = [[number for _, number in group] for _, group in groups]
    return [(run[0], run[-1]) for run in runs]


def _rows(axes: Axes, sheet: _Sheet, measures: _Measures) -> None:
    """Write the target words at the left."""
    for row in _labelled(len(sheet.targets), measures.high, measures.font):
        end = sheet.ends and row == len(sheet.targets) - 1
        at: dict[str, Any] = {
            "size": measures.font,
            "ha": "right",
            "va": "center",
            "color": _SOFT if end else INK,
        }
        axes.text(-_GAP / measures.wide, row + 0.5, _cut(sheet.targets[row]), parse_math=False, **at)


def _columns(axes: Axes, sheet: _Sheet, measures: _Measures) -> float:
    """Write the source words on top, upright or slanted. Returns their height in inches."""
    wide, high, font = measures
    hardly = set(sheet.hardly)
    texts = []
    for column in _labelled(len(sheet.sources), wide, font):
        end = sheet.ends and column == len(sheet.sources) - 1
        at: dict[str, Any] = {
            "size": font,
            "ha": "center",
            "va": "bottom",
            "color": _SOFT if end else _MARK if column in hardly else INK,
        }
        label = _cut(sheet.sources[column])
        texts.append(axes.text(column + 0.5, -_GAP / high, label, parse_math=False, **at))
    if max(text.get_window_extent().width for text in texts) > 0.94 * wide * _DPI:
        slant = _SLANT if wide > 0.2 else 90.0
        for text in texts:
            middle = "center" if slant == 90 else "baseline"
            text.set(rotation=slant, rotation_mode="anchor", ha="left", va=middle)
            if slant != 90:
                text.set_x(text.get_position()[0] - 0.1)
    edge = axes.get_window_extent().y1
    return float(max(text.get_window_extent().y1 for text in texts) - edge) / _DPI


def _text(figure: Figure, x: float, y: float, text: str, **how: Any) -> Text:
    return figure.text(x, y, text, ha="left", parse_math=False, **{"color": INK, **how})


def _legend(figure: Figure, left: float, high: float, wide: float, highest: float, font: float) -> None:
    """The colour scale, beside the upper right corner."""
    length = min(high, 1.2)
    axes: Axes = figure.add_axes((left, 1 - length / high, 0.09 / wide, length / high))
    steps = np.linspace(0, highest, 128)[:, None]
    # With a rectangle for each colour, seams would show.
    edges = np.linspace(0, highest, 129)
    axes.pcolormesh([0, 1], edges, steps, cmap=COLOURS, vmin=0, vmax=highest, rasterized=True)
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks([0, highest], ["0", f"{highest:g}"])
    axes.tick_params(length=0, pad=3, labelsize=max(0.75 * font, min(_SMALLEST_FONT, font)), labelcolor=INK)
    for edge in axes.spines.values():
        edge.set_visible(False)


def _labelled(count: int, cell: float, font: float) -> range:
    """The numbers of the labels to write: all of them, or every nth where they would overlap."""
    return range(0, count, max(1, math.ceil(0.95 * font / 72 / cell)))


def _ceiling(weights: np.ndarray) -> float:
    """The weight of the darkest colour: a round number that is not below the highest weight.

    So low weights are visible, and images are comparable.
    """
    most = float(weights.max())
    return next(step for step in (0.05, 0.1, 0.2, 0.5, 1.0, math.ceil(most)) if most <= step + 1e-6)


def _cut(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
