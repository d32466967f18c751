"""How translations and captions are written: as text, JSON lines or Moses n-best lists; and attention of
translations, as npz or JSON lines.

It knows what a translation and a caption hold, and neither models nor streams.
"""

import io
import json
import math
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from seq2attn import strict_json
from seq2attn.cli.archive import Archive

if TYPE_CHECKING:
    from seq2attn.inference import Caption, Translation


_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, formats as U+202E, half surrogates, ends of lines


def one_line(text: str) -> str:
    r"""`text` without "\n" and "\r", which would end its line for some reader."""
    return text.replace("\r", " ").replace("\n", " ")


def one_path(path: str) -> str:
    r"""`path` with what ends lines, drives terminals, is not seen or is no UTF-8 written as an escape: a newline as "\n"."""
    return "".join(
        c.encode("unicode_escape").decode("ascii") if unicodedata.category(c) in _UNSEEN else c for c in path
    )


def pharaoh(translation: "Translation") -> str:
    """Word alignments as `i-j`, source before target, from 0."""
    return " ".join(f"{source}-{target}" for source, target in translation.alignment())


def as_text(translations: Sequence["Translation"], n_best: int, scores: bool, alignments: bool) -> str:
    """`n_best` lines, empty where there are fewer translations. The score stands before the text and the
    alignment after it, with tabs between.
    """
    lines = []
    for translation in translations:
        columns = [f"{translation.score:.4f}"] if scores else []
        columns.append(one_line(translation.text))
        columns += [pharaoh(translation)] if alignments else []
        lines.append("\t".join(columns))
    return "".join(f"{line}\n" for line in lines + [""] * (n_best - len(lines)))


def captions_as_text(path: str, captions: Sequence["Caption"], n_best: int, scores: bool) -> str:
    """`n_best` lines of path and caption, which is empty where there are fewer. The score stands between
    them.
    """
    rows = [(f"{caption.score:.4f}", one_line(caption.text)) for caption in captions] + [("", "")] * (
        n_best - len(captions)
    )
    return "".join(
        "\t".join([one_path(path), *([score] if scores else []), text]) + "\n" for score, text in rows
    )


def as_moses(translations: Sequence["Translation"], number: int, alignments: bool) -> str:
    """Lines of `number ||| text ||| F0= log p ||| score`, and ` ||| alignment` when asked for."""
    lines = []
    for translation in translations:
        text = one_line(translation.text).replace("|||", "| | |")
        fields = [str(number), text, f"F0= {translation.log_probability:.4f}", f"{translation.score:.4f}"]
        lines.append(" ||| ".join([*fields, pharaoh(translation)] if alignments else fields))
    return "".join(f"{line}\n" for line in lines)


def _rounded(number: float) -> float | None:
    """JSON has no infinity: None where the limits left no output of any probability."""
    return round(number, 6) if math.isfinite(number) else None


def as_json(
    record: dict[str, Any], translations: Sequence["Translation"], n_best: int, alignments: bool
) -> str:
    """The record with `translation`, `score` and `log_probability` of the best, and all of them under
    `n_best` when several were asked for.
    """

    def facts(translation: "Translation") -> dict[str, Any]:
        found = {"translation": translation.text} | _numbers(translation)
        return found | {"alignment": pharaoh(translation)} if alignments else found

    tree = record | facts(translations[0])
    if n_best > 1:
        tree["n_best"] = [facts(translation) for translation in translations]
    return _json(tree) + "\n"


def captions_as_json(
    path: str, captions: Sequence["Caption"], n_best: int, overlays: Sequence[Path], problem: str | None
) -> str:
    """`image`, `caption`, `score`, `log_probability`, the file of its overlay as `attention` where there is
    one, all under `n_best` when several were asked for.

    Of what could not be read the caption is empty, and `error` says why.
    """
    rows = [{"caption": caption.text} | _numbers(caption) for caption in captions]
    for row, overlay in zip(rows, overlays, strict=False):
        row["attention"] = str(overlay)
    tree = {"image": path} | (rows[0] if rows else {"caption": "", "score": None, "log_probability": None})
    if n_best > 1:
        tree["n_best"] = rows
    if problem is not None:
        tree["error"] = problem
    return _visible(_json(tree)) + "\n"


def _numbers(output: "Translation | Caption") -> dict[str, Any]:
    return {"score": _rounded(output.score), "log_probability": _rounded(output.log_probability)}


NOT_JSON = "not a JSON object: taken as plain text"
NO_TEXT = 'no "text" in the JSON object: nothing to translate'


def read_json(line: str) -> tuple[dict[str, Any], str | None]:
    """The record of one line of input and what is wrong with it, NOT_JSON or NO_TEXT, if anything. A line
    that is no JSON object is the text itself.

    Half of a surrogate pair becomes U+FFFD; NaN and infinity, which JSON cannot write, become null.
    """
    if not line.lstrip().startswith("{"):
        return {"text": line}, NOT_JSON if line.strip() else None
    try:
        record = strict_json.parse(line, constants=True)
        try:
            _json(record)  # what is nested just not too deep to be read may be too deep to be written
        except ValueError:
            _drop_infinite(record)
            _json(record)
    except (ValueError, RecursionError):
        return {"text": line}, NOT_JSON
    if not isinstance(record.get("text"), str):
        return record, NO_TEXT
    return record, None


def _drop_infinite(tree: Any) -> None:
    """Put null in place of numbers that JSON cannot write. Without recursion: what can be read may be too
    deep for it.
    """
    waiting = [tree]
    while waiting:
        holder = waiting.pop()
        for place, value in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            if isinstance(value, float) and not math.isfinite(value):
                holder[place] = None
            elif isinstance(value, dict | list):
                waiting.append(value)


def _json(tree: dict[str, Any]) -> str:
    text = json.dumps(tree, ensure_ascii=False, allow_nan=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, which only an escape can write
        text = json.dumps(tree)
    return text


def _visible(text: str) -> str:
    """JSON with all that is not seen as escapes: names of files come from anybody, and lines go to terminals."""
    if text.isprintable():
        return text
    return "".join(json.dumps(c)[1:-1] if unicodedata.category(c) in _UNSEEN else c for c in text)


class AttentionFile:
    """Attention of every translation, written as it comes: to JSON lines, or to arrays in an npz, by the
    file's ending.

    An npz holds, for line i (from 0), `i/attention`, `i/source_words`, `i/target_words`, and the same of
    pieces, `i/piece_attention`,
    `i/source_pieces`, `i/target_pieces`; for the second best and on, i is `i.1`, `i.2`. In JSON lines those
    are keys beside `line`, `rank` and `text`.
    """

    ENDINGS = (".npz", ".jsonl")

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._archive = Archive(file) if path.suffix == ".npz" else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._archive is not None:
            self._archive.close()
            # failed before anything was kept: no file, rather than an archive of nothing
            if kind is not None and not self._archive.count:
                self._file.seek(0)
                self._file.truncate()

    def add(self, number: int, translations: Sequence["Translation"]) -> None:
        for rank, translation in enumerate(translations):
            if self._archive is None:
                self._file.write((_json(_lists(number, rank, translation)) + "\n").encode())
            else:
                self._add_arrays(f"{number}.{rank}" if rank else str(number), translation)
        if self._archive is None:
            self._file.flush()

    def _add_arrays(self, name: str, translation: "Translation") -> None:
        import numpy as np

        assert self._archive is not None
        for key, value in _attention(translation).items():
            array = value if isinstance(value, np.ndarray) else np.array(value, dtype=np.str_)
            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(array), allow_pickle=False)
            self._archive.add(f"{name}/{key}.npy", content.getvalue())


def _attention(translation: "Translation") -> dict[str, Any]:
    import numpy as np

    none = np.zeros((0, 0), np.float32)  # of an empty line
    return {
        "attention": none if translation.attention is None else translation.attention,
        "source_words": translation.source_words,
        "target_words": translation.target_words,
        "piece_attention": none if translation.piece_attention is None else translation.piece_attention,
        "source_pieces": translation.source_pieces,
        "target_pieces": translation.target_pieces,
    }


def _lists(number: int, rank: int, translation: "Translation") -> dict[str, Any]:
    tree: dict[str, Any] = {"line": number, "rank": rank, "text": translation.text}
    for key, value in _attention(translation).items():
        tree[key] = (
            value
            if isinstance(value, list)
            else [[round(float(weight), 6) for weight in row] for row in value]
        )
    return tree
