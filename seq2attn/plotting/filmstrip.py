"""A clip as a film strip in a file: its frames side by side and, below them, a row of cells for each word.

The darker a cell is, the higher is the word's weight on that frame. The ending of the path chooses PNG, SVG
or PDF. This module knows pixels, words and weights, and no model.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from seq2attn.plotting import panels, spotlight
from seq2attn.plotting.figures import check_ending, settings, write
from seq2attn.plotting.fonts import Fonts, covering
from seq2attn.plotting.panels import FOOT, GAP, LABEL, MARGIN, TITLE
from seq2attn.plotting.style import COLOURS, Style

# All lengths are in dots.
_STRIP = 2100  # width of all frames together
_MAX_FRAME, _MIN_FRAME = 300, 84  # width of a frame's slot
_ROW = 50  # height of a word's row


def save(
    frames_FYXC: np.ndarray,
    words: Sequence[str],
    weights_TF: np.ndarray,
    path: Path,
    *,
    title: str = "",
    style: Style | None = None,
) -> Fonts:
    """Write the film strip of a clip to the file `path`: see `picture`.

    Raises UsageError for another file ending, too.
    """
    check_ending(path, "a film strip")
    figure, fonts = picture(frames_FYXC, words, weights_TF, title=title, style=style)
    write(figure, path, fonts.families, dpi=panels.DPI)
    return fonts


def picture(
    frames_FYXC: np.ndarray,
    words: Sequence[str],
    weights_TF: np.ndarray,
    *,
    title: str = "",
    style: Style | None = None,
) -> tuple[Figure, Fonts]:
    """The film strip of a clip as a figure.

    `frames_FYXC` holds its frames (F, Y, X, 3), uint8. `weights_TF` has a row for each word and a column for
    each frame. Returns the fonts, too, and the characters that no font has. Raises UsageError for another
    shape, and for weights that are not finite.
    """
    style = style or Style()
    fonts = covering(["…", *words, title], style.font)
    labels = [fonts.legible(word) for word in words]
    figure = draw(
        frames_FYXC, labels, weights_TF, fonts.families, title=fonts.legible(title), colours=style.colours
    )
    return figure, fonts


def draw(
    frames_FYXC: np.ndarray,
    labels: Sequence[str],
    weights_TF: np.ndarray,
    families: Sequence[str],
    *,
    title: str = "",
    colours: Colormap = COLOURS,
) -> Figure:
    """The film strip as a matplotlib figure. Arguments: see `picture`.

    Every character of `labels` and `title` must be in one of the font `families`.
    """
    panels.check_pixels(frames_FYXC, 4)
    count = len(frames_FYXC)
    weights_TF = panels.check_weights(weights_TF, len(labels), count, f"{count} frames")
    longest = min(_MAX_FRAME, max(_MIN_FRAME, _STRIP // count))
    frames = [panels.resize_image(frame, longest, 1) for frame in frames_FYXC]
    high, wide = frames[0].shape[:2]
    slot = max(wide, _MIN_FRAME) + 8
    highest = spotlight.scale_max(weights_TF)
    top = MARGIN + (TITLE if title else 0) + LABEL - 8
    with settings(families):
        figure, axes = panels.canvas(100, 100)  # resized below, when the width of the words is known
        words = panels.fitted_texts(
            axes, [(0, label) for label in labels], 0, 700, panels.WORD_FONT, ha="right"
        )
        left = MARGIN + math.ceil(max((text.get_window_extent().width for text in words), default=-14)) + 14
        width = max(left + count * slot + MARGIN, 700)
        height = top + high + GAP // 2 + len(labels) * _ROW + (GAP + FOOT if labels else 0) + MARGIN // 2
        panels.resize_canvas(figure, axes, width, height)
        if title:
            panels.fitted_texts(
                axes, [(MARGIN, title)], MARGIN + 30, width - 2 * MARGIN, panels.TITLE_FONT, ha="left"
            )
        for number, frame in enumerate(frames):
            panels.place_image(axes, frame, left + number * slot + (slot - wide) // 2, top)
            panels.small_text(axes, left + (number + 0.5) * slot, top - 18, str(number + 1), ha="center")
        below = top + high + GAP // 2
        for row, (text, weights_F) in enumerate(zip(words, weights_TF, strict=True)):
            text.set_position((left - 14, below + (row + 0.5) * _ROW))
            text.set_verticalalignment("center_baseline")
            for number, weight in enumerate(weights_F):
                cell = Rectangle(
                    (left + number * slot + 2, below + row * _ROW + 2),
                    slot - 4,
                    _ROW - 4,
                    linewidth=0,
                    facecolor=colours(float(weight) / highest),
                )
                axes.add_patch(cell)
        if labels:
            panels.legend(
                axes, left, height - MARGIN, highest, lambda part: np.asarray(colours(part))[..., :3] * 255
            )
    return figure
