"""Parts that overlays and film strips share: a canvas, images and texts on it, and checks of arrays.

The coordinates of the matplotlib canvas are dots. An image is placed with one dot a pixel, so that matplotlib
does not resample it.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from seq2attn.errors import UsageError
from seq2attn.plotting import figures
from seq2attn.plotting.matrix import LONGEST_LABEL
from seq2attn.plotting.style import INK

Paint = Callable[[np.ndarray], np.ndarray]  # shares of the highest weight -> colours (..., 3) from 0 to 255

DPI = 200  # all other lengths are dots
PANEL = 288  # longer side of a panel: six in a row fill a projector
_CRISP = 160  # an image smaller than this shows its pixels as squares of whole dots
_MIN_PANEL = 240  # a smaller image is enlarged to this at least
MARGIN, GAP = 36, 22
LABEL, TITLE, FOOT = 46, 64, 62  # heights of a line of words, of the title, of the legend
WORD_FONT, TITLE_FONT, _SMALL_FONT, _MIN_FONT = 11.0, 12.0, 7.5, 6.0  # points
_SOFT = "#6b7785"


def check_pixels(pixels: np.ndarray, dimensions: int) -> None:
    """Raise UsageError unless the pixels are uint8 (Y, X, 3) or, with 4 `dimensions`, (F, Y, X, 3)."""
    if pixels.ndim != dimensions or pixels.shape[-1] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        shape = "(Y, X, 3)" if dimensions == 3 else "(F, Y, X, 3)"
        raise UsageError(
            f"pixels of shape {pixels.shape}, {pixels.dtype}: "
            f"they must have shape {shape}, type uint8, and at least one pixel"
        )


def check_weights(weights: np.ndarray, rows: int, columns: int, what: str) -> np.ndarray:
    """The weights (words, positions) as float64; weights below 0 become 0.

    `what` names the positions in the error. Raises UsageError for another shape and for weights that are not
    finite.
    """
    weights_TS = np.asarray(weights, dtype=np.float64)
    if rows == 0 and weights_TS.size == 0:
        weights_TS = np.zeros((0, columns))
    if weights_TS.shape != (rows, columns) or columns == 0:
        raise UsageError(
            f"weights of shape {weights_TS.shape} for {rows} words and {what}: "
            "they need a row for each word and a column for each position"
        )
    if not np.isfinite(weights_TS).all():
        raise UsageError("weights that are not finite numbers cannot be drawn")
    return np.maximum(weights_TS, 0)


def resize_image(pixels: np.ndarray, longest: int = PANEL, least: int = _MIN_PANEL) -> np.ndarray:
    """The image (Y, X, 3) in the size of a panel, whose longer side has `longest` dots.

    A small image is enlarged by a whole factor, to at least `least` dots, so that its pixels are visible
    squares. Other images are resized smoothly.
    """
    high, wide = pixels.shape[:2]
    longer = max(high, wide)
    if longer < min(_CRISP, longest):
        times = max(longest // longer, math.ceil(least / longer))
        return pixels.repeat(times, axis=0).repeat(times, axis=1)
    size = (max(1, round(wide * longest / longer)), max(1, round(high * longest / longer)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def canvas(width: int, height: int) -> tuple[Figure, Axes]:
    """A figure of `width` x `height` dots, with axes in these dots, counted from the upper left."""
    figure = figures.new(1, 1, DPI)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    resize_canvas(figure, axes, width, height)
    return figure, axes


def resize_canvas(figure: Figure, axes: Axes, width: int, height: int) -> None:
    figure.set_size_inches(width / DPI, height / DPI)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)


def place_image(axes: Axes, pixels: np.ndarray, left: int, top: int) -> None:
    """Place the image with one dot for each pixel."""
    high, wide = pixels.shape[:2]
    axes.imshow(
        pixels,
        extent=(left, left + wide, top + high, top),
        interpolation="none",
        aspect="auto",
        resample=False,
        clip_on=False,
        zorder=1,
    )
    axes.set_xlim(axes.get_xlim())


def fitted_texts(
    axes: Axes,
    places: Sequence[tuple[float, str]],
    bottom: float,
    width: float,
    size: float,
    ha: str = "center",
) -> list[Text]:
    """Write texts on one line, each at most `width` dots wide.

    A text that is too wide gets a smaller font and then an ellipsis.
    """
    labels = [
        label if len(label) <= LONGEST_LABEL or ha == "left" else label[: LONGEST_LABEL - 1] + "…"
        for _, label in places
    ]
    texts = [
        axes.text(x, bottom, label, size=size, ha=ha, va="baseline", color=INK, parse_math=False)
        for (x, _), label in zip(places, labels, strict=True)
    ]
    for text in texts:
        text.set_fontsize(max(_MIN_FONT, min(size, size * width / max(text.get_window_extent().width, 1))))
        label = text.get_text()
        while len(label) > 1 and text.get_window_extent().width > width + 1:
            label = label[:-1]
            text.set_text(label + "…")
    return texts


def small_text(axes: Axes, x: float, y: float, label: str, ha: str = "left") -> Text:
    return axes.text(
        x, y, label, size=_SMALL_FONT, ha=ha, va="center_baseline", color=_SOFT, parse_math=False
    )


def legend(axes: Axes, left: float, middle: float, highest: float, colour: Paint) -> float:
    """Draw a slim scale from weight 0 to the highest weight, which explains light or colour.

    Returns the x at which it ends.
    """
    x = left
    for label in ("weight  0", f"{highest:g}"):
        text = small_text(axes, x, middle, label)
        x += math.ceil(text.get_window_extent().width) + 12
        if label.endswith(" 0"):
            part = (np.arange(200, dtype=np.float64)[None] + 0.5) / 200
            place_image(
                axes, np.rint(colour(part)).astype(np.uint8).repeat(18, axis=0), round(x), round(middle) - 9
            )
            x = round(x) + 200 + 12
    return x
