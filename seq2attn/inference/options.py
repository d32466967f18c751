"""The options of a search as one value: what a caller sets, what the run sets, and what makes no sense.

This module imports neither a model nor torch. The options are sent between processes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any, Literal, NamedTuple, TypedDict

from seq2attn.config import (
    MOST_BATCH_TOKENS,
    MOST_BEAM,
    MOST_PENALTY,
    MOST_SAMPLES,
    MOST_TOKENS,
    SearchConfig,
)
from seq2attn.errors import UsageError
from seq2attn.near import nearest
from seq2attn.search.mbr import Utility

AttentionOption = bool | Literal["all"]
"""False: none; True: the mean over layers and heads; "all": the mean, and every head of every layer."""

ConfidenceOption = bool | Literal["features"]
"""False: none; True: the probability that each word is right; "features": what it is computed from alone."""

Sentences = Literal["auto", "split", "whole"]
"""Whether a line is translated sentence by sentence: auto: if the training had single sentences."""

UTILITIES = ("chrf", "bleu")  # names of utility functions: see `evaluation.text.utility`
SAMPLES = 32  # default number of samples of a source for a utility
BATCH_TOKENS = 3072  # default of `batch_tokens` on a CPU; on CUDA it depends on the free memory

NO_OPTIONS = {"cuda_graphs"}  # settings of the search that are of the model, not of a call

# The least and the most that a whole number may be. Settings of a run have the same bounds.
BOUNDS: dict[str, tuple[int | None, int | None]] = {
    "beam": (1, MOST_BEAM),
    "n_best": (1, MOST_SAMPLES),
    "max_length": (1, MOST_TOKENS),
    "min_length": (0, MOST_TOKENS),
    "no_repeat_ngram": (0, MOST_TOKENS),
    "top_k": (0, 1_000_000),
    "samples": (2, MOST_SAMPLES),
    "seed": (None, None),
    "batch_tokens": (1, MOST_BATCH_TOKENS),
}


class Excludes(NamedTuple):
    """`option` must not be set together with `other`."""

    option: str
    other: str
    why: str


class Needs(NamedTuple):
    """If `option` is set, one of `needed` must be set, too."""

    option: str
    needed: tuple[str, ...]
    why: str


_OF_SAMPLES = "it changes how samples are drawn"
RULES: tuple[Excludes | Needs, ...] = (
    Needs(
        "samples",
        ("utility",),
        "it is the number of samples that `utility` chooses from; `sample` draws `n_best` N",
    ),
    Excludes(
        "utility", "sample", "`sample` gives the samples themselves, `utility` the best of its own samples"
    ),
    Excludes("utility", "beam", "it draws samples and does not search"),
    Excludes("utility", "length_penalty", "it chooses by utility alone"),
    Excludes("sample", "beam", "samples are drawn, not searched for"),
    *(Needs(name, ("sample", "utility"), _OF_SAMPLES) for name in ("temperature", "top_k", "top_p")),
)


@dataclass(frozen=True)
class SearchOptions:
    """The options of `Translator.translate`, `Captioner.caption` and `evaluate`.

    None stands for the run's own setting, or for the default. `dataclasses.replace` changes an option.
    """

    beam: int | None = None
    """Beam size: number of hypotheses that the search keeps; 1 is greedy search."""
    n_best: int = 1
    """Number of outputs of each source, best first."""
    length_penalty: float | None = None
    """Exponent of the length in the score log p / length ** length_penalty."""
    max_length: int | None = None
    """Maximum length of an output, in tokens."""
    min_length: int | None = None
    """Minimum length of an output, in tokens."""
    no_repeat_ngram: int | None = None
    """n above 0: no output holds an n-gram of tokens twice."""
    sample: bool = False
    """Draw the `n_best` outputs at random instead of searching."""
    temperature: float | None = None
    """The logits are divided by it before sampling. Default: 1."""
    top_k: int | None = None
    """Sample from that many most probable tokens only. Default: 0, which stands for all."""
    top_p: float | None = None
    """Sample from the fewest tokens whose probabilities sum to it (Holtzman 2020). Default: 1."""
    utility: Utility | str | None = None
    """Minimum-Bayes-risk decoding (Eikema & Aziz 2022): draw `samples` and return the `n_best` distinct
    outputs of highest mean utility against all samples. That mean is their score. Fewer are returned if fewer
    distinct outputs were drawn. A function, as `evaluation.text.utility` makes them, or for `evaluate` one of
    the names UTILITIES."""
    samples: int | None = None
    """Number of samples of each source for `utility`. Default: 32."""
    replace_unknown: bool = False
    """Allow unknown tokens in outputs, and write the source word with the largest attention weight in place
    of each (Jean 2015; Luong 2015). For texts alone, and for models with attention."""
    seed: int = 1
    """Seed of samples, and of attention that samples."""
    batch_tokens: int | None = None
    """Padded source positions of one batch. It changes speed and memory, not the result. Default: by the
    device."""
    attention: AttentionOption = True
    """True: the mean over layers and heads; "all": every head too; False: none."""
    confidence: ConfidenceOption = False
    """True: the probability that each word is right, by a run that `seq2attn calibrate` has calibrated;
    "features": the numbers that it is computed from alone, which every run has."""

    def given(self) -> dict[str, Any]:
        """The options that are not None, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def excluded(self) -> set[str]:
        """The options that must not be set together with these: they have no effect."""
        return {rule.other for rule in RULES if isinstance(rule, Excludes) and self._has(rule.option)}

    def _has(self, name: str) -> bool:
        value = getattr(self, name)
        return value is not None and value is not False

    def check(self) -> None:
        """Raise UsageError, which names the option, for a value or a combination that makes no sense.

        What depends on the run's own settings is checked by `resolved`.
        """
        given = self.given()
        for rule in RULES:
            if not self._has(rule.option):
                continue
            if isinstance(rule, Excludes):
                if self._has(rule.other):
                    message = f"{rule.option} and `{rule.other}`: {rule.why}; leave one out"
                    raise UsageError(message, setting=rule.option)
            elif not any(map(self._has, rule.needed)):
                needed = " or ".join(f"`{name}`" for name in rule.needed)
                raise UsageError(f"{rule.option} needs {needed}: {rule.why}", setting=rule.option)
        for name, (least, most) in BOUNDS.items():
            if name in given:
                _check_whole(name, given[name], least, most)
        for name in ("length_penalty", "temperature", "top_p"):
            if not isinstance(given.get(name, 1.0), Real):
                raise UsageError(f"{name} {given[name]!r}: it must be a number", setting=name)
        if self.length_penalty is not None and not 0 <= self.length_penalty <= MOST_PENALTY:
            raise UsageError(
                f"length_penalty {self.length_penalty}: it must be a number from 0 to {MOST_PENALTY}",
                setting="length_penalty",
            )
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise UsageError(f"temperature {self.temperature}: it must be above 0", setting="temperature")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise UsageError(f"top_p {self.top_p}: it must be above 0 and at most 1", setting="top_p")
        if isinstance(self.utility, str) and self.utility not in UTILITIES:
            raise UsageError(f"utility {self.utility}: choose {' or '.join(UTILITIES)}", setting="utility")
        if self.utility is not None and not isinstance(self.utility, str) and not callable(self.utility):
            kind = type(self.utility).__name__
            raise UsageError(f"utility is of type {kind}: give a function of texts", setting="utility")
        check_attention(self.attention)
        if not isinstance(self.confidence, bool) and self.confidence != "features":
            problem = f'confidence is {self.confidence!r}: choose True, False or "features"'
            raise UsageError(problem, setting="confidence")

    def resolved(self, settings: SearchConfig) -> "ResolvedOptions":
        """The options with the run's own settings and the defaults in place of None.

        Raises UsageError as `check` does, and for options that contradict the run's settings.
        """
        self.check()
        own = settings.model_dump(exclude=NO_OPTIONS)
        resolved = ResolvedOptions(**(own | self.given()))
        if resolved.max_length is not None and resolved.min_length > resolved.max_length:
            raise UsageError(
                f"min_length {resolved.min_length} and `max_length` {resolved.max_length}: "
                "no length is between them",
                setting="min_length",
            )
        most = resolved.n_best if self.sample else resolved.width
        if resolved.n_best > most:
            why, name = (
                (f"a beam of {most} gives at most {most} outputs", "beam")
                if self.utility is None
                else (f"`utility` draws only {most} samples", "samples")
            )
            raise UsageError(
                f"n_best {resolved.n_best}: {why}; set `{name}` {resolved.n_best} or more", setting="n_best"
            )
        return resolved


DEFAULTS = SearchOptions()


@dataclass(frozen=True)
class ResolvedOptions(SearchOptions):
    """The options of a search that runs: without None, except where None is a value of its own.

    `max_length` None depends on the source, and `batch_tokens` None on the device. The run has defaults for
    its own settings; those of the others are here.
    """

    beam: int = 1
    length_penalty: float = 1.0
    min_length: int = 0
    no_repeat_ngram: int = 0
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    samples: int = SAMPLES

    @property
    def sample_count(self) -> int:
        """Samples of each source; 0 means beam search."""
        return self.n_best if self.sample else 0 if self.utility is None else self.samples

    @property
    def width(self) -> int:
        """Rows of each source."""
        return self.sample_count or self.beam

    def limits(self) -> dict[str, Any]:
        """What `search.constraints.Limits` takes of the options."""
        return {"min_length": self.min_length, "no_repeat_ngram": self.no_repeat_ngram}

    def keywords(self) -> dict[str, Any]:
        """What `search.sampling.sample` takes of the options or, if nothing is drawn, `beam_search`."""
        if not self.sample_count:
            return {"length_penalty": self.length_penalty, "beam": self.beam, "n_best": self.n_best}
        return {
            "length_penalty": self.length_penalty,
            "samples": self.sample_count,
            "temperature": self.temperature,
            "top_k": self.top_k,
            "top_p": self.top_p,
        }


class Shortcuts(TypedDict, total=False):
    """The fields of `SearchOptions` as keywords of a call, for type checkers."""

    beam: int | None
    n_best: int
    length_penalty: float | None
    max_length: int | None
    min_length: int | None
    no_repeat_ngram: int | None
    sample: bool
    temperature: float | None
    top_k: int | None
    top_p: float | None
    utility: Utility | str | None
    samples: int | None
    replace_unknown: bool
    seed: int
    batch_tokens: int | None
    attention: AttentionOption
    confidence: ConfidenceOption


def with_shortcuts(options: SearchOptions | None, shortcuts: Mapping[str, Any]) -> SearchOptions:
    """The options (the defaults for None) with the shortcuts in place of their fields.

    Raises TypeError for a shortcut that is no field, and for options of another type.
    """
    options = SearchOptions() if options is None else options
    if not isinstance(options, SearchOptions):
        raise TypeError(
            f"options is {options!r}: it must be a SearchOptions; a single option is a keyword, as in beam=5"
        )
    names = [field.name for field in fields(SearchOptions)]
    for name in shortcuts:
        if name not in names:
            near = nearest(name, names)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"
            raise TypeError(f"{name} is no option of a search; {hint}")
    return replace(options, **shortcuts)


def check_attention(attention: object) -> None:
    """Raise UsageError unless it is an AttentionOption."""
    if not isinstance(attention, bool) and attention != "all":
        raise UsageError(f'attention is {attention!r}: choose True, False or "all"', setting="attention")


def _check_whole(name: str, number: object, least: int | None, most: int | None) -> None:
    if not isinstance(number, int) or isinstance(number, bool):
        raise UsageError(f"{name} {number!r}: it must be a whole number", setting=name)
    if least is not None and number < least:
        raise UsageError(f"{name} {_short(number)}: it must be at least {least}", setting=name)
    if most is not None and number > most:
        raise UsageError(f"{name} {_short(number)}: it must be at most {most:,}", setting=name)


def _short(number: int) -> str:
    return str(number) if abs(number) < 10**30 else f"{'-' if number < 0 else ''}10**30 or more"
