"""The attention of a few validation pairs at each validation of a training: RUN/attention_by_step.jsonl.

    {"step": 500, "format": 1, "layers": 1, "heads": 1, "pairs": [{"source_words": [...], ...}]}
    {"step": 500, "largest": [0.94, ...], "weights": ["base64", ...]}
    {"step": 1000, "largest": [0.99, ...], "weights": ["base64", ...]}

The words stand once, in a line before the weights of the first validation. They stand again only if a resumed
run chooses other pairs, because it validates on fewer sentences. The weights of a pair are one byte each, in
255ths of its largest, in the order (layer, head, target subword, source position); the end tokens come last.

A validation holds at most MOST_BYTES weights, 4/3 of that as base64: 88 kB. With three
pairs of about twelve words, N validations weigh N x 1.1 kB for one head (the preset first-try) and N x 14 kB
for 3 layers of 4 heads (the preset transformer); with captions of 12 x 12 cells N x 7.5 kB for one head.
This module knows no model and no drawing.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2attn import strict_json
from seq2attn.errors import UserError
from seq2attn.runs.directory import ATTENTION as NAME
from seq2attn.runs.directory import Run, append_line

FORMAT = 1
MOST_PAIRS = 3
MOST_SUBWORDS = 32  # of a side of a pair, with its end token
MOST_BYTES = 2**16  # weights of a validation
MOST_POSITIONS = 2**14  # cells of an image, or frames of a clip
MAX_NAME = 10_000  # characters of the name of an image
MAX_FILE = 2**28  # bytes; the program reads no longer file
_WAY_OUT = "restore it, or remove it: training does not need it"


class Sides(NamedTuple):
    """The two sides of a pair. A text has words and subwords; an image has a name and a grid, a clip frames.

    Subwords are without their end tokens.
    """

    target_words: list[str]
    target_subwords: list[str]
    source_words: list[str] | None = None
    source_subwords: list[str] | None = None
    name: str | None = None  # of an image or a clip
    grid: tuple[int, int] | None = None  # rows and columns
    frames: int | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the weights, with the end tokens."""
        rows = len(self.target_subwords) + 1
        if self.source_subwords is not None:
            return rows, len(self.source_subwords) + 1
        return rows, self.frames or (self.grid[0] * self.grid[1] if self.grid else 0)


class Snapshot(NamedTuple):
    """The attention of a few pairs at one moment: of each the weights (L, H, T, S), from 0 to 1."""

    pairs: tuple[Sides, ...]
    weights: tuple[NDArray[Any], ...]


class History(NamedTuple):
    """What the file holds: at each of the steps the weights (L, H, T, S) of each pair, from 0 to 1."""

    pairs: tuple[Sides, ...]
    steps: list[int]
    weights: list[tuple[NDArray[np.float32], ...]]


def append(run: Run, step: int, snapshot: Snapshot) -> None:
    """Append the attention of the validation after `step` updates. Raises UserError if the disk refuses."""
    file = run.path / NAME
    layers, heads = snapshot.weights[0].shape[:2]
    first = {"format": FORMAT, "layers": layers, "heads": heads, "pairs": list(map(_tree, snapshot.pairs))}
    if _last_pairs(file) != first:
        append_line(file, {"step": step} | first)
    largest = list(map(_largest, snapshot.weights))
    append_line(file, {"step": step, "largest": largest, "weights": list(map(_encode, snapshot.weights))})


def read(run: Path) -> History:
    """The attention over the training of a run.

    Raises UserError, one line, if there is no such file, or if it is damaged: then with its line.
    """
    file = run / NAME
    if not file.is_file():
        raise UserError(
            f"{run}: has no {NAME}: it was trained by an older seq2attn, has no attention, or was not "
            "validated yet; train it again to watch its attention"
        )
    history, counts, number = History((), [], []), (0, 0), 1
    try:
        if file.stat().st_size > MAX_FILE:
            raise ValueError(f"longer than {MAX_FILE:,} bytes")
        with file.open(encoding="utf-8") as content:
            for line in content:
                history, counts = _next(history, counts, _object(strict_json.parse(line), "the line"))
                number += 1
    except OSError as error:
        raise UserError(f"{file}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        problem = "no UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise UserError(f"{file}, line {number}: damaged ({problem}); {_WAY_OUT}") from None
    if not history.steps:
        raise UserError(f"{file}: has no validation in it; continue the training with `resume`")
    return history


def _tree(pair: Sides) -> dict[str, Any]:
    tree = {name: value for name, value in pair._asdict().items() if value is not None}
    return tree | ({} if pair.grid is None else {"grid": list(pair.grid)})


def _clean(weights: NDArray[Any]) -> NDArray[Any]:
    result: NDArray[Any] = np.nan_to_num(weights, nan=0.0).clip(0, 1)
    return result


def _largest(weights: NDArray[Any]) -> float:
    return round(float(_clean(weights).max()), 6)


def _encode(weights: NDArray[Any]) -> str:
    numbers = np.rint(255 * (_clean(weights) / (_largest(weights) or 1)).clip(0, 1)).astype(np.uint8)
    return base64.b64encode(numbers.tobytes()).decode("ascii")


def _last_pairs(file: Path) -> Mapping[str, Any] | None:
    """The last line of words, without its step; None without one.

    A damaged line counts as none: who reads the file names it.
    """
    last = None
    if file.is_file():
        with file.open("rb") as content:
            for line in content:
                if b'"pairs"' in line[:200]:
                    last = line
    try:
        tree = None if last is None else strict_json.parse(last.decode())
    except ValueError:
        return None
    return {key: value for key, value in tree.items() if key != "step"} if isinstance(tree, dict) else None


# Reading what may be damaged


def _next(
    history: History, counts: tuple[int, int], tree: Mapping[str, Any]
) -> tuple[History, tuple[int, int]]:
    """What is known after one more line: the history, and the numbers of layers and heads."""
    step = _count(tree, "step", 2**53)
    if "pairs" in tree:
        pairs, counts = _pairs(tree)
        return History(pairs, [], []), counts  # the weights before are of other pairs
    if not history.pairs:
        raise ValueError("weights before their words")
    if history.steps and step <= history.steps[-1]:
        raise ValueError(f"step {step} comes after step {history.steps[-1]}")
    history.weights.append(_weights(tree, history.pairs, counts))
    history.steps.append(step)
    return history, counts


def _object(tree: Any, what: str) -> Mapping[str, Any]:
    if isinstance(tree, dict):
        return tree
    raise ValueError(f"{what} is no object")


def _list(tree: Mapping[str, Any], name: str, count: int) -> list[Any]:
    value = tree.get(name)
    if not isinstance(value, list) or len(value) != count:
        raise ValueError(f"{name} is no list of {count}, one of each pair")
    return value


def _pairs(tree: Mapping[str, Any]) -> tuple[tuple[Sides, ...], tuple[int, int]]:
    if _count(tree, "format", 2**53, 1) > FORMAT:
        raise ValueError(f"format {tree['format']} is of a newer seq2attn")
    counts = _count(tree, "layers", 2**10, 1), _count(tree, "heads", 2**10, 1)
    pairs = tree["pairs"]
    if not isinstance(pairs, list) or not 1 <= len(pairs) <= MOST_PAIRS:
        raise ValueError(f"pairs is no list of 1 to {MOST_PAIRS}")
    return tuple(map(_sides, pairs)), counts


def _sides(tree: Any) -> Sides:
    tree = _object(tree, "a pair")
    target = _texts(tree, "target_words"), _texts(tree, "target_subwords")
    if "source_words" in tree:
        return Sides(*target, _texts(tree, "source_words"), _texts(tree, "source_subwords"))
    name = tree.get("name")
    if not isinstance(name, str) or len(name) > MAX_NAME:
        raise ValueError("a pair has neither source_words nor name")
    if "frames" in tree:
        return Sides(*target, name=name, frames=_count(tree, "frames", MOST_POSITIONS, 1))
    grid = tree.get("grid")
    if not isinstance(grid, list) or len(grid) != 2:
        raise ValueError("an image has neither grid nor frames")
    rows, columns = (_count({"grid": side}, "grid", MOST_POSITIONS, 1) for side in grid)
    if rows * columns > MOST_POSITIONS:
        raise ValueError(f"a grid has more than {MOST_POSITIONS:,} cells")
    return Sides(*target, name=name, grid=(rows, columns))


def _weights(
    tree: Mapping[str, Any], pairs: Sequence[Sides], counts: tuple[int, int]
) -> tuple[NDArray[np.float32], ...]:
    arrays: list[NDArray[np.float32]] = []
    numbers = _list(tree, "weights", len(pairs)), _list(tree, "largest", len(pairs))
    for text, largest, pair in zip(*numbers, pairs, strict=True):
        try:
            content = base64.b64decode(text.encode("ascii") if isinstance(text, str) else b"?", validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise ValueError("weights are no base64") from None
        if isinstance(largest, bool) or not isinstance(largest, int | float) or not 0 <= largest <= 1:
            raise ValueError("largest is no list of numbers from 0 to 1")
        shape = (*counts, *pair.shape)
        if len(content) != np.prod(shape, dtype=np.int64):
            raise ValueError(f"{len(content)} weights of a pair of shape {shape}")
        shares = np.frombuffer(content, np.uint8).reshape(shape).astype(np.float32)
        arrays.append(shares * np.float32(largest / 255))
    return tuple(arrays)


def _count(tree: Mapping[str, Any], name: str, most: int, least: int = 0) -> int:
    value = tree.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} is no number from {least} to {most:,}")
    return value


def _texts(tree: Mapping[str, Any], name: str) -> list[str]:
    value = tree.get(name)
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_SUBWORDS:
        raise ValueError(f"{name} is no list of 1 to {MOST_SUBWORDS} texts")
    if not all(isinstance(text, str) and len(text) < 1000 for text in value):
        raise ValueError(f"{name} is no list of short texts")
    return value
