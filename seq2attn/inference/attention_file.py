"""The file of `seq2attn translate --attention FILE`: written as translations come, and read back.

Both formats stand here. The ending chooses the format to write: `.npz` (arrays) or `.jsonl` (one JSON object
a line). For each translation both hold, with T target and S source words (or subwords), L layers and H heads:

    attention               (T, S)           between words, the mean over layers and heads
    source_words            S words
    target_words            T words
    subword_attention       (T+1, S+1)       between subwords; the end tokens come last
    source_subwords         S subwords
    target_subwords         T subwords
    attention_heads         (L, H, T, S)     only if all heads were kept
    subword_attention_heads (L, H, T+1, S+1) only if all heads were kept

In an npz the keys of line i (from 0) begin with `i/`, and those of its second best translation and on with
`i.1/`, `i.2/`. In JSON lines they stand beside `line` (from 0), `rank` (from 0) and `text`.

The reader takes files from anybody: it checks the sizes that a file declares before it allocates memory,
executes nothing, and refuses a damaged file with one line. It knows no model. Line numbers count from 1
there.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from seq2attn import strict_json
from seq2attn.data.formats.lines import read_lines
from seq2attn.errors import UserError
from seq2attn.inference.npz_reader import is_archive, open_npz
from seq2attn.inference.results import Translation
from seq2attn.inference.zip_writer import ZipWriter

END = "</s>"  # the end token beside subwords
MAX_WEIGHTS = 1 << 22  # weights of one line's mean: 2,000 words on both sides
MAX_HEAD_WEIGHTS = 1 << 24  # weights of all heads of one line
MAX_TOTAL_WEIGHTS = 1 << 24  # weights of all lines that are in memory at once
MAX_LINES = 10**12
MAX_WORDS = 1 << 18  # words on one side
# a word has the sum of the weights of its subwords, and some attention has weights that do not sum to 1
LARGEST = 1e6
TABLES = {  # kind of unit -> keys of its weights, source, target
    "words": ("attention", "source_words", "target_words"),
    "subwords": ("subword_attention", "source_subwords", "target_subwords"),
}
HEADS = "_heads"  # ending of the key that holds all heads


class AttentionWriter:
    """Writes the attention of translations as they come. A context manager, which completes the file."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        """`path` is the name that the file will have; its ending chooses the format."""
        self._file = file
        self._archive = ZipWriter(file) if path.suffix == ".npz" else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._archive is not None:
            self._archive.close()
            # It failed before the first translation, so there is no file, rather than an empty archive.
            if kind is not None and not self._archive.count:
                self._file.seek(0)
                self._file.truncate()

    def add(self, number: int, translations: Sequence[Translation]) -> None:
        """The translations of line `number` (from 0), best first."""
        for rank, translation in enumerate(translations):
            fields = _fields(translation)
            if self._archive is not None:
                name = f"{number}.{rank}" if rank else str(number)
                for key, value in fields.items():
                    self._archive.add(f"{name}/{key}.npy", _npy(value))
            else:
                record = {"line": number, "rank": rank, "text": translation.text}
                record |= {
                    key: _rounded(value) if isinstance(value, np.ndarray) else value
                    for key, value in fields.items()
                }
                self._file.write((strict_json.dump(record) + "\n").encode())
        if self._archive is None:
            self._file.flush()


def _fields(translation: Translation) -> dict[str, Any]:
    empty = np.zeros((0, 0), np.float32)  # of an empty line
    fields: dict[str, Any] = {}
    for weights, *sides in TABLES.values():
        mean, heads = getattr(translation, weights), getattr(translation, weights + HEADS)
        fields[weights] = empty if mean is None else mean
        fields |= {side: getattr(translation, side) for side in sides}
        if heads is not None:
            fields[weights + HEADS] = heads
    return fields


def _npy(value: Any) -> bytes:
    array = value if isinstance(value, np.ndarray) else np.array(value, dtype=np.str_)
    content = io.BytesIO()
    np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
    return content.getvalue()


def _rounded(weights: NDArray[Any]) -> list[Any]:
    """Nested lists of numbers with at most six decimals."""
    if weights.ndim > 1:
        return [_rounded(row) for row in weights]
    return [round(float(weight), 6) for weight in weights]


class AttentionMatrix(NamedTuple):
    """Attention between the words (or subwords) of two sides."""

    source_words: list[str]  # S
    target_words: list[str]  # T
    attention: NDArray[np.float64]  # (T, S): the mean over layers and heads
    attention_heads: NDArray[np.float64] | None  # (L, H, T, S), if the file has all heads


class SavedAttention(NamedTuple):
    """Attention of the best translation of one line."""

    line: int  # from 1
    words: AttentionMatrix
    subwords: AttentionMatrix | None  # if the file has it; the end token comes last on both sides


def read_attention(path: Path, keep_all: bool = False) -> Iterator[SavedAttention]:
    """The lines of a file in their order; `keep_all`: the caller holds them all, so their sum is bounded.

    Raises UserError, which names file and line, if the file does not have the format above or is too large.
    """
    weights = 0
    for entry in _read_npz(path) if is_archive(path) else _read_json_lines(path):
        for matrix in (entry.words, entry.subwords):
            if matrix is not None:
                weights += matrix.attention.size
                weights += 0 if matrix.attention_heads is None else matrix.attention_heads.size
        if keep_all and weights > MAX_TOTAL_WEIGHTS:
            raise UserError(
                f"{path}: too many words for one page, up to line {entry.line}; draw one line at a time"
            )
        yield entry


def _read_json_lines(path: Path) -> Iterator[SavedAttention]:
    for number, text in enumerate(read_lines(path), 1):
        try:
            record = strict_json.parse(text)
            if not isinstance(record, dict):
                raise TypeError("not a JSON object")
            if "caption" in record and "attention" not in record:
                raise UserError(
                    f"{path}:{number}: a caption without attention: to draw where a captioner looks, "
                    "use `seq2attn plot-alignment RUN --image FILE`"
                )
            if _count(record, "rank", 0) == 0:
                yield _entry(_count(record, "line", number - 1) + 1, record)
        except (ValueError, LookupError, TypeError, OverflowError) as error:
            raise _refusal(f"{path}:{number}", error) from None


def _read_npz(path: Path) -> Iterator[SavedAttention]:
    position = ""
    try:
        with open_npz(path) as archive:
            prefixes = [
                name.removesuffix("/attention") for name in archive.names if name.endswith("/attention")
            ]
            for line in sorted(int(prefix) for prefix in prefixes if re.fullmatch("[0-9]{1,12}", prefix)):
                position = f"line {line + 1}: "
                keys = [key for table in TABLES.values() for key in (*table, table[0] + HEADS)]
                yield _entry(
                    line + 1,
                    {key: archive.array(f"{line}/{key}") for key in keys if f"{line}/{key}" in archive.names},
                )
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}") from None
    except (
        ValueError,
        LookupError,
        TypeError,
        OverflowError,
        EOFError,
        RuntimeError,  # NotImplementedError too: zipfile cannot decompress it
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise _refusal(str(path), error, position) from None


def _entry(line: int, record: dict[str, Any]) -> SavedAttention:
    subwords = None
    if "subword_attention" in record and np.size(record["subword_attention"]):
        subwords = _matrix(record, "subwords", [END])
    return SavedAttention(line, _matrix(record, "words", []), subwords)


def _count(record: dict[str, Any], key: str, default: int) -> int:
    value = record.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_LINES:
        raise ValueError(f"{key} is no count")
    return value


def _words(record: dict[str, Any], key: str) -> list[str]:
    words = record[key]
    if isinstance(words, np.ndarray):
        if words.ndim != 1 or len(words) > MAX_WORDS:
            raise ValueError(f"{key} is no list of words, or has more than {MAX_WORDS:,}")
        words = words.tolist()
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise TypeError(f"{key} is no list of words")
    return [strict_json.whole_text(word) for word in words]


def _matrix(record: dict[str, Any], unit: str, ends: list[str]) -> AttentionMatrix:
    key, source_key, target_key = TABLES[unit]
    source, target = [*_words(record, source_key), *ends], [*_words(record, target_key), *ends]
    shape = len(target), len(source)
    mean = np.asarray(record[key])
    if mean.size == 0:
        mean = np.zeros(shape)
    heads = np.asarray(record[key + HEADS]) if key + HEADS in record else None
    return AttentionMatrix(
        source,
        target,
        _weights(mean, shape, MAX_WEIGHTS),
        None if heads is None else _weights(heads, (*heads.shape[:2], *shape), MAX_HEAD_WEIGHTS),
    )


def _weights(given: NDArray[Any], shape: tuple[int, ...], limit: int) -> NDArray[np.float64]:
    if given.size > limit:
        raise ValueError(f"more than {limit:,} weights")
    if given.dtype.kind not in "fiu":
        raise TypeError("weights that are not numbers")
    if given.shape != shape:
        words = f"{shape[-2]} target and {shape[-1]} source words"
        raise ValueError(f"weights of shape {given.shape} for {words}")
    weights = given.astype(np.float64)
    if not np.isfinite(weights).all():
        raise ValueError("weights that are not numbers")
    if weights.size and (weights.min() < 0 or weights.max() > LARGEST):
        raise ValueError(f"weights that are negative, or above {LARGEST:,.0f}")
    return weights


def _refusal(location: str, error: Exception, position: str = "") -> UserError:
    reason = (str(error).splitlines() or [""])[0][:200] or type(error).__name__
    return UserError(
        f"{location}: not attention as `seq2attn translate --attention` writes it ({position}{reason})"
    )
