"""A heat map of attention in axes that the caller has, such as a panel of a larger figure of his own."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from seq2attn.errors import UsageError
from seq2attn.plotting.alignment import Alignment
from seq2attn.plotting.fonts import covering
from seq2attn.plotting.matrix import GAP, Matrix, ceiling, fill, shortened, source_colour, target_colour
from seq2attn.plotting.style import INK, Style


def draw(axes: Axes, alignment: Alignment, *, title: str = "", style: Style | None = None) -> None:
    """Draw the attention into `axes`: source words on top, target words at the left, the title above all.

    The labels have the size that the caller's settings give tick labels. The last colour stands for a round
    number that is not below the highest weight; `figure.colorbar(axes.collections[0])` draws the scale.
    Raises UsageError if the weights do not fit the words, and for axes that are not plane.
    """
    check(axes)
    style = style or Style()
    fonts = covering(["…", title, *alignment.source_words, *alignment.target_words], style.font)
    matrix = Matrix.of(alignment, fonts)
    matrix.check()
    rows, columns = matrix.weights.shape
    box = axes.get_window_extent()
    dots = min(box.width / columns, box.height / rows)  # of a cell
    fill(axes, matrix, ceiling([matrix.weights]), style.colours, gaps=dots > 0.15 * figure_of(axes).dpi)
    axes.set_xticks(np.arange(columns) + 0.5, [shortened(word) for word in matrix.sources])
    axes.set_yticks(np.arange(rows) + 0.5, [shortened(word) for word in matrix.targets])
    axes.tick_params(
        length=0, pad=72 * GAP, top=True, bottom=False, labeltop=True, labelbottom=False, left=True
    )
    for spine in axes.spines.values():
        spine.set_visible(False)
    above, beside = axes.get_xticklabels(), axes.get_yticklabels()
    for label in (*above, *beside):
        label.set(family=[*fonts.families, "sans-serif"], parse_math=False)
    for column, label in enumerate(above):
        label.set_color(source_colour(matrix, column))
    for row, label in enumerate(beside):
        label.set_color(target_colour(matrix, row))
    if max(label.get_window_extent().width for label in above) > 0.94 * box.width / columns:
        for label in above:
            label.set(rotation=50, rotation_mode="anchor", ha="left", va="baseline")
    if title:
        axes.set_title(
            fonts.legible(title),
            loc="left",
            color=INK,
            family=[*fonts.families, "sans-serif"],
            parse_math=False,
        )


def check(axes: object) -> None:
    """Raise UsageError unless a picture can be drawn into `axes`."""
    if not isinstance(axes, Axes) or axes.name != "rectilinear":
        kind = type(axes).__name__
        raise UsageError(
            f"ax is of type {kind}: give axes, as `figure, ax = plt.subplots()` does", setting="ax"
        )


def figure_of(axes: Axes) -> Figure:
    """The whole figure in which the axes are, also if they are in a part of it."""
    figure: Figure = axes.figure.canvas.figure
    return figure
