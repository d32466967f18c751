"""Charts of trainings as a figure of matplotlib: losses, scores and speed of several runs.

Up to three charts stand side by side, and four in a square. This module knows numbers and names, and no run.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator

from seq2attn.plotting import figures
from seq2attn.plotting.charts import COLOURS, Chart, Curve, short
from seq2attn.plotting.figures import Drawing, check_ending, settings, write
from seq2attn.plotting.fonts import Fonts, covering
from seq2attn.plotting.style import INK, SOFT

DPI = 160
_WIDE, _HIGH = 4.3, 2.9  # inches of a chart
_GRID = "#e3e8ee"
_FONT = 10.0  # points


def save(charts: Sequence[Chart], names: Sequence[str], path: Path, title: str = "", note: str = "") -> Fonts:
    """Write the figure to `path`: see `picture`. Raises UsageError for another ending."""
    check_ending(path, "a drawing of curves")
    figure, fonts = picture(charts, names, title, note)
    write(figure, path, fonts.families, dpi=DPI)
    return fonts


def picture(
    charts: Sequence[Chart], names: Sequence[str], title: str = "", note: str = ""
) -> tuple[Drawing, Fonts]:
    """The charts in one figure, with a legend of the runs. `note` explains the lines.

    Returns the fonts, too, and the characters that no font has.
    """
    fonts = covering([title, note, *names])
    across = 2 if len(charts) == 4 else min(len(charts), 3)
    down = -(-len(charts) // across)
    with settings(fonts.families):
        figure = figures.new(across * _WIDE, down * _HIGH + 0.6, DPI)
        for number, chart in enumerate(charts):
            axes = figure.add_subplot(down, across, number + 1)
            draw(axes, chart)
        figure.subplots_adjust(
            left=0.62 / (across * _WIDE), right=1 - 0.12 / (across * _WIDE), wspace=0.26, hspace=0.46
        )
        figure.subplots_adjust(top=0.8 if down == 1 else 0.88, bottom=0.16 if down == 1 else 0.09)
        above = _legend(figure.axes[0], [fonts.legible(name) for name in names], across)
        inch = 1 / figure.get_size_inches()[1]
        place = figure.axes[0].get_position()
        left = place.x0
        if note:
            figure.text(left, -0.02 * inch, note, size=8.5, color=SOFT, va="top", parse_math=False)
        if title:
            at = place.y1 + (above + 0.1) * inch
            figure.text(left, at, fonts.legible(title), size=12, color=INK, parse_math=False)
        figures.fit(figure)
    return figure, fonts


def _legend(axes: Axes, names: Sequence[str], across: int) -> float:
    """Write the names of the runs above the first chart. Returns the inches above it that they take."""
    handles = [
        Line2D([], [], color=COLOURS[number % len(COLOURS)], linewidth=2, linestyle=_dash(number))
        for number in range(len(names))
    ]
    columns = min(len(names), max(1, 3 * across - 1))
    begin, high = 0.32, axes.get_position().height * axes.figure.get_figheight()  # type: ignore[union-attr]
    legend = axes.legend(  # belongs to the axes, so that it moves with them
        handles,
        names,
        loc="lower left",
        bbox_to_anchor=(0, 1 + begin / high),
        ncols=columns,
        frameon=False,
        fontsize=_FONT,
        labelcolor=INK,
        handlelength=1.6,
        borderpad=0,
        borderaxespad=0,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return begin + 0.21 * -(-len(names) // columns)


def draw(axes: Axes, chart: Chart) -> None:
    """Draw a chart into axes of its own."""
    for curve in sorted(chart.curves, key=lambda curve: not curve.pale):
        axes.plot(
            curve.x,
            curve.y,
            color=COLOURS[curve.colour],
            linewidth=1.2 if curve.pale else 1.8,
            alpha=0.4 if curve.pale else 1,
            linestyle=_dash(curve.run),
            marker="o" if curve.dots and _few(curve) else None,
            markersize=3.5,
            clip_on=False,
        )
    low, high, bottom, top = chart.box
    axes.set_xlim(low, high if high > low else low + 1)
    axes.set_ylim(bottom, (top + 0.04 * (top - bottom)) if top > bottom else bottom + 1)
    axes.set_title(chart.title, loc="left", fontsize=_FONT, color=INK, pad=7)
    axes.set_xlabel(chart.across, fontsize=9, color=SOFT, labelpad=2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axis.set_major_formatter(FuncFormatter(lambda number, _: short(number)))
    axes.tick_params(length=0, labelsize=9, labelcolor=INK)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(SOFT)


def _few(curve: Curve) -> bool:
    return len(curve.x) <= 40


def _dash(run: int) -> Any:
    return ("-", "--", ":")[run // len(COLOURS) % 3]
