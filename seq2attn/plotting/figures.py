"""Figures of matplotlib with our own settings: their size, and their file as PNG, SVG or PDF.

The ending of the path chooses the format. The file is complete, or does not exist. This module does not know
what is drawn.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from seq2attn import files
from seq2attn.errors import UsageError
from seq2attn.plotting import IMAGES

__all__ = ["Axes", "Drawing", "Figure"]

PAD = 0.15  # inches around all
_SCREEN = 110  # dots an inch of a figure that a notebook shows


class Drawing(Figure):
    """A figure that a notebook shows as the value of a cell, without pyplot."""

    def _repr_png_(self) -> bytes:
        content = io.BytesIO()
        self.savefig(content, format="png", dpi=min(self.dpi, _SCREEN))
        return content.getvalue()


def new(width: float, height: float, dpi: float) -> Drawing:
    """An empty white figure of that many inches."""
    figure = Drawing(figsize=(width, height), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def content(figure: Figure) -> Bbox:
    """The box around all that a figure holds, in inches from its lower left corner."""
    return figure.get_tightbbox(figure.canvas.get_renderer())  # type: ignore[attr-defined]


def cut(figure: Figure, box: Bbox) -> None:
    """Make `box`, in inches, the whole of the figure. Nothing in it moves or changes its size."""
    width, height = figure.get_size_inches()

    def moved(x: float, y: float) -> tuple[float, float]:
        return (x * width - box.x0) / box.width, (y * height - box.y0) / box.height

    figure.set_size_inches(box.width, box.height)
    for axes in figure.axes:
        place = axes.get_position()
        corners = (*moved(place.x0, place.y0), *moved(place.x1, place.y1))
        axes.set_position(Bbox.from_extents(*corners))
    for text in figure.texts:
        text.set_position(moved(*text.get_position()))


def fit(figure: Figure, size: tuple[float, float] | None = None) -> None:
    """Make the figure as large as what it holds, and a margin; or `size` inches, with that in the middle."""
    box = content(figure)
    if size is None:
        size = (box.width + 2 * PAD, box.height + 2 * PAD)
    left, bottom = box.x0 - (size[0] - box.width) / 2, box.y0 - (size[1] - box.height) / 2
    cut(figure, Bbox.from_bounds(left, bottom, *size))


def show_in(axes: Axes, figure: Figure) -> None:
    """Draw a whole figure into the axes of another one, as an image. Its proportions stay."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()
    axes.imshow(np.asarray(canvas.buffer_rgba()), interpolation="antialiased", aspect="equal")
    axes.set_axis_off()


def check_ending(path: Path, what: str) -> None:
    """Raise UsageError if the ending of `path` is none of IMAGES. It is called before anything is drawn.

    `what` names the drawing in the error.
    """
    ending = path.suffix.lower()
    if ending not in IMAGES:
        raise UsageError(
            f"{path}: {what} is written as {', '.join(IMAGES)}, not as {ending or 'a file without an ending'}"
        )


def write(figure: Figure, path: Path, families: Sequence[str], **how: Any) -> None:
    """Save `figure` to `path`, completely or not at all. The same figure gives the same bytes.

    `how` goes to matplotlib's savefig. Raises UserError if the file cannot be written.
    """
    ending = path.suffix.lower()
    no_date: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(ending, {})
    content = io.BytesIO()  # so that `files.write` reports all errors of the disk
    with settings(families):
        figure.savefig(content, format=ending.removeprefix("."), metadata=no_date, **how)
    files.write(path, content.getvalue())


@contextmanager
def settings(families: Sequence[str]) -> Iterator[None]:
    """Use only our own matplotlib settings in the body, whatever a user's matplotlibrc says.

    Text of an SVG or PDF stays text, so that a program can search and edit it.
    """
    ours: dict[Any, Any] = {
        # The last one is for readers of an SVG who have none of the others.
        "font.family": [*families, "sans-serif"],
        "font.sans-serif": list(families),
        "svg.hashsalt": "seq2attn",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
        "axes.unicode_minus": False,
        "image.composite_image": False,
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(ours)
        yield
