"""The attention of a run over its training: chosen at a validation for the log, and read back to draw.

At each validation a few pairs are forced on the model. `snapshot` chooses at most three of them and what is
logged of them; `scenes` turns the log into matrices of one layer and head, or of their mean.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2attn.inference.alignments import Pair
from seq2attn.inference.attention_file import END, AttentionMatrix
from seq2attn.inference.attention_weights import select
from seq2attn.inference.caption_panels import rows
from seq2attn.inference.heads import Heads
from seq2attn.inference.results import Caption, Translation
from seq2attn.plotting import words as tokens
from seq2attn.plotting.scene import Scene
from seq2attn.runs.attention_log import MOST_BYTES, MOST_PAIRS, MOST_SUBWORDS, History, Sides, Snapshot
from seq2attn.runs.choice import MEAN, AttentionChoice

_BEST_LENGTH = 10  # words: a drawing of so many is neither empty nor crowded
_NO_HEADS = Heads(None, None)


def snapshot(outputs: Sequence[Translation | Caption], names: Sequence[str] = ()) -> Snapshot | None:
    """The attention to log of pairs that were forced, with attention="all"; None if none has attention.

    Pairs that fit and have about ten words are taken first, and a longer one is cut between two words. The
    choice depends on the words alone, so it is the same at each validation. `names` are those of images.
    """
    order = sorted(range(len(outputs)), key=lambda row: (*_unfit(outputs[row]), row))
    parts: dict[int, tuple[Sides, NDArray[Any]]] = {}
    size = 0
    for row in order:
        part = _part(outputs[row], names[row] if row < len(names) else "")
        if part is not None and size + part[1].size <= MOST_BYTES:
            size += part[1].size
            parts[row] = part
        if len(parts) == MOST_PAIRS:
            break
    pairs = [parts[row] for row in sorted(parts)]
    return Snapshot(*map(tuple, zip(*pairs, strict=True))) if pairs else None


def _unfit(output: Translation | Caption) -> tuple[bool, int]:
    sides = [output.subwords] if isinstance(output, Caption) else _subwords(output)
    return max(map(len, sides)) >= MOST_SUBWORDS, abs(len(_words(output)) - _BEST_LENGTH)


def _words(output: Translation | Caption) -> list[str]:
    return output.words if isinstance(output, Caption) else output.target_words


def _subwords(output: Translation) -> tuple[list[str], list[str]]:
    return output.source_subwords, output.target_subwords


def _part(output: Translation | Caption, name: str) -> tuple[Sides, NDArray[Any]] | None:
    """The sides of a pair and its weights (L, H, T, S); None without, or if no subwords fit."""
    weights = output.subword_attention_heads
    if weights is None:
        return None
    layers, heads, _, positions = weights.shape
    if isinstance(output, Caption):
        most = min(MOST_SUBWORDS, max(2, MOST_BYTES // (layers * heads * positions)))
        target = _cut(output.words, output.subwords, most - 1)
        if target is None:
            return None
        grid = output.grid
        sides = Sides(*target, name=name, grid=grid, frames=positions if grid is None else None)
        columns = np.arange(positions)
    else:
        source = _cut(output.source_words, output.source_subwords, MOST_SUBWORDS - 1, whole=False)
        if source is None:
            return None
        most = min(MOST_SUBWORDS, max(2, MOST_BYTES // (layers * heads * (len(source[1]) + 1))))
        target = _cut(output.target_words, output.target_subwords, most - 1)
        if target is None:
            return None
        sides = Sides(*target, *source)
        columns = _and_end(len(source[1]), positions)
    return sides, weights[:, :, _and_end(len(target[1]), weights.shape[2])][..., columns]


def _and_end(count: int, of: int) -> NDArray[np.intp]:
    return np.append(np.arange(count), of - 1)


def _cut(
    words: list[str], subwords: list[str], most: int, whole: bool = True
) -> tuple[list[str], list[str]] | None:
    """The first words, of at most that many subwords, and those; None if none are, or if they do not fit."""
    side = tokens.side(words, subwords, whole)
    if side is None:
        return None
    if len(subwords) > most:
        word_of = [side.words[token] for token in side.token_of]
        while most and word_of[most] == word_of[most - 1]:
            most -= 1
        if not most:
            return None
        words, subwords = words[: word_of[most - 1] + 1], subwords[:most]
        if tokens.side(words, subwords, whole) is None:
            return None
    return (words, subwords) if max(map(len, (words, subwords))) < MOST_SUBWORDS else None


# Reading back


def scenes(history: History, choice: AttentionChoice | None = None, words: bool | None = None) -> list[Scene]:
    """Each pair of the log, with its weights (N, T, S) of N validations.

    `choice` is a layer, a head and the step that is read; None: the mean of all. `words`: see
    `Pair.alignments`; for captions, see `caption_panels.rows`. Raises UsageError if there is no such layer or
    head.
    """
    results = []
    for number, sides in enumerate(history.pairs):
        views = [_view(sides, of_step[number], choice or MEAN, words) for of_step in history.weights]
        first = views[0]
        results.append(first._replace(weights=np.concatenate([view.weights for view in views])))
    return results


def _view(sides: Sides, weights: NDArray[Any], choice: AttentionChoice, words: bool | None) -> Scene:
    single = weights.shape[:2] == (1, 1)
    own = select(weights, None if single else choice.layer, None if single else choice.head)
    if choice.shift:
        own = np.concatenate([own[1:], own[-1:]])
    if sides.source_words is None or sides.source_subwords is None:
        caption = Caption(
            " ".join(sides.target_words),
            0.0,
            0.0,
            subwords=sides.target_subwords,
            subword_attention=own,
            words=sides.target_words,
            grid=sides.grid,
        )
        labels, weights_TS, *_ = rows(caption, words)
        return Scene(labels, weights_TS[None], grid=sides.grid, name=sides.name or "")
    blank = np.zeros((len(sides.target_words), len(sides.source_words)))
    pair = Pair(
        AttentionMatrix(sides.source_words, sides.target_words, blank, None),
        AttentionMatrix([*sides.source_subwords, END], [*sides.target_subwords, END], own, None),
    )
    [view] = pair.alignments(_NO_HEADS, words, True, where="", way_out="")
    weights_TS = np.asarray(view.attention, dtype=np.float64)
    return Scene(list(view.target_words), weights_TS[None], list(view.source_words), ends=view.ends)
