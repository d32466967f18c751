"""Attention drawn with block characters, for a terminal or a pipe: source words hang on a staircase, target words stand at the left.

    render(weights, ["I", "see", "them"], ["je", "les", "vois"]) gives

             ┌──── I
             │ ┌── see
             │ │ ┌ them
          je ██
         les   ░░▓▓
        vois   ▓▓░░

Whole words on both sides, so that any script can be read. Knows no file, no device, and no markup.
"""

import math
import unicodedata
from collections.abc import Sequence

import numpy as np

from seq2attn.errors import UsageError

SHADES = (" ", "░", "▒", "▓", "█")
LEAST = (0.1, 0.3, 0.5, 0.7)  # weight that has each shade but the first
BLUE, PLAIN = "\x1b[38;5;33m", "\x1b[0m"  # seen on a light and on a dark ground
LONGEST_LABEL = 24  # columns


def render(attention: np.ndarray, source_words: Sequence[str], target_words: Sequence[str], width: int = 100, colour: bool = False) -> str:
    """Lines of at most `width` columns that show `attention` (target words, source words), weights from 0 to 1; a long source goes on in further panels.

    With `colour`, the blocks are blue. Raises UsageError for another shape.
    """
    weights_TS = np.asarray(attention, dtype=np.float64)
    weights_TS = np.nan_to_num(weights_TS, nan=0.0).clip(0.0, 1.0)  # any number is drawn
    if weights_TS.shape != (len(target_words), len(source_words)):
        raise UsageError(
            f"attention of shape {weights_TS.shape} for {len(target_words)} target and {len(source_words)} source words: "
            "it needs a row for each target word and a column for each source word"
        )
    sources = [fit(word, LONGEST_LABEL) for word in source_words]
    targets = [fit(word, LONGEST_LABEL) for word in target_words]
    margin = max(map(columns, targets), default=0) + 1
    most = max(1, (width - margin - max(map(columns, sources), default=0)) // 2)  # source words side by side
    panels = math.ceil(len(sources) / most)
    lines: list[str] = []
    for panel in range(panels):
        start, end = panel * len(sources) // panels, (panel + 1) * len(sources) // panels
        if lines:
            lines.append("")
        lines += _staircase(sources[start:end], margin)
        for target, weights_S in zip(targets, weights_TS[:, start:end], strict=True):
            cells = "".join(2 * SHADES[min(int(max(float(weight), 0.0) * 5 + 0.5), 4)] for weight in weights_S).rstrip()
            lines.append(f"{' ' * (margin - 1 - columns(target))}{target} {BLUE + cells + PLAIN if colour and cells else cells}".rstrip())
    return "\n".join(lines)


def legend(colour: bool = False) -> str:
    """One line that says what the blocks of `render` mean."""
    blocks = [2 * shade for shade in SHADES[1:]]
    return "weights: " + "  ".join(f"{BLUE + block + PLAIN if colour else block} from {least}" for block, least in zip(blocks, LEAST, strict=True))


def columns(text: str) -> int:
    """How many columns a terminal gives to `text`: two for a wide East Asian character or an emoji, none for a combining mark."""
    return sum(_columns(character) for character in text)


def fit(word: str, width: int) -> str:
    """`word` without anything that steers a terminal, cut with an ellipsis beyond `width` columns."""
    shown = "".join(character if _harmless(character) else character.encode("unicode_escape", "surrogatepass").decode("ascii") for character in word)
    if columns(shown) <= width:
        return shown
    kept, used = "", 0
    for character in shown:
        if used + _columns(character) > width - 1:
            break
        kept, used = kept + character, used + _columns(character)
    return kept + "…"


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _harmless(character: str) -> bool:
    """Joiners and variation selectors belong to words; marks that turn the direction of a whole line do not."""
    return character.isprintable() or character in "\u200c\u200d"


def _staircase(words: Sequence[str], margin: int) -> list[str]:
    lines = []
    for number, word in enumerate(words):
        arm = "─" * (2 * (len(words) - 1 - number))
        lines.append(f"{' ' * margin}{'│ ' * number}┌{arm} {word}")
    return lines
