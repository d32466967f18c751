"""What each word of a caption attends to, drawn in a file: the image, then a panel for each word.

In a panel, the word's weights are light on the image. The ending of the path chooses PNG, SVG or PDF. This
module knows pixels, words and weights, and no model.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from seq2attn.errors import UsageError
from seq2attn.plotting import panels, spotlight
from seq2attn.plotting.figures import check_ending, settings, write
from seq2attn.plotting.fonts import Fonts, covering
from seq2attn.plotting.panels import FOOT, GAP, LABEL, MARGIN, TITLE, TITLE_FONT, WORD_FONT
from seq2attn.plotting.style import Style

Box = tuple[int, float, float, float, float]  # number of the word, left, top, right, bottom

MOST_STACKED = 12  # overlays of one figure

_SLOT = 190  # dots; least width of a panel with its word
_ROWS_OF = (7, 6, 5)  # possible numbers of panels side by side, if they need several rows
_COMMON_FONT = 8.5  # points; one long word makes all words as small as this, and itself smaller
# Colours that are visible on dark and on bright images.
_OUTLINES = ("#ffb000", "#3ddbd9", "#ff6f91", "#8ce563", "#c49bff", "#ff8a3d", "#5cb3ff", "#f4f27a")
_NOTE = "outlined: objects that the corpus marks"


class Overlay(NamedTuple):
    """A caption over its image: see `picture`."""

    pixels: np.ndarray
    words: Sequence[str]
    weights: np.ndarray
    grid: tuple[int, int]
    boxes: Sequence[Box] = ()
    title: str = ""


def save(
    pixels: np.ndarray,
    words: Sequence[str],
    weights_TS: np.ndarray,
    grid: tuple[int, int],
    path: Path,
    *,
    boxes: Sequence[Box] = (),
    title: str = "",
    style: Style | None = None,
) -> Fonts:
    """Write the overlay of an image to the file `path`: see `picture`.

    Raises UsageError for another file ending, too.
    """
    check_ending(path, "an overlay")
    figure, fonts = picture(pixels, words, weights_TS, grid, boxes=boxes, title=title, style=style)
    write(figure, path, fonts.families, dpi=panels.DPI)
    return fonts


def picture(
    pixels: np.ndarray,
    words: Sequence[str],
    weights_TS: np.ndarray,
    grid: tuple[int, int],
    *,
    boxes: Sequence[Box] = (),
    title: str = "",
    style: Style | None = None,
) -> tuple[Figure, Fonts]:
    """The overlay of an image as a figure.

    `pixels` is the image (Y, X, 3), uint8. `weights_TS` has a row for each word and a column for each cell of
    `grid` (rows, columns), row by row from the upper left. Rows need not sum to 1. A box is (number of the
    word, left, top, right, bottom) in pixels. It is outlined on the image and in the panel of its word. Of
    the style, the font is used: attention is light on the image, without a colour map.

    Returns the fonts, too, and the characters that no font has. Raises UsageError for another shape, and for
    weights that are not finite.
    """
    return stack([Overlay(pixels, words, weights_TS, grid, boxes, title)], style=style)


def save_stack(overlays: Sequence[Overlay], path: Path, *, style: Style | None = None) -> Fonts:
    """Write overlays one below the other to the file `path`: see `stack`."""
    check_ending(path, "an overlay")
    figure, fonts = stack(overlays, style=style)
    write(figure, path, fonts.families, dpi=panels.DPI)
    return fonts


def stack(overlays: Sequence[Overlay], *, style: Style | None = None) -> tuple[Figure, Fonts]:
    """Overlays one below the other in a figure, with one scale of light: see `picture`.

    Raises UsageError for more than MOST_STACKED, too.
    """
    if not 0 < len(overlays) <= MOST_STACKED:
        raise UsageError(f"{len(overlays)} captions: from 1 to {MOST_STACKED} fit a figure")
    texts = [text for overlay in overlays for text in (*overlay.words, overlay.title)]
    fonts = covering(["…", *texts], (style or Style()).font)
    legible = [
        overlay._replace(
            words=[fonts.legible(word) for word in overlay.words], title=fonts.legible(overlay.title)
        )
        for overlay in overlays
    ]
    return _draw(legible, fonts.families), fonts


def draw(
    pixels: np.ndarray,
    labels: Sequence[str],
    weights_TS: np.ndarray,
    grid: tuple[int, int],
    families: Sequence[str],
    *,
    boxes: Sequence[Box] = (),
    title: str = "",
) -> Figure:
    """The overlay as a matplotlib figure.

    Every character of the labels must be in one of the font `families`.
    """
    return _draw([Overlay(pixels, labels, weights_TS, grid, boxes, title)], families)


class _Layout(NamedTuple):
    """An overlay with its lengths. All are dots, from its own upper left corner."""

    overlay: Overlay
    weights_TS: np.ndarray
    image: np.ndarray  # of the size that it is drawn in
    slot: int  # width of a panel with its word
    across: int
    down: int
    top: int  # of the panels
    width: int
    height: int
    note_below: int  # height of the note on boxes, if it is below the legend

    @classmethod
    def of(cls, overlay: Overlay) -> "_Layout":
        panels.check_pixels(overlay.pixels, 3)
        rows, columns = overlay.grid
        weights_TS = panels.check_weights(
            overlay.weights,
            len(overlay.words),
            rows * columns,
            f"{rows * columns} cells ({rows} x {columns})",
        )
        image = panels.resize_image(overlay.pixels)
        high, wide = image.shape[:2]
        slot = max(wide, _SLOT)
        count = 1 + len(overlay.words)
        across = _across(count)
        down = math.ceil(count / across)
        top = MARGIN + (TITLE if overlay.title else 0)
        width = max(2 * MARGIN + across * (slot + GAP) - GAP, 700 if overlay.title or overlay.boxes else 0)
        note_below = LABEL if overlay.boxes and width < 1000 else 0
        height = top + down * (LABEL + high + GAP) + (FOOT if overlay.words else 0) + note_below
        return cls(overlay, weights_TS, image, slot, across, down, top, width, height, note_below)


def _draw(overlays: Sequence[Overlay], families: Sequence[str]) -> Figure:
    layouts = [_Layout.of(overlay) for overlay in overlays]
    highest = max(spotlight.scale_max(layout.weights_TS) for layout in layouts)
    with settings(families):
        figure, axes = panels.canvas(
            max(layout.width for layout in layouts), sum(layout.height for layout in layouts)
        )
        above = 0
        for layout in layouts:
            _draw_at(axes, above, layout, highest)
            above += layout.height
    return figure


def _draw_at(axes: Axes, above: int, layout: _Layout, highest: float) -> None:
    """Draw one overlay, `above` dots below the upper edge."""
    (pixels, labels, _, grid, boxes, title), image, slot = layout.overlay, layout.image, layout.slot
    high, wide = image.shape[:2]
    colours = _colours(boxes, len(labels))
    if title:
        width = layout.width - 2 * MARGIN
        panels.fitted_texts(axes, [(MARGIN, title)], above + MARGIN + 30, width, TITLE_FONT, ha="left")
    corners = [
        (
            MARGIN + (n % layout.across) * (slot + GAP) + (slot - wide) // 2,
            above + layout.top + (n // layout.across) * (LABEL + high + GAP) + LABEL,
        )
        for n in range(1 + len(labels))
    ]
    scale = (wide / pixels.shape[1], high / pixels.shape[0])
    panels.place_image(axes, image, *corners[0])
    _outline(axes, boxes, colours, corners[0], image, scale)
    texts = []
    for word, (corner, weights_S) in enumerate(zip(corners[1:], layout.weights_TS, strict=True)):
        light_YX = spotlight.upsample(weights_S.reshape(grid), (high, wide), highest)
        panels.place_image(axes, spotlight.relight(image, light_YX), *corner)
        _outline(axes, [box for box in boxes if box[0] == word], colours, corner, image, scale)
    for row in range(layout.down):
        bottom = corners[row * layout.across][1]
        words_of_row = [
            (corner[0] + wide / 2, label)
            for corner, label in zip(corners[1:], labels, strict=True)
            if corner[1] == bottom
        ]
        texts += panels.fitted_texts(axes, words_of_row, bottom - 13, slot, WORD_FONT)
    common = max(_COMMON_FONT, min((text.get_fontsize() for text in texts), default=WORD_FONT))
    for text in texts:
        text.set_fontsize(min(text.get_fontsize(), common))
    if labels:
        foot = above + layout.height - MARGIN
        end = panels.legend(axes, MARGIN, foot - layout.note_below, highest, _light_on_grey)
        if layout.note_below:
            panels.small_text(axes, MARGIN, foot + 8, _NOTE)
        elif boxes:
            panels.small_text(axes, end + 2 * GAP, foot, _NOTE)


def _colours(boxes: Sequence[Box], words: int) -> dict[int, str]:
    """The colour of each word that has a box, in the order of the words."""
    for box in boxes:
        if not 0 <= box[0] < words or not all(map(math.isfinite, box)):
            raise UsageError(
                f"box {tuple(box)} for {words} words: "
                "it needs the number of a word, from 0, and left, top, right and bottom in pixels"
            )
    return {
        word: _OUTLINES[number % len(_OUTLINES)]
        for number, word in enumerate(sorted({box[0] for box in boxes}))
    }


def _across(count: int) -> int:
    """The number of panels side by side.

    It is `count` if one row is enough, otherwise the number that fills the last row best.
    """
    return count if count <= _ROWS_OF[0] else min(_ROWS_OF, key=lambda across: -count % across)


def _outline(
    axes: Axes,
    boxes: Sequence[Box],
    colours: dict[int, str],
    corner: tuple[int, int],
    panel: np.ndarray,
    scale: tuple[float, float],
) -> None:
    """Outline the boxes within the panel: a coloured line on a dark one, visible on any background."""
    high, wide = panel.shape[:2]
    for word, *sides in boxes:
        left, right = sorted(min(max(side * scale[0], 2.0), wide - 2.0) for side in sides[::2])
        top, bottom = sorted(min(max(side * scale[1], 2.0), high - 2.0) for side in sides[1::2])
        outline = Rectangle(
            (corner[0] + left, corner[1] + top),
            right - left,
            bottom - top,
            fill=False,
            edgecolor=colours[word],
            linewidth=0.9,
            zorder=3,
            snap=False,
        )
        outline.set_path_effects([Stroke(linewidth=1.5, foreground="#101418", alpha=0.75), Normal()])
        axes.add_patch(outline)


def _light_on_grey(part: np.ndarray) -> np.ndarray:
    """The colours of the legend, for shares of the highest weight."""
    return spotlight.relight(np.full((*part.shape, 3), 160, dtype=np.uint8), spotlight.brightness(part, 1.0))
