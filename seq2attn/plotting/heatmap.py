"""Attention as a heat map in a file: a row for each target word, a column for each source word, the weight as depth of colour.

PNG, SVG or PDF, by the ending of the path; sized by what it shows and never larger than a poster; any script. Knows no model and no terminal.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from seq2attn.errors import UsageError
from seq2attn.plotting.figures import check_ending, settings, write
from seq2attn.plotting.fonts import Fonts, covering

COLOURS = LinearSegmentedColormap.from_list(
    "seq2attn", ["#f4f7fb", "#cfe1f2", "#8dbde0", "#3a87c2", "#12508f", "#08204a"]
)  # lightness falls evenly: reads in grey too
INK = "#1f2933"
LONGEST_LABEL = 30  # characters; longer words end in an ellipsis

_CELL, _DENSE_CELL = 0.4, 0.25  # inches a side, of short sentences and of long ones
_ROOMY = 9.0  # inches a side, for all cells together, before they draw closer
_LARGEST = 22.0  # inches a side, for all cells together
_FONT = 11.0  # points
_SMALLEST_FONT = 5.0
_GAP = 0.07  # inches between a label and the cells
_SLANT = 50.0  # degrees
_DPI = 160


def save(attention: np.ndarray, source_words: Sequence[str], target_words: Sequence[str], path: Path) -> Fonts:
    """Draw `attention` (target words, source words), weights from 0 to 1, to `path` (written beside and renamed).

    Source words stand on top from left to right, target words on the left from top to bottom, in the order of the text. Returns the fonts
    that were used, with the characters that none has. Raises UsageError for another ending or shape.
    """
    check_ending(path, "a heat map")
    fonts = covering(["…", *source_words, *target_words])
    figure = draw(attention, [fonts.legible(word) for word in source_words], [fonts.legible(word) for word in target_words], fonts.families)
    write(figure, path, fonts.families, dpi=_DPI, bbox_inches="tight", pad_inches=0.15)
    return fonts


def draw(attention: np.ndarray, source_labels: Sequence[str], target_labels: Sequence[str], families: Sequence[str]) -> Figure:
    """The heat map as a matplotlib figure; every character of the labels is in one of the font `families`. The labels reach beyond the figure: save it tight."""
    weights_TS = np.asarray(attention, dtype=np.float64)
    rows, columns = len(target_labels), len(source_labels)
    if weights_TS.shape != (rows, columns) or not weights_TS.size:
        raise UsageError(
            f"attention of shape {weights_TS.shape} for {rows} target and {columns} source words: it needs a row for each target word and a column for each source word"
        )
    cell = min(_CELL, max(_DENSE_CELL, _ROOMY / max(rows, columns)))
    wide, high = min(cell, _LARGEST / columns), min(cell, _LARGEST / rows)  # inches of one cell
    font = max(min(_FONT, 72 * 0.7 * min(wide, high)), _SMALLEST_FONT)
    highest = _ceiling(weights_TS)
    with settings(families):
        figure = Figure(figsize=(columns * wide, rows * high), dpi=_DPI, facecolor="white")
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        gaps = min(wide, high) > 0.15
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

        for row in _labelled(rows, high, font):
            axes.text(-_GAP / wide, row + 0.5, _cut(target_labels[row]), size=font, ha="right", va="center", color=INK, parse_math=False)
        top = [
            axes.text(column + 0.5, -_GAP / high, _cut(source_labels[column]), size=font, ha="center", va="bottom", color=INK, parse_math=False)
            for column in _labelled(columns, wide, font)
        ]
        if max(text.get_window_extent().width for text in top) > 0.94 * wide * _DPI:
            slant = _SLANT if wide > 0.2 else 90.0
            for text in top:
                text.set(rotation=slant, rotation_mode="anchor", ha="left", va="center" if slant == 90 else "baseline")
                if slant != 90:
                    text.set_x(text.get_position()[0] - 0.1)
        _legend(figure, 1 + 0.2 / (columns * wide), rows * high, columns * wide, highest, font)
    return figure


def _legend(figure: Figure, left: float, high: float, wide: float, highest: float, font: float) -> None:
    """A slim scale beside the upper right corner: all that says what the colours mean."""
    length = min(high, 1.2)
    axes: Axes = figure.add_axes((left, 1 - length / high, 0.09 / wide, length / high))
    steps = np.linspace(0, highest, 128)[:, None]
    axes.pcolormesh([0, 1], np.linspace(0, highest, 129), steps, cmap=COLOURS, vmin=0, vmax=highest, rasterized=True)  # strips of their own show seams
    axes.set_xticks([])
    axes.yaxis.tick_right()
    axes.set_yticks([0, highest], ["0", f"{highest:g}"])
    axes.tick_params(length=0, pad=3, labelsize=max(0.75 * font, _SMALLEST_FONT), labelcolor=INK)
    for edge in axes.spines.values():
        edge.set_visible(False)


def _labelled(count: int, cell: float, font: float) -> range:
    """Which labels to write: all, or every nth where they would overlap."""
    return range(0, count, max(1, math.ceil(0.95 * font / 72 / cell)))


def _ceiling(weights: np.ndarray) -> float:
    """The weight of the darkest colour: a round number, so that pictures of weak attention can be read and of strong ones compared."""
    most = float(weights.max())
    return next(step for step in (0.05, 0.1, 0.2, 0.5, 1.0, math.ceil(most)) if most <= step + 1e-6)


def _cut(label: str) -> str:
    return label if len(label) <= LONGEST_LABEL else label[: LONGEST_LABEL - 1] + "…"
