"""What a caption model looked at, drawn over the image: the image itself, then one panel a word with the
word's weights as light on it.

PNG, SVG or PDF, by the ending of the path. A clip becomes a film strip with a row of depth of colour for each
word. All places are whole dots of one
canvas, so that no panel is resampled. Knows pixels, words and weights, no model.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke
from matplotlib.text import Text
from PIL import Image

from seq2attn.errors import UsageError
from seq2attn.plotting import spotlight
from seq2attn.plotting.figures import check_ending, settings, write
from seq2attn.plotting.fonts import Fonts, covering
from seq2attn.plotting.heatmap import COLOURS, INK, LONGEST_LABEL

_DPI = 200  # all other lengths are dots of it
_PANEL = 288  # longer side of a panel: six in a row fill a projector
_CRISP = 160  # images smaller than this show their pixels, whole dots each
_LEAST_PANEL = 240  # what those are enlarged to, at least
_SLOT = 190  # least width of a panel with its word
_ROWS_OF = (7, 6, 5)  # panels side by side where there are more than one row
_MARGIN, _GAP = 36, 22
# heights of the line of words above panels, of the title, and of the legend below
_LABEL, _TITLE, _FOOT = 46, 64, 62
_STRIP = 2100  # width of the frames of a clip, together
_FRAME, _LEAST_FRAME = 300, 84  # widest slot of a frame, and narrowest
_ROW = 50  # height of a word's row below them
_WORD_FONT, _TITLE_FONT, _SMALL_FONT, _LEAST_FONT = 11.0, 12.0, 7.5, 6.0  # points
_COMMON_FONT = 8.5  # to which all words shrink for one long word; that one may shrink further
_SOFT = "#6b7785"
# seen on a dark image and on a bright one
_OUTLINES = ("#ffb000", "#3ddbd9", "#ff6f91", "#8ce563", "#c49bff", "#ff8a3d", "#5cb3ff", "#f4f27a")
_NOTE = "outlined: named things, as the corpus has them"


def save(
    pixels: np.ndarray,
    words: Sequence[str],
    weights_TS: np.ndarray,
    grid: tuple[int, int],
    path: Path,
    *,
    boxes: Sequence[tuple[int, float, float, float, float]] = (),
    title: str = "",
) -> Fonts:
    """Draw the image (Y, X, 3), uint8, and what each word looked at, to `path` (written beside and
    renamed).

    `weights_TS` has a row for each word and a column for each cell of `grid` (rows, columns), row by row from
    the upper left; rows need not sum to 1. A box is
    (number of the word, left, top, right, bottom) in pixels: it is outlined on the image and in its word's
    panel. Returns the fonts that were
    used, with the characters that none has. Raises UsageError for another ending or shape, and for weights
    that are not finite.
    """
    check_ending(path, "an overlay")
    fonts = covering(["…", *words, title])
    figure = draw(
        pixels,
        [fonts.legible(word) for word in words],
        weights_TS,
        grid,
        fonts.families,
        boxes=boxes,
        title=fonts.legible(title),
    )
    write(figure, path, fonts.families, dpi=_DPI)
    return fonts


def save_clip(
    frames_FYXC: np.ndarray, words: Sequence[str], weights_TF: np.ndarray, path: Path, *, title: str = ""
) -> Fonts:
    """Draw the frames of a clip (F, Y, X, 3), uint8, side by side and below them a row for each word: how
    much it looked at each frame.

    Returns the fonts that were used. Raises UsageError for another ending or shape, and for weights that are
    not finite.
    """
    check_ending(path, "a film strip")
    fonts = covering(["…", *words, title])
    figure = draw_clip(
        frames_FYXC,
        [fonts.legible(word) for word in words],
        weights_TF,
        fonts.families,
        title=fonts.legible(title),
    )
    write(figure, path, fonts.families, dpi=_DPI)
    return fonts


def draw(
    pixels: np.ndarray,
    labels: Sequence[str],
    weights_TS: np.ndarray,
    grid: tuple[int, int],
    families: Sequence[str],
    *,
    boxes: Sequence[tuple[int, float, float, float, float]] = (),
    title: str = "",
) -> Figure:
    """The overlay as a matplotlib figure; every character of the labels is in one of the font `families`."""
    _check_image(pixels, 3)
    rows, columns = grid
    weights_TS = _checked(
        weights_TS, len(labels), rows * columns, f"{rows * columns} cells ({rows} x {columns})"
    )
    colours = _colours(boxes, len(labels))
    image = _panel(pixels)
    high, wide = image.shape[:2]
    slot = max(wide, _SLOT)
    panels = 1 + len(labels)
    across = _across(panels)
    down = math.ceil(panels / across)
    top = _MARGIN + (_TITLE if title else 0)
    width = max(2 * _MARGIN + across * (slot + _GAP) - _GAP, 700 if title or boxes else 0)
    height = (
        top
        + down * (_LABEL + high + _GAP)
        + (_FOOT if labels else 0)
        + (_LABEL if boxes and width < 1000 else 0)
    )
    highest = spotlight.ceiling(weights_TS)
    with settings(families):
        figure, axes = _canvas(width, height)
        if title:
            _fitted(axes, [(_MARGIN, title)], _MARGIN + 30, width - 2 * _MARGIN, _TITLE_FONT, ha="left")
        corners = [
            (
                _MARGIN + (n % across) * (slot + _GAP) + (slot - wide) // 2,
                top + (n // across) * (_LABEL + high + _GAP) + _LABEL,
            )
            for n in range(panels)
        ]
        scale = (wide / pixels.shape[1], high / pixels.shape[0])
        _place(axes, image, *corners[0])
        _outline(axes, boxes, colours, corners[0], image, scale)
        texts = []
        for word, (corner, weights_S) in enumerate(zip(corners[1:], weights_TS, strict=True)):
            _place(
                axes,
                spotlight.lit(image, spotlight.glow(weights_S.reshape(grid), (high, wide), highest)),
                *corner,
            )
            _outline(axes, [box for box in boxes if box[0] == word], colours, corner, image, scale)
        for row in range(down):  # a line of words stands on one line of the page
            here = [
                (corner[0] + wide / 2, label)
                for corner, label in zip(corners[1:], labels, strict=True)
                if corner[1] == corners[row * across][1]
            ]
            texts += _fitted(axes, here, corners[row * across][1] - 13, slot, _WORD_FONT)
        common = max(_COMMON_FONT, min((text.get_fontsize() for text in texts), default=_WORD_FONT))
        for text in texts:
            text.set_fontsize(min(text.get_fontsize(), common))
        if labels:
            end = _legend(
                axes,
                _MARGIN,
                height - _MARGIN - (_LABEL if boxes and width < 1000 else 0),
                highest,
                _light_on_grey,
            )
            if boxes and width < 1000:
                _small(axes, _MARGIN, height - _MARGIN + 8, _NOTE)
            elif boxes:
                _small(axes, end + 2 * _GAP, height - _MARGIN, _NOTE)
    return figure


def draw_clip(
    frames_FYXC: np.ndarray,
    labels: Sequence[str],
    weights_TF: np.ndarray,
    families: Sequence[str],
    *,
    title: str = "",
) -> Figure:
    """The film strip as a matplotlib figure; every character of the labels is in one of the font `families`."""
    _check_image(frames_FYXC, 4)
    count = len(frames_FYXC)
    weights_TF = _checked(weights_TF, len(labels), count, f"{count} frames")
    longest = min(_FRAME, max(_LEAST_FRAME, _STRIP // count))
    frames = [_panel(frame, longest, 1) for frame in frames_FYXC]
    high, wide = frames[0].shape[:2]
    slot = max(wide, _LEAST_FRAME) + 8
    highest = spotlight.ceiling(weights_TF)
    top = _MARGIN + (_TITLE if title else 0) + _LABEL - 8
    with settings(families):
        figure, axes = _canvas(100, 100)  # grows when the widest word is known
        words = _fitted(axes, [(0, label) for label in labels], 0, 700, _WORD_FONT, ha="right")
        left = _MARGIN + math.ceil(max((text.get_window_extent().width for text in words), default=-14)) + 14
        width = max(left + count * slot + _MARGIN, 700)
        height = top + high + _GAP // 2 + len(labels) * _ROW + (_GAP + _FOOT if labels else 0) + _MARGIN // 2
        _resize(figure, axes, width, height)
        if title:
            _fitted(axes, [(_MARGIN, title)], _MARGIN + 30, width - 2 * _MARGIN, _TITLE_FONT, ha="left")
        for number, frame in enumerate(frames):
            _place(axes, frame, left + number * slot + (slot - wide) // 2, top)
            _small(axes, left + (number + 0.5) * slot, top - 18, str(number + 1), ha="center")
        below = top + high + _GAP // 2
        for row, (text, weights_F) in enumerate(zip(words, weights_TF, strict=True)):
            text.set_position((left - 14, below + (row + 0.5) * _ROW))
            text.set_verticalalignment("center_baseline")
            for number, weight in enumerate(weights_F):
                cell = Rectangle(
                    (left + number * slot + 2, below + row * _ROW + 2),
                    slot - 4,
                    _ROW - 4,
                    linewidth=0,
                    facecolor=COLOURS(float(weight) / highest),
                )
                axes.add_patch(cell)
        if labels:
            _legend(
                axes, left, height - _MARGIN, highest, lambda part: np.asarray(COLOURS(part))[..., :3] * 255
            )
    return figure


def _check_image(pixels: np.ndarray, dimensions: int) -> None:
    if pixels.ndim != dimensions or pixels.shape[-1] != 3 or pixels.dtype != np.uint8 or not pixels.size:
        wanted = "(Y, X, 3)" if dimensions == 3 else "(F, Y, X, 3)"
        raise UsageError(
            f"pixels of shape {pixels.shape}, {pixels.dtype}: an image to draw is {wanted}, uint8, with at least one pixel"
        )


def _checked(weights: np.ndarray, rows: int, columns: int, what: str) -> np.ndarray:
    """(words, positions) as float64; weights below 0 count as none."""
    weights_TS = np.asarray(weights, dtype=np.float64)
    if rows == 0 and weights_TS.size == 0:
        weights_TS = np.zeros((0, columns))
    if weights_TS.shape != (rows, columns) or columns == 0:
        raise UsageError(
            f"weights of shape {weights_TS.shape} for {rows} words and {what}: they need a row for each word and a column for each position"
        )
    if not np.isfinite(weights_TS).all():
        raise UsageError("weights that are not finite numbers cannot be drawn")
    return np.maximum(weights_TS, 0)


def _colours(boxes: Sequence[tuple[int, float, float, float, float]], words: int) -> dict[int, str]:
    """The colour of each word that has a box, in the order of the words."""
    for box in boxes:
        if not 0 <= box[0] < words or not all(map(math.isfinite, box)):
            raise UsageError(
                f"box {tuple(box)} for {words} words: it needs the number of a word, from 0, and left, top, right and bottom in pixels"
            )
    return {
        word: _OUTLINES[number % len(_OUTLINES)]
        for number, word in enumerate(sorted({box[0] for box in boxes}))
    }


def _panel(pixels: np.ndarray, longest: int = _PANEL, least: int = _LEAST_PANEL) -> np.ndarray:
    """The image in the size it is drawn in: a small one crisply, its pixels as squares of whole dots; a
    larger one smoothly.
    """
    high, wide = pixels.shape[:2]
    longer = max(high, wide)
    if longer < min(_CRISP, longest):
        times = max(longest // longer, math.ceil(least / longer))
        return pixels.repeat(times, axis=0).repeat(times, axis=1)
    size = (max(1, round(wide * longest / longer)), max(1, round(high * longest / longer)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _across(panels: int) -> int:
    """Panels side by side: all where they fit in one row, else the count that leaves the last row fullest."""
    # the first of equals
    return panels if panels <= _ROWS_OF[0] else min(_ROWS_OF, key=lambda across: -panels % across)


def _canvas(width: int, height: int) -> tuple[Figure, Axes]:
    """A figure whose data coordinates are its dots, from the upper left."""
    figure = Figure(dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    _resize(figure, axes, width, height)
    return figure, axes


def _resize(figure: Figure, axes: Axes, width: int, height: int) -> None:
    figure.set_size_inches(width / _DPI, height / _DPI)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)


def _place(axes: Axes, pixels: np.ndarray, left: int, top: int) -> None:
    """One dot a pixel."""
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


def _outline(
    axes: Axes,
    boxes: Sequence[tuple[int, float, float, float, float]],
    colours: dict[int, str],
    corner: tuple[int, int],
    panel: np.ndarray,
    scale: tuple[float, float],
) -> None:
    """Thin lines round the things, dark beside the colour so that they are seen on any ground; never outside
    the panel.
    """
    high, wide = panel.shape[:2]
    for word, *sides in boxes:
        left, right = sorted(min(max(side * scale[0], 2.0), wide - 2.0) for side in sides[::2])
        top, bottom = sorted(min(max(side * scale[1], 2.0), high - 2.0) for side in sides[1::2])
        around = Rectangle(
            (corner[0] + left, corner[1] + top),
            right - left,
            bottom - top,
            fill=False,
            edgecolor=colours[word],
            linewidth=0.9,
            zorder=3,
            snap=False,
        )
        around.set_path_effects([Stroke(linewidth=1.5, foreground="#101418", alpha=0.75), Normal()])
        axes.add_patch(around)


def _fitted(
    axes: Axes,
    places: Sequence[tuple[float, str]],
    bottom: float,
    width: float,
    size: float,
    ha: str = "center",
) -> list[Text]:
    """Texts on one line, each no wider than `width`: smaller where it must be, and cut with an ellipsis where
    that is not enough.
    """
    cut = [
        label if len(label) <= LONGEST_LABEL or ha == "left" else label[: LONGEST_LABEL - 1] + "…"
        for _, label in places
    ]
    texts = [
        axes.text(x, bottom, label, size=size, ha=ha, va="baseline", color=INK, parse_math=False)
        for (x, _), label in zip(places, cut, strict=True)
    ]
    for text in texts:
        text.set_fontsize(max(_LEAST_FONT, min(size, size * width / max(text.get_window_extent().width, 1))))
        label = text.get_text()
        while len(label) > 1 and text.get_window_extent().width > width + 1:
            label = label[:-1]
            text.set_text(label + "…")
    return texts


def _small(axes: Axes, x: float, y: float, label: str, ha: str = "left") -> Text:
    return axes.text(
        x, y, label, size=_SMALL_FONT, ha=ha, va="center_baseline", color=_SOFT, parse_math=False
    )


def _light_on_grey(part: np.ndarray) -> np.ndarray:
    """The colours of the legend, for parts of the highest weight."""
    return spotlight.lit(np.full((*part.shape, 3), 160, dtype=np.uint8), spotlight.brightness(part, 1.0))


def _legend(
    axes: Axes, left: float, middle: float, highest: float, colour: Callable[[np.ndarray], np.ndarray]
) -> float:
    """A slim scale, all that says what light or colour means: from no weight to the highest; returns where it
    ends.
    """
    x = left
    for label in ("weight  0", f"{highest:g}"):
        text = _small(axes, x, middle, label)
        x += math.ceil(text.get_window_extent().width) + 12
        if label.endswith(" 0"):
            part = (np.arange(200, dtype=np.float64)[None] + 0.5) / 200
            _place(
                axes, np.rint(colour(part)).astype(np.uint8).repeat(18, axis=0), round(x), round(middle) - 9
            )
            x = round(x) + 200 + 12
    return x
