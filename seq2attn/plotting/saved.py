"""Attention that `translate --attention` kept, read back: JSON lines or an npz, by what the file holds.

Nothing in either is ever executed. Knows the two formats and no model. Lines are those of the translated
text, counted from 1. A file may be anybody's: what it says of sizes is looked at before memory is given, and
whatever is wrong is one line.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seq2attn import strict_json
from seq2attn.data.formats.lines import read_lines
from seq2attn.errors import UserError
from seq2attn.plotting import arrays
from seq2attn.plotting.html_alignment import Alignment

END = "</s>"  # the end token, in images of pieces
MOST_WEIGHTS = 1 << 22  # of one line: 2,000 words on both sides
MOST_TOGETHER = 1 << 24  # of all lines that are held at once
MOST_LINES = 10**12
MOST_WORDS = 1 << 18  # on one side
LARGEST = 1e6  # a word has the sum of its pieces' weights, which some attention does not make add up to 1
_KEYS = ("attention", "source_words", "target_words", "piece_attention", "source_pieces", "target_pieces")


class Saved(NamedTuple):
    """The best translation of one line: between words, and between pieces (the end tokens come last) where
    the file has those.
    """

    line: int
    words: Alignment
    pieces: Alignment | None


def read(path: Path, together: bool = False) -> Iterator[Saved]:
    """The lines of a file in their order; `together` where the caller holds them all.

    Raises UserError that names file and line when it is not what `translate --attention` writes, or too
    large.
    """
    weights = 0
    for saved in _arrays(path) if arrays.is_archive(path) else _objects(path):
        weights += saved.words.attention.size + (0 if saved.pieces is None else saved.pieces.attention.size)
        if together and weights > MOST_TOGETHER:
            way_out = "choose one with --line N"
            raise UserError(f"{path}: too many words for one page, up to line {saved.line}; {way_out}")
        yield saved


def _objects(path: Path) -> Iterator[Saved]:
    for number, text in enumerate(read_lines(path), 1):
        try:
            tree = strict_json.parse(text)
            if not isinstance(tree, dict):
                raise TypeError("no JSON object")
            if "caption" in tree and "attention" not in tree:
                raise UserError(
                    f"{path}:{number}: a caption, and no attention: draw where one looks with caption --attention DIR, or plot-alignment RUN --image FILE"
                )
            if _count(tree, "rank", 0) == 0:
                yield _saved(_count(tree, "line", number - 1) + 1, tree)
        except (ValueError, LookupError, TypeError, OverflowError) as error:
            raise _refusal(f"{path}:{number}", error) from None


def _arrays(path: Path) -> Iterator[Saved]:
    at = ""
    try:
        with arrays.opened(path) as archive:
            names = archive.getinfo_by_name()
            starts = [name.removesuffix("/attention") for name in names if name.endswith("/attention")]
            for line in sorted(int(start) for start in starts if re.fullmatch("[0-9]{1,12}", start)):
                at = f"line {line + 1}: "
                keys = [key for key in _KEYS if f"{line}/{key}" in names]
                yield _saved(line + 1, {key: archive.array(f"{line}/{key}") for key in keys})
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except (
        ValueError,
        LookupError,
        TypeError,
        OverflowError,
        EOFError,
        RuntimeError,  # NotImplementedError too: zipfile's, of what it cannot unpack
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise _refusal(str(path), error, at) from None


def _saved(line: int, tree: dict[str, Any]) -> Saved:
    pieces = None
    if "piece_attention" in tree and np.size(tree["piece_attention"]):
        source, target = ([*_words(tree, key), END] for key in ("source_pieces", "target_pieces"))
        pieces = _alignment(source, target, tree["piece_attention"])
    source, target = _words(tree, "source_words"), _words(tree, "target_words")
    return Saved(line, _alignment(source, target, tree["attention"]), pieces)


def _count(tree: dict[str, Any], key: str, otherwise: int) -> int:
    value = tree.get(key, otherwise)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_LINES:
        raise ValueError(f"{key} is no count")
    return value


def _words(tree: dict[str, Any], key: str) -> list[str]:
    words = tree[key]
    if isinstance(words, np.ndarray):
        if words.ndim != 1 or len(words) > MOST_WORDS:
            raise ValueError(f"{key} is no list of words, or has more than {MOST_WORDS:,}")
        words = words.tolist()
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise TypeError(f"{key} is no list of words")
    return [strict_json.whole_text(word) for word in words]


def _alignment(source: list[str], target: list[str], attention: Any) -> Alignment:
    given = np.asarray(attention)
    if given.size == 0:
        given = np.zeros((len(target), len(source)))
    if given.size > MOST_WEIGHTS:
        raise ValueError(f"more than {MOST_WEIGHTS:,} weights")
    if given.dtype.kind not in "fiu":
        raise TypeError("weights that are not numbers")
    if given.shape != (len(target), len(source)):
        words = f"{len(target)} target and {len(source)} source words"
        raise ValueError(f"weights of shape {given.shape} for {words}")
    weights = given.astype(np.float64)
    if not np.isfinite(weights).all():
        raise ValueError("weights that are not numbers")
    if weights.size and (weights.min() < 0 or weights.max() > LARGEST):
        raise ValueError(f"weights that are negative, or above {LARGEST:,.0f}")
    return Alignment(source, target, weights)


def _refusal(where: str, error: Exception, at: str = "") -> UserError:
    reason = (str(error).splitlines() or [""])[0][:200] or type(error).__name__
    return UserError(f"{where}: not attention as `seq2attn translate --attention` keeps it ({at}{reason})")
