"""Attention over a training as a film: a strip of moments in an image, or an animation.

Each scene is a pair, and each moment a validation. Beside it stand the curves of the training, with a mark
where the moment is. A darker cell has a higher weight; all moments have one scale. This module knows weights
and words, and no model.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.text import Text
from PIL import Image

from seq2attn import files
from seq2attn.plotting import curves, figures, matrix
from seq2attn.plotting.charts import Chart, thinned
from seq2attn.plotting.figures import Drawing, Figure, check_ending, settings, write
from seq2attn.plotting.fonts import Fonts, covering
from seq2attn.plotting.scene import MOST_MOMENTS, Scene
from seq2attn.plotting.style import INK, MARK, SOFT, Style

_OF_A_STRIP = 7
_DPI, _DPI_OF_A_FILM = 160, 100
_CHART = (3.4, 1.7)  # inches
_MOST_SIDE = {True: 1.9, False: 3.4}  # inches of a matrix, in a strip and in a film
_CELL = 0.26  # inches, at most
_GAP = 0.3
_MILLISECONDS = (100, 600)  # that a moment lasts
_WHOLE = 9000  # milliseconds of a film, about
_LAST = 2500  # that the last moment lasts


class _Panel(NamedTuple):
    """A scene to draw: its labels, every character of which is in one of the fonts, and its measures."""

    scene: Scene
    columns: Sequence[str]
    rows: Sequence[str]
    cell: tuple[float, float]  # width and height in inches; of an image those of the whole small picture
    font: float
    left: float  # inches that the labels of the rows need
    above: float  # and those of the columns

    @classmethod
    def of(cls, scene: Scene, fonts: Fonts, strip: bool) -> "_Panel":
        rows = [matrix.shortened(fonts.legible(word)) for word in scene.target_words]
        columns = [matrix.shortened(fonts.legible(word)) for word in scene.columns]
        most = _MOST_SIDE[strip]
        if scene.grid is not None:
            high, wide = scene.grid
            side = min(0.5 if strip else 0.62, 3 * most / len(rows))
            cell = (side * min(1, wide / high), side * min(1, high / wide))
        else:
            side = min(_CELL, most / max(len(rows), len(columns)))
            cell = (side, side)
        font = min(8.0 if strip else 10.0, max(4.5, 72 * 0.72 * cell[1]))
        inches = [0.6 * font / 72 * _width(label) for label in (*rows, "")]
        above = max([0.62 * font / 72 * _width(label) for label in columns], default=0.0)
        return cls(scene, columns, rows, cell, font, max(inches) + 0.08, above + 0.06)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the cells, in inches."""
        across = 1 if self.scene.grid else len(self.columns)
        return across * self.cell[0], len(self.rows) * self.cell[1]

    def draw(
        self, figure: Figure, corner: tuple[float, float], moment: int, style: Style, labels: bool
    ) -> Callable[[int], None]:
        """Draw a moment; `corner` is the upper left one of the cells, in inches from the upper left.

        Returns what changes the drawing to another moment.
        """
        wide, high = self.size
        if self.scene.grid is None:
            axes = _axes(figure, corner, (wide, high))
            image = self._image(axes, self.scene.weights[moment], style)
            _separate(axes, len(self.rows), len(self.columns))
            images = [image]
        else:
            images = []
            for row, weights in enumerate(self.scene.weights[moment]):
                place = (corner[0], corner[1] + row * self.cell[1])
                axes = _axes(figure, place, (self.cell[0] * 0.94, self.cell[1] * 0.94))
                images.append(self._image(axes, weights.reshape(self.scene.grid), style))
        self._write(figure, corner, labels)

        def change(to: int) -> None:
            if self.scene.grid is None:
                images[0].set_data(self.scene.weights[to])
                return
            for row, image in enumerate(images):
                image.set_data(self.scene.weights[to][row].reshape(self.scene.grid))

        return change

    def _image(self, axes: Axes, weights: np.ndarray, style: Style) -> AxesImage:
        how: dict[str, Any] = {"cmap": style.colours, "vmin": 0, "vmax": self.scene.highest}
        return axes.imshow(weights, interpolation="nearest", aspect="auto", **how)

    def _write(self, figure: Figure, corner: tuple[float, float], labels: bool) -> None:
        end = self.scene.ends
        for column, label in enumerate(self.columns):
            colour = SOFT if end and column == len(self.columns) - 1 else INK
            at = (corner[0] + (column + 0.5) * self.cell[0], corner[1] - 0.05)
            how: dict[str, Any] = {"rotation": 90, "ha": "center", "va": "bottom"}
            _text(figure, at, label, size=self.font, color=colour, **how)
        for row, label in enumerate(self.rows if labels else []):
            colour = SOFT if end and row == len(self.rows) - 1 else INK
            at = (corner[0] - 0.06, corner[1] + (row + 0.5) * self.cell[1])
            _text(figure, at, label, size=self.font, color=colour, ha="right", va="center")


def save_strip(
    scenes: Sequence[Scene],
    steps: Sequence[int],
    charts: Sequence[Chart],
    path: Path,
    title: str,
    style: Style,
    dpi: int | None = None,
) -> Fonts:
    """Write up to seven moments, from the first to the last, below the curves: a .png, .svg or .pdf.

    `dpi` is the dots an inch of a PNG. Returns the fonts of the drawing and the characters that no font has.
    """
    check_ending(path, "a strip")
    moments = thinned(len(steps), _OF_A_STRIP)
    fonts = _fonts(scenes, title, style)
    with settings(fonts.families):
        panels = [_Panel.of(scene, fonts, strip=True) for scene in scenes]
        begin = 0.75 + _CHART[1] + 0.75
        places, slots, (width, height) = _places(panels, len(moments), begin)
        width = max(width, len(charts) * (_CHART[0] + 0.6) + 0.5)
        figure = _canvas(width, height, _DPI)
        left = places[0][0]
        wide = min((width - _GAP - left) / len(charts) - 0.6, 2 * _CHART[0])
        _draw_charts(figure, charts, [steps[moment] for moment in moments], (left, 0.75), wide)
        for panel, (x, top), slot in zip(panels, places, slots, strict=True):
            for column, moment in enumerate(moments):
                corner = (x + column * slot, top)
                panel.draw(figure, corner, moment, style, labels=column == 0)
                if top == places[0][1]:
                    label = f"{'' if panel.scene.grid and column else 'step '}{steps[moment]:,}"
                    over = (corner[0], begin - 0.22)
                    _text(figure, over, label, size=8.5, color=MARK, ha="left", va="bottom")
        _text(figure, (0, 0), fonts.legible(title), size=12, color=INK, ha="left", va="top")
        figures.fit(figure)
    write(figure, path, fonts.families, dpi=dpi or _DPI)
    return fonts


def save_animation(
    scenes: Sequence[Scene],
    steps: Sequence[int],
    charts: Sequence[Chart],
    path: Path,
    title: str,
    style: Style,
) -> Fonts:
    """Write the moments one after another to a .gif, at most MOST_MOMENTS of them."""
    moments = thinned(len(steps), MOST_MOMENTS)
    fonts = _fonts(scenes, title, style)
    with settings(fonts.families):
        panels = [_Panel.of(scene, fonts, strip=False) for scene in scenes]
        width = max(
            sum(panel.left + panel.size[0] + _GAP for panel in panels) + 0.2,
            len(charts) * (_CHART[0] + 0.6) + 0.3,
        )
        above = max(panel.above for panel in panels)
        begin = 0.8 + above
        below = begin + max(panel.size[1] for panel in panels) + 0.75
        figure = _canvas(width, below + _CHART[1] + 0.55, _DPI_OF_A_FILM)
        _text(figure, (0.2, 0.2), fonts.legible(title), size=12, color=INK, ha="left", va="top")
        left, changes = 0.2, []
        for panel in panels:
            left += panel.left
            changes.append(panel.draw(figure, (left, begin), moments[0], style, labels=True))
            left += panel.size[0] + _GAP
        marks = _draw_charts(figure, charts, [steps[moments[0]]], (0.6, below), _CHART[0])
        label = _text(figure, (0.2, 0.55), "", size=10, color=MARK, ha="left", va="center")
        frames = []
        for moment in moments:
            for change in changes:
                change(moment)
            for mark in marks:
                mark(steps[moment])
            label.set_text(f"step {steps[moment]:,} of {steps[-1]:,}")
            frames.append(_frame(figure))
    files.write(path, _gif(frames))
    return fonts


def _places(
    panels: Sequence[_Panel], moments: int, top: float
) -> tuple[list[tuple[float, float]], list[float], tuple[float, float]]:
    """The corner of the first moment of each panel, the inches from moment to moment, and the size of all.

    Texts stand one below the other, and images, whose words are below each other, side by side.
    """
    if panels[0].scene.grid is None:
        left = max(panel.left for panel in panels)
        slot = max(panel.size[0] for panel in panels) + _GAP
        places = []
        top -= 0.1
        for panel in panels:
            places.append((left, top + panel.above))
            top += panel.above + panel.size[1] + _GAP
        return places, [slot] * len(panels), (left + moments * slot, top)
    slots = [panel.size[0] + 0.06 for panel in panels]
    places, right = [], 0.0
    for panel, slot in zip(panels, slots, strict=True):
        places.append((right + panel.left, top))
        right += panel.left + moments * slot + _GAP
    return places, slots, (right + _GAP, top + max(panel.size[1] for panel in panels) + _GAP)


def _gif(frames: Sequence[Image.Image]) -> bytes:
    palette = frames[len(frames) // 2].quantize(128)
    own = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    least, most = _MILLISECONDS
    each = min(max(_WHOLE // len(frames), least), most)
    content = io.BytesIO()
    durations = [*[each] * (len(frames) - 1), _LAST]
    own[0].save(content, "GIF", save_all=True, append_images=own[1:], duration=durations, loop=0)
    return content.getvalue()


def _frame(figure: Figure) -> Image.Image:
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def _fonts(scenes: Sequence[Scene], title: str, style: Style) -> Fonts:
    texts = [word for scene in scenes for word in (*scene.target_words, *scene.columns)]
    return covering(["…", title, *texts], style.font)


def _canvas(width: float, height: float, dpi: int) -> Drawing:
    return figures.new(width, height, dpi)


def _draw_charts(
    figure: Figure, charts: Sequence[Chart], steps: Sequence[int], corner: tuple[float, float], wide: float
) -> list[Callable[[int], None]]:
    """Draw the curves with a mark at each of the steps. Returns what moves the first mark of each chart."""
    moves: list[Callable[[int], None]] = []
    for number, chart in enumerate(charts):
        place = (corner[0] + number * (wide + 0.6), corner[1])
        axes = _axes(figure, place, (wide, _CHART[1]), plain=False)
        curves.draw(axes, chart)
        lines = [axes.axvline(step, color=MARK, linewidth=1.3, clip_on=False) for step in steps]

        def move(step: int, line: Line2D = lines[0]) -> None:
            line.set_xdata([step, step])

        moves.append(move)
    return moves


def _axes(figure: Figure, corner: tuple[float, float], size: tuple[float, float], plain: bool = True) -> Axes:
    """Axes whose upper left corner is at that place, in inches from that of the figure."""
    width, height = figure.get_size_inches()
    (left, top), (wide, high) = corner, size
    axes: Axes = figure.add_axes((left / width, 1 - (top + high) / height, wide / width, high / height))
    if plain:
        axes.set_axis_off()
    return axes


def _separate(axes: Axes, rows: int, columns: int) -> None:
    """White lines between the cells."""
    axes.hlines(np.arange(1, rows) - 0.5, -0.5, columns - 0.5, color="white", linewidth=0.6)
    axes.vlines(np.arange(1, columns) - 0.5, -0.5, rows - 0.5, color="white", linewidth=0.6)


def _text(figure: Figure, at: tuple[float, float], words: str, **how: Any) -> Text:
    width, height = figure.get_size_inches()
    return figure.text(at[0] / width, 1 - at[1] / height, words, parse_math=False, **how)


def _width(label: str) -> float:
    """About how many letters wide a label is: those of East Asia count more."""
    return sum(1.0 if ord(character) < 0x1100 else 1.75 for character in label)
