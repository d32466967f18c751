"""Attention drawn with block characters, for a terminal or a pipe.

Source words are on a staircase above, target words at the left.

    render(weights, ["I", "see", "them"], ["je", "les", "vois"]) gives

             ┌─────── I
             │  ┌──── see
             │  │  ┌─ them
          je ██
         les    ░░ ▓▓
        vois    ▓▓ ░░

Words are written horizontally, so that every script is legible. If the drawing is higher than the terminal,
letters replace the source words and a key follows.
"""

import math
import string
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from seq2attn.errors import UsageError

SHADES = (" ", "░", "▒", "▓", "█")
LEAST = (0.1, 0.3, 0.5, 0.7)  # weight that has each shade but the first
BLUE, PLAIN = "\x1b[38;5;33m", "\x1b[0m"  # visible on light and on dark backgrounds
LONGEST_LABEL = 24  # columns
_LEAST_LABEL = 4  # columns of a label at least, in a narrow terminal
_BETWEEN = 3  # columns between two panels side by side
_LETTERS = string.ascii_lowercase + string.ascii_uppercase


class Panel(NamedTuple):
    """One of several drawings of the same words."""

    title: str
    weights: np.ndarray  # (target words, source words)


def render(
    attention: np.ndarray,
    source_words: Sequence[str],
    target_words: Sequence[str],
    width: int = 100,
    colour: bool = False,
    height: int | None = None,
    hardly: Sequence[int] = (),
) -> str:
    """Lines of at most `width` columns that show `attention` (target words, source words).

    Weights are from 0 to 1. A long source continues in further panels. With `colour`, the blocks are blue. If
    the drawing has more than `height` lines, letters and a key replace the source words. The source words
    numbered `hardly` are in brackets. Raises UsageError for another shape.
    """
    weights_TS = _checked(attention, source_words, target_words)
    sources, targets = _labels(source_words, target_words, width, hardly)
    lines = _staircases(weights_TS, sources, targets, width, colour)
    if height is not None and len(lines) > height:
        lines = _lettered(weights_TS, sources, targets, width, colour, height)
    return "\n".join(lines)


def render_panels(
    panels: Sequence[Panel],
    source_words: Sequence[str],
    target_words: Sequence[str],
    width: int = 100,
    colour: bool = False,
    hardly: Sequence[int] = (),
) -> str:
    """Several drawings of the same words with their titles, side by side if they fit.

    Letters replace the source words, and the key follows.
    """
    weights = [_checked(panel.weights, source_words, target_words) for panel in panels]
    sources, targets = _labels(source_words, target_words, width, hardly)
    margin = max(map(columns, targets), default=0) + 1
    wide = max(2 * len(sources) - 1, *(columns(panel.title) for panel in panels), 1)
    side = max(1, (width - margin + _BETWEEN) // (wide + _BETWEEN))
    lines: list[str] = []
    if margin + wide > width:
        for panel, weights_TS in zip(panels, weights, strict=True):
            lines += [
                *([""] if lines else []),
                fit(panel.title, width),
                *_lettered(weights_TS, sources, targets, width, colour, None),
            ]
        return "\n".join(lines)
    for start in range(0, len(panels), side):
        some = range(start, min(start + side, len(panels)))
        if lines:
            lines.append("")
        lines.append(_beside(margin, wide, [panels[place].title for place in some]))
        lines.append(_beside(margin, wide, [_header(len(sources), 1) for _ in some]))
        for row, target in enumerate(targets):
            cells = [_cells(weights[place][row], 1) for place in some]
            padded = [cell + " " * (wide - columns(cell)) for cell in cells[:-1]] + cells[-1:]
            painted = (" " * _BETWEEN).join(_painted(cell, colour) for cell in padded)
            lines.append(f"{_flush(target, margin)}{painted}".rstrip())
    return "\n".join([*lines, *_key(sources, width)])


def legend(colour: bool = False, width: int | None = None) -> str:
    """The legend of the blocks of `render`: one line, or lines of at most `width` columns."""
    blocks = [(2 * shade, f" from {least}") for shade, least in zip(SHADES[1:], LEAST, strict=True)]
    entries = ["weights:", *(f"{block}{words}" for block, words in blocks)]
    text = entries[0] + " " + "  ".join(entries[1:])
    lines = [text] if width is None or columns(text) <= width else _wrapped(entries, width)
    if not colour:
        return "\n".join(lines)
    for block, words in blocks:
        lines = [line.replace(block + words, BLUE + block + PLAIN + words) for line in lines]
    return "\n".join(lines)


def columns(text: str) -> int:
    """The width of `text` in terminal columns.

    A wide East Asian character or an emoji has 2, a combining mark 0.
    """
    return sum(_columns(character) for character in text)


def fit(word: str, width: int) -> str:
    """`word` with control characters escaped, and cut with an ellipsis beyond `width` columns."""
    printable = "".join(character if _harmless(character) else _escape(character) for character in word)
    if columns(printable) <= width:
        return printable
    start, used = "", 0
    for character in printable:
        if used + _columns(character) > width - 1:
            break
        start, used = start + character, used + _columns(character)
    return start + "…"


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _harmless(character: str) -> bool:
    """Whether a character may stand in a terminal.

    Joiners and variation selectors may, because they belong to words. Marks that change the direction of a
    whole line may not.
    """
    return character.isprintable() or character in "\u200c\u200d"


def _checked(attention: np.ndarray, source_words: Sequence[str], target_words: Sequence[str]) -> np.ndarray:
    weights_TS = np.asarray(attention, dtype=np.float64)
    if weights_TS.shape != (len(target_words), len(source_words)):
        raise UsageError(
            f"attention of shape {weights_TS.shape} for {len(target_words)} target and "
            f"{len(source_words)} source words: "
            "it needs a row for each target word and a column for each source word"
        )
    return np.nan_to_num(weights_TS, nan=0.0).clip(0.0, 1.0)  # a number out of range is drawn, too


def _labels(
    source_words: Sequence[str], target_words: Sequence[str], width: int, hardly: Sequence[int]
) -> tuple[list[str], list[str]]:
    longest = min(LONGEST_LABEL, max(_LEAST_LABEL, width // 3))
    sources = [fit(word, longest) for word in source_words]
    for number in hardly:
        sources[number] = f"({sources[number]})"
    return sources, [fit(word, longest) for word in target_words]


def _staircases(
    weights_TS: np.ndarray, sources: Sequence[str], targets: Sequence[str], width: int, colour: bool
) -> list[str]:
    margin = max(map(columns, targets), default=0) + 1
    most = max(1, (width - margin - max(map(columns, sources), default=0)) // 3)  # source words side by side
    lines: list[str] = []
    for start, end in _parts(len(sources), most):
        if lines:
            lines.append("")
        lines += _staircase(sources[start:end], margin)
        for target, weights_S in zip(targets, weights_TS[:, start:end], strict=True):
            lines.append(f"{_flush(target, margin)}{_painted(_cells(weights_S, 2), colour)}".rstrip())
    return lines


def _lettered(
    weights_TS: np.ndarray,
    sources: Sequence[str],
    targets: Sequence[str],
    width: int,
    colour: bool,
    height: int | None,
) -> list[str]:
    """Letters above the columns and the key below.

    A drawing of more than `height` lines has letters below, too.
    """
    margin = max(map(columns, targets), default=0) + 1
    # Columns of a block and of the gap. Without a gap every column is a cell, so that cells stay distinct.
    sizes = ((2, 1), (1, 1), (1, 0))
    block, gap = next(
        ((block, gap) for block, gap in sizes if margin + (block + gap) * len(sources) - gap <= width),
        sizes[-1],
    )
    most = max(1, (width - margin + gap) // (block + gap))
    lines: list[str] = []
    for start, end in _parts(len(sources), most):
        if lines:
            lines.append("")
        header = " " * margin + _header(end - start, block, gap)
        lines.append(header)
        for target, weights_S in zip(targets, weights_TS[:, start:end], strict=True):
            cells = _painted(_cells(weights_S, block, gap), colour)
            lines.append(f"{_flush(target, margin)}{cells}".rstrip())
        key = _key(sources[start:end], width)
        if height is not None and len(targets) + 1 + len(key) > height:
            lines.append(header)
        lines += key
    return lines


def _parts(count: int, most: int) -> list[tuple[int, int]]:
    """`count` words in as few parts as possible, of similar size, of at most `most` words each."""
    parts = math.ceil(count / most)
    return [(part * count // parts, (part + 1) * count // parts) for part in range(parts)]


def _cells(weights_S: np.ndarray, block: int, gap: int = 1) -> str:
    """Blocks with a gap between them."""
    shades = (SHADES[min(int(max(float(weight), 0.0) * 5 + 0.5), 4)] for weight in weights_S)
    return (gap * " ").join(block * shade for shade in shades).rstrip()


def _painted(cells: str, colour: bool) -> str:
    return BLUE + cells + PLAIN if colour and cells else cells


def _flush(target: str, margin: int) -> str:
    return f"{' ' * (margin - 1 - columns(target))}{target} "


def _beside(margin: int, wide: int, texts: Sequence[str]) -> str:
    padded = [text + " " * (wide - columns(text)) for text in texts]
    return (" " * margin + (" " * _BETWEEN).join(padded)).rstrip()


def _staircase(words: Sequence[str], margin: int) -> list[str]:
    lines = []
    for number, word in enumerate(words):
        arm = "─" * (3 * (len(words) - 1 - number) + 1)
        lines.append(f"{' ' * margin}{'│  ' * number}┌{arm} {word}")
    return lines


def _letter(number: int) -> str:
    """a to z, A to Z, and then two of them."""
    if number < len(_LETTERS):
        return _LETTERS[number]
    return _letter(number // len(_LETTERS) - 1) + _LETTERS[number % len(_LETTERS)]


def _header(count: int, block: int, gap: int = 1) -> str:
    """A letter above each cell. A name of two letters shows only its second one if a cell has one column."""
    return (gap * " ").join(_letter(number)[-block:].ljust(block) for number in range(count)).rstrip()


def _key(sources: Sequence[str], width: int) -> list[str]:
    return _wrapped([f"{_letter(number)} {source}" for number, source in enumerate(sources)], width)


def _wrapped(entries: Sequence[str], width: int) -> list[str]:
    """The entries in lines of at most `width` columns, two spaces between them. No entry is broken."""
    lines: list[str] = []
    for entry in entries:
        if lines and columns(lines[-1]) + 2 + columns(entry) <= width:
            lines[-1] += "  " + entry
        else:
            lines.append(entry)
    return lines
