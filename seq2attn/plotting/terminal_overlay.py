"""Attention of each word of a caption, drawn with block characters for a terminal.

Each word has a small grid of shades. Several grids are side by side.

    render(["a", "dog"], weights, (2, 3)) gives

        a        dog
        ▒▒▒▒▒▒    · · ·
        ▒▒▒▒▒▒    ·██ ·

Rows and columns are those of the image.
"""

from collections.abc import Sequence

import numpy as np

from seq2attn.errors import UsageError
from seq2attn.plotting import spotlight, terminal_heatmap

LARGEST = 8  # rows and columns of a grid at most; the cells of a finer grid are merged
_NOTHING = " ·"  # a cell with almost no weight; the dot shows the grid
_BETWEEN = 3  # columns between two grids


def render(
    words: Sequence[str],
    weights_TS: np.ndarray,
    grid: tuple[int, int],
    width: int = 100,
    colour: bool = False,
) -> str:
    """Lines of at most `width` columns. One grid alone may need more.

    `weights_TS` has a row for each word and a column for each cell of `grid` (rows, columns). The last line
    gives the lowest weight of each shade, which is the same for all words. Raises UsageError for another
    shape.
    """
    weights_TS = np.asarray(weights_TS, dtype=np.float64)
    rows, columns = grid
    if min(grid) < 1 or weights_TS.shape != (len(words), rows * columns):
        raise UsageError(
            f"weights of shape {weights_TS.shape} for {len(words)} words and {rows * columns} cells "
            f"({rows} x {columns}): "
            "they need a row for each word and a column for each cell"
        )
    if not words:
        return ""
    coarse_THW = _merged(weights_TS.reshape(len(words), rows, columns))
    highest = float(coarse_THW.max())
    least = [
        highest * (shade / len(terminal_heatmap.SHADES)) ** (1 / spotlight.GAMMA)
        for shade in range(1, len(terminal_heatmap.SHADES))
    ]  # weight that has each shade but the first
    wide = 2 * coarse_THW.shape[2]
    side = max(1, (width + _BETWEEN) // (wide + _BETWEEN))
    lines: list[str] = []
    for start in range(0, len(words), side):
        if lines:
            lines.append("")
        fitted = [terminal_heatmap.fit(word, wide) for word in words[start : start + side]]
        lines.append(
            (" " * _BETWEEN)
            .join(word + " " * (wide - terminal_heatmap.columns(word)) for word in fitted)
            .rstrip()
        )
        for row in range(coarse_THW.shape[1]):
            cells = [_cells(weights_W, least, colour) for weights_W in coarse_THW[start : start + side, row]]
            lines.append((" " * _BETWEEN).join(cells))
    return "\n".join([*lines, "", _legend(least, colour)] if highest > 0 else lines)


def _merged(weights_THW: np.ndarray) -> np.ndarray:
    """Grids of at most LARGEST rows and columns with the same total weight.

    The weight of each cell is divided among the coarser cells by area.
    """
    factor = max(1.0, max(weights_THW.shape[1:]) / LARGEST)
    down, across = (_shares(size, max(1, round(size / factor))) for size in weights_THW.shape[1:])
    return np.asarray(down @ weights_THW @ across.T)


def _shares(fine: int, coarse: int) -> np.ndarray:
    """(coarse, fine): the part of each of `fine` cells of a line that lies in each of `coarse` cells."""
    ends_C, ends_F = np.arange(coarse + 1)[:, None] * fine / coarse, np.arange(fine + 1)[None]
    return np.asarray(
        np.clip(np.minimum(ends_C[1:], ends_F[:, 1:]) - np.maximum(ends_C[:-1], ends_F[:, :-1]), 0, None)
    )


def _cells(weights_W: np.ndarray, least: Sequence[float], colour: bool) -> str:
    shades = [sum(0 < bound <= weight * (1 + 1e-9) for bound in least) for weight in weights_W]
    return _painted(
        "".join(2 * terminal_heatmap.SHADES[shade] if shade else _NOTHING for shade in shades), colour
    )


def _legend(least: Sequence[float], colour: bool) -> str:
    shades = zip(terminal_heatmap.SHADES[1:], least, strict=True)
    return "weights: " + "  ".join(
        f"{_painted(2 * shade, colour)} from {bound:.2g}" for shade, bound in shades
    )


def _painted(blocks: str, colour: bool) -> str:
    return terminal_heatmap.BLUE + blocks + terminal_heatmap.PLAIN if colour else blocks
