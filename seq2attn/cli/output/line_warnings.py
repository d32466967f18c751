"""Warnings of `translate` about lines of its input."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from seq2attn.cli import console
from seq2attn.cli.input import line_reader
from seq2attn.cli.output import formats
from seq2attn.cli.output.repeated_warning import RepeatedWarning
from seq2attn.data.text.sentences import FEW, count_sentences

if TYPE_CHECKING:
    from seq2attn.inference import Translation

LONGEST_JSON = 1 << 23  # bytes of one line of JSON, which may hold other things than text
FAR = 1.5  # a line with more tokens than this many times the longest source in training gets a warning


class LineWarnings:
    """Warnings about lines of input, each printed once or a few times.

    A model reads `most` tokens of a source. `training` has statistics of the sources in training.
    """

    def __init__(self, most: int, training: Mapping[str, float]) -> None:
        self._most = most
        self._longest, self._several = training.get("100%", math.inf), training.get("several sentences", 1.0)
        self.unlike = RepeatedWarning("several sentences, or far longer than any source in training", 1)
        self.not_json = RepeatedWarning(formats.NOT_JSON)
        self.no_text = RepeatedWarning(formats.NO_TEXT)
        self.cut = RepeatedWarning("too long, so their ends were dropped")
        self.unforced = RepeatedWarning("prefixes too long, so their ends were left out")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for repeated in (self.not_json, self.no_text, self.cut, self.unforced, self.unlike):
            repeated.close()

    def check(self, line: line_reader.Line, text: object, translation: "Translation") -> None:
        """Warn about one line. `text` is the source before it was cut."""
        if line.cut and text:
            self.cut.warn(
                f"{line.where}: more than {line_reader.LONGEST:,} bytes without a line break; the rest "
                "of the line was dropped"
            )
        if translation.truncated_tokens:
            least = "at least " if line.cut or text != translation.source else ""
            length = self._most + translation.truncated_tokens
            console.warn(
                f"{line.where}: {least}{length:,} tokens long; only the first {self._most:,} are read"
            )
        if translation.source_subwords and not console.quiet:
            self._compare(line, translation)
        if translation.unforced:
            self.unforced.warn(
                f"{line.where}: its prefix has {translation.unforced:,} tokens more than an output can "
                "hold; they were left out"
            )

    def _compare(self, line: line_reader.Line, translation: "Translation") -> None:
        sentences = translation.sentences or (translation,)
        length = max(len(one.source_subwords) + one.truncated_tokens for one in sentences)
        count = count_sentences(translation.source) if self._several < FEW and len(sentences) == 1 else 1
        if length > FAR * self._longest:
            of_line = " in one sentence" if len(sentences) > 1 else ""
            self.unlike.warn(
                f"{line.where}: {length:,} tokens{of_line}, where the longest source in training had "
                f"{self._longest:,.0f}: some of it is likely to be left out; split it into shorter ones"
            )
        elif count > 1:
            self.unlike.warn(
                f"{line.where}: {count:,} sentences, where nearly all sources in training were a single one: "
                "some are likely to be left out; let them be split, with --sentences auto"
            )

    def record(self, line: line_reader.Line) -> dict[str, Any]:
        """The record of a line of JSON, with a warning if it is none."""
        if line.cut:  # Its end is missing, so it is no longer JSON.
            problem = f"more than {LONGEST_JSON:,} bytes without a line break: nothing of it was read"
            self.cut.warn(f"{line.where}: {problem}")
            return {"text": "", "error": problem}
        record, fault = formats.read_json(line.text)
        if fault:
            warning = self.not_json if fault == formats.NOT_JSON else self.no_text
            warning.warn(f"{line.where}: {fault}")
        return record
