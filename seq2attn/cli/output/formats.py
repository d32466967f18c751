"""Formats of translations and captions: text, JSON lines, Moses n-best lists.

This module knows no models and no streams.
"""

import json
import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seq2attn import strict_json
from seq2attn.strict_json import rounded

if TYPE_CHECKING:
    from seq2attn.inference import Caption, Translation


ATTENTION_ENDINGS = (".npz", ".jsonl")
DOUBTFUL = ((0.5, "\x1b[31m"), (0.8, "\x1b[33m"))  # probabilities below which a word is red, and yellow
PLAIN = "\x1b[0m"
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, format (U+202E), surrogate, separators of lines


def one_line(text: str) -> str:
    r"""`text` with spaces in place of "\n" and "\r"."""
    return text.replace("\r", " ").replace("\n", " ")


def one_path(path: str) -> str:
    r"""`path` with escapes for control, invisible and undecodable characters: a newline becomes "\n"."""
    return "".join(
        c.encode("unicode_escape").decode("ascii") if unicodedata.category(c) in _UNSEEN else c for c in path
    )


def pharaoh(translation: "Translation") -> str:
    """Word alignments as links `i-j`: source word i, target word j, counted from 0."""
    return " ".join(f"{source}-{target}" for source, target in translation.alignment())


def unread(translation: "Translation") -> str:
    """The source words that were hardly read, as NUMBER:WORD, counted from 0."""
    words = translation.source_words
    return " ".join(f"{number}:{words[number]}" for number in translation.unread())


def confidence_column(output: "Translation | Caption") -> str:
    """The probability that each word is right, separated by spaces."""
    values = () if output.confidence is None else output.confidence
    return " ".join(f"{value:.4f}" for value in values)


def colour_words(text: str, confidence: Iterable[float]) -> str:
    """The text for a terminal, with doubtful words in colour. It has a word for each probability."""
    values = iter(confidence)
    return "".join(
        part if not part or part.isspace() else _colour_word(part, next(values))
        for part in re.split(r"(\s+)", text)
    )


def _colour_word(word: str, probability: float) -> str:
    colour = next((code for least, code in DOUBTFUL if probability < least), None)
    return word if colour is None else f"{colour}{word}{PLAIN}"


def as_text(
    translations: Sequence["Translation"],
    n_best: int,
    scores: bool,
    alignments: bool,
    coverage: bool = False,
    colour: bool = False,
) -> str:
    """`n_best` lines; missing translations are empty lines.

    Columns, separated by tabs: score, text, confidence where translations have it, alignment, and with
    `coverage` the source words that were not read. With `colour` doubtful words are in colour.
    """
    lines = []
    for translation in translations:
        columns = [f"{translation.score:.4f}"] if scores else []
        columns += _text_columns(translation, colour)
        columns += [pharaoh(translation)] if alignments else []
        columns += [one_line(unread(translation))] if coverage else []
        lines.append("\t".join(columns))
    return "".join(f"{line}\n" for line in lines + [""] * (n_best - len(lines)))


def _text_columns(output: "Translation | Caption", colour: bool) -> list[str]:
    """The text and, where it is known, the confidence."""
    text = one_line(output.text)
    if output.confidence is None:
        return [text]
    return [colour_words(text, output.confidence) if colour else text, confidence_column(output)]


def captions_as_text(
    path: str, captions: Sequence["Caption"], n_best: int, scores: bool, colour: bool = False
) -> str:
    """`n_best` lines; missing captions are empty.

    Columns, separated by tabs: path, score, caption, confidence where captions have it.
    """
    rows = [(f"{caption.score:.4f}", _text_columns(caption, colour)) for caption in captions]
    rows += [("", [""])] * (n_best - len(captions))
    return "".join(
        "\t".join([one_path(path), *([score] if scores else []), *columns]) + "\n" for score, columns in rows
    )


def as_moses(translations: Sequence["Translation"], number: int, alignments: bool) -> str:
    """Lines of `number ||| text ||| F0= log p ||| score`, then ` ||| alignment` with `alignments`."""
    lines = []
    for translation in translations:
        text = one_line(translation.text).replace("|||", "| | |")
        fields = [str(number), text, f"F0= {translation.log_probability:.4f}", f"{translation.score:.4f}"]
        lines.append(" ||| ".join([*fields, pharaoh(translation)] if alignments else fields))
    return "".join(f"{line}\n" for line in lines)


def as_json(
    record: dict[str, Any],
    translations: Sequence["Translation"],
    n_best: int,
    alignments: bool,
    coverage: bool = False,
) -> str:
    """The record with `translation`, `score` and `log_probability` of the best translation.

    If `n_best` > 1, the key `n_best` holds all of them.
    """

    def fields_of(translation: "Translation") -> dict[str, Any]:
        fields = {"translation": translation.text} | _numbers(translation)
        fields |= {"alignment": pharaoh(translation)} if alignments else {}
        return fields | {"unread": translation.unread()} if coverage else fields

    tree = record | fields_of(translations[0])
    if n_best > 1:
        tree["n_best"] = [fields_of(translation) for translation in translations]
    return strict_json.dump(tree) + "\n"


def captions_as_json(
    path: str, captions: Sequence["Caption"], n_best: int, overlays: Sequence[Path], problem: str | None
) -> str:
    """A line of JSON with `image`, `caption`, `score` and `log_probability`.

    `attention` is the file of the overlay, if there is one. If `n_best` > 1, the key `n_best` holds all
    captions. An image that cannot be read has an empty caption and the reason under `error`.
    """
    rows = [{"caption": caption.text} | _numbers(caption) for caption in captions]
    for row, overlay in zip(rows, overlays, strict=False):
        row["attention"] = str(overlay)
    tree = {"image": path} | (rows[0] if rows else {"caption": "", "score": None, "log_probability": None})
    if n_best > 1:
        tree["n_best"] = rows
    if problem is not None:
        tree["error"] = problem
    return _visible(strict_json.dump(tree)) + "\n"


def _numbers(output: "Translation | Caption") -> dict[str, Any]:
    numbers = {"score": rounded(output.score), "log_probability": rounded(output.log_probability)}
    if output.confidence is None:
        return numbers
    return numbers | {"confidence": [round(float(value), 4) for value in output.confidence]}


NOT_JSON = "not a JSON object: taken as plain text"
NO_TEXT = 'no "text" in the JSON object: nothing to translate'


def read_json(line: str) -> tuple[dict[str, Any], str | None]:
    """The record of one line of input, and NOT_JSON, NO_TEXT or None.

    A line that is not a JSON object is plain text. A lone surrogate becomes U+FFFD; NaN and infinity become
    null.
    """
    if not line.lstrip().startswith("{"):
        return {"text": line}, NOT_JSON if line.strip() else None
    try:
        record = strict_json.parse(line, constants=True)
        try:
            strict_json.dump(record)  # Nesting that can just be read may be too deep to be written.
        except ValueError:
            _drop_infinite(record)
            strict_json.dump(record)
    except (ValueError, RecursionError):
        return {"text": line}, NOT_JSON
    if not isinstance(record.get("text"), str):
        return record, NO_TEXT
    return record, None


def _drop_infinite(tree: Any) -> None:
    """Replace NaN and infinity by None. Not recursive, because the record may be nested too deeply."""
    stack = [tree]
    while stack:
        holder = stack.pop()
        for place, value in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            if isinstance(value, float) and not math.isfinite(value):
                holder[place] = None
            elif isinstance(value, dict | list):
                stack.append(value)


def _visible(text: str) -> str:
    """JSON with escapes for invisible characters: file names may be hostile, and lines go to terminals."""
    if text.isprintable():
        return text
    return "".join(json.dumps(c)[1:-1] if unicodedata.category(c) in _UNSEEN else c for c in text)
