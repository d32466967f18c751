"""The options of a search as one value, and the refusal of options that make no sense.

This module knows no model. The options are sent between processes.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from seq2attn.config import MOST_BEAM, MOST_PENALTY, MOST_SAMPLES, MOST_TOKENS
from seq2attn.errors import UsageError
from seq2attn.inference.attention_weights import AttentionOption, check_option
from seq2attn.search.mbr import Utility


def refuse_number(name: str, number: object, least: int, most: int | None) -> None:
    """Raise UsageError unless it is a whole number from `least` to `most`."""
    if not isinstance(number, int) or isinstance(number, bool):
        raise UsageError(f"{name} is {number!r}: it must be a whole number", setting=name)
    if number < least:
        raise UsageError(f"{name} is {_short(number)}: it must be at least {least}", setting=name)
    if most is not None and number > most:
        raise UsageError(f"{name} is {_short(number)}: it must be at most {most:,}", setting=name)


def _short(number: int) -> str:
    return str(number) if abs(number) < 10**30 else f"{'-' if number < 0 else ''}10**30 or more"


class Options(NamedTuple):
    """The options of `Translator.translate`, with the run's own settings in place of None."""

    beam: int
    n_best: int
    length_penalty: float
    max_length: int | None  # tokens; None: it depends on the source
    min_length: int
    sample: bool
    temperature: float
    top_k: int
    top_p: float
    no_repeat_ngram: int
    utility: Utility | None
    sample_count: int  # samples of each source; 0 means beam search
    attention: AttentionOption

    @property
    def width(self) -> int:
        """Rows of each source."""
        return self.sample_count or self.beam

    def check(self, texts: Sequence[str], prefixes: Sequence[str] | None) -> None:
        """Raise UsageError, which names the option, for options that make no sense."""
        if isinstance(texts, str):
            raise UsageError("translate takes a list of texts: put a single one in brackets")
        for kind, strings in (("a text", texts), ("a prefix", prefixes or ())):
            for number, string in enumerate(strings):
                if not isinstance(string, str):
                    raise UsageError(
                        f"{kind} is a string, and number {number} is of type {type(string).__name__}"
                    )
        check_option(self.attention)
        if self.utility is not None and self.sample:
            raise UsageError(
                "sample returns the samples themselves, and `utility` chooses from samples of its own: "
                "leave one out",
                setting="sample",
            )
        for name, number, least, most in (
            ("beam", self.beam, 1, MOST_BEAM),
            ("n_best", self.n_best, 1, MOST_SAMPLES),
            ("max_length", 1 if self.max_length is None else self.max_length, 1, MOST_TOKENS),
            ("min_length", self.min_length, 0, MOST_TOKENS),
            ("top_k", self.top_k, 0, None),
            ("no_repeat_ngram", self.no_repeat_ngram, 0, MOST_TOKENS),
            ("samples", self.sample_count, 0 if self.utility is None else 2, None),
        ):
            refuse_number(name, number, least, most)
        if self.max_length is not None and self.max_length < self.min_length:
            raise UsageError(
                f"min_length is {self.min_length} and max_length {self.max_length}: no length fits",
                setting="min_length",
            )
        if not self.sample_count and self.n_best > self.beam:
            raise UsageError(
                f"n_best is {self.n_best} and beam {self.beam}: a beam search returns at most that many",
                setting="n_best",
            )
        if self.utility is not None and self.n_best > self.sample_count:
            raise UsageError(
                f"n_best is {self.n_best} and samples {self.sample_count}: "
                "no more are returned than are drawn",
                setting="n_best",
            )
        if self.utility is not None and self.sample_count > MOST_SAMPLES:
            raise UsageError(
                f"samples is {self.sample_count}: each is compared with every other, "
                f"so at most {MOST_SAMPLES:,}",
                setting="samples",
            )
        if not (0 <= self.length_penalty <= MOST_PENALTY):
            raise UsageError(
                f"length_penalty is {self.length_penalty}: it must be from 0 to {MOST_PENALTY}",
                setting="length_penalty",
            )
        if not (0 < self.temperature < math.inf):
            raise UsageError(f"temperature is {self.temperature}: it must be above 0", setting="temperature")
        if not (0 < self.top_p <= 1):
            raise UsageError(f"top_p is {self.top_p}: it must be above 0 and at most 1", setting="top_p")
        if prefixes is not None and len(prefixes) != len(texts):
            raise UsageError(
                f"there are {len(prefixes)} prefixes and {len(texts)} texts: each text needs its own, "
                "which may be empty"
            )
