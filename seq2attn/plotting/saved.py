"""Attention that `translate --attention` kept, read back: JSON lines or an npz. Nothing in either is ever executed.

Knows the two formats and no model. Lines are those of the translated text, counted from 1.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seq2attn.data.lines import read_lines
from seq2attn.errors import UserError
from seq2attn.plotting.page import Alignment

END = "</s>"  # the end token, in pictures of pieces


class Saved(NamedTuple):
    """The best translation of one line: between words, and between pieces (the end tokens come last) where the file has those."""

    line: int
    words: Alignment
    pieces: Alignment | None


def read(path: Path) -> Iterator[Saved]:
    """The lines of a file in their order. Raises UserError that names the file and the line when it is not what `translate --attention` writes."""
    return _arrays(path) if path.suffix == ".npz" else _objects(path)


def _objects(path: Path) -> Iterator[Saved]:
    for number, text in enumerate(read_lines(path), 1):
        try:
            tree = json.loads(text)
            if "caption" in tree and "attention" not in tree:
                raise UserError(
                    f"{path}:{number}: a caption, and no attention: draw where one looks with caption --attention DIR, or plot-alignment RUN --image FILE"
                )
            if tree.get("rank", 0) == 0:
                yield _saved(int(tree.get("line", number - 1)) + 1, tree)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{path}:{number}: not attention as `seq2attn translate --attention` keeps it ({_short(error)})") from None


def _arrays(path: Path) -> Iterator[Saved]:
    try:
        if not zipfile.is_zipfile(path):  # numpy would recommend reading it unsafely
            raise ValueError("no archive of arrays")
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            lines = sorted(int(name.split("/")[0]) for name in arrays.files if name.endswith("/attention") and name.split("/")[0].isdecimal())
            for line in lines:
                keys = ("attention", "source_words", "target_words", "piece_attention", "source_pieces", "target_pieces")
                yield _saved(line + 1, {key: arrays[f"{line}/{key}"] for key in keys if f"{line}/{key}" in arrays.files})
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except (ValueError, LookupError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not attention as `seq2attn translate --attention` keeps it ({_short(error)})") from None


def _saved(line: int, tree: Any) -> Saved:
    pieces = None
    if "piece_attention" in tree and np.size(tree["piece_attention"]):
        pieces = _alignment([*tree["source_pieces"], END], [*tree["target_pieces"], END], tree["piece_attention"])
    return Saved(line, _alignment(tree["source_words"], tree["target_words"], tree["attention"]), pieces)


def _alignment(source: Any, target: Any, attention: Any) -> Alignment:
    source, target = [str(word) for word in source], [str(word) for word in target]
    weights = np.asarray(attention, dtype=np.float64)
    if weights.size == 0:
        weights = np.zeros((len(target), len(source)))
    if weights.shape != (len(target), len(source)):
        raise ValueError(f"weights of shape {weights.shape} for {len(target)} target and {len(source)} source words")
    if not np.isfinite(weights).all():
        raise ValueError("weights that are not numbers")
    return Alignment(source, target, weights)


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
