"""What may be asked of an explanation, and the bounds of each field. It imports little, so that a server or
the command line can check a request at once.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self

from seq2attn.errors import UsageError
from seq2attn.explaining.experiment import Experiment

PARTS = ("self_attention", "candidates", "beam", "attribution", "confidence", "picture")
NORMALISERS = ("softmax", "sparsemax", "entmax15", "sigmoid", "hard-topk")
MOST_BEAM = 8
MOST_SOURCE = 128  # subwords of a text, so that the weights of all heads are a few million numbers at most
MOST_OUTPUT = 2 * MOST_SOURCE + 10  # tokens of an output, and of a prefix
MOST_NUMBER = 2**31  # no token, word, layer or head has this number
MOST_CHANGES = 1024  # words, steps and heads that one request changes
LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.01, 100.0


@dataclass(frozen=True)
class ExplainRequest:
    """How an output is searched for, what is changed in the attention, and what the answer holds."""

    prefix: Sequence[int] = ()
    """The first target ids, forced. The search goes on freely after them."""
    beam: int | None = None
    """Beam size, from 1 to MOST_BEAM. None: that of the run, at most MOST_BEAM."""
    mask: Collection[int] = ()
    """`Experiment.mask`: source words that no attention of the decoder reads. Of an image, `mask` and
    `attend` name cells, row by row, or frames of a clip in place of words."""
    attend: Mapping[Any, float] = field(default_factory=dict)
    """`Experiment.attend`: (step, source word) -> weight. A key may be the text "STEP:WORD", as in JSON."""
    uniform: Collection[Sequence[int]] | Literal["all"] = ()
    """`Experiment.uniform`: (layer, head) of the heads that read all positions equally, or "all"."""
    temperature: float = 1.0
    """Divides the scores of the attention to the source, beside the temperature that the run has."""
    normaliser: str | None = None
    """One of NORMALISERS, in place of that of the run."""
    parts: Collection[str] = ()
    """Some of PARTS: what the answer holds beside the output and its attention."""

    @classmethod
    def of(cls, tree: Mapping[str, Any]) -> Self:
        """The request of a JSON object. Raises UsageError for a field that there is not, and as `check`."""
        names = [one.name for one in fields(cls)]
        for name in tree:
            if name not in names:
                raise UsageError(f"{str(name)[:40]}: there is no such field; choose {', '.join(names)}")
        request = cls(**tree)
        request.check()
        return request

    @property
    def experiment(self) -> Experiment:
        """What is changed in the attention, but for its normaliser. It raises what `check` does."""
        uniform: Any = self.uniform
        if not isinstance(uniform, str):
            uniform = [tuple(pair) for pair in uniform]
        return Experiment(
            mask=list(self.mask),
            attend={_place(key): weight for key, weight in self.attend.items()},
            uniform=uniform,
        )

    @property
    def changes_normaliser(self) -> bool:
        return self.temperature != 1 or self.normaliser is not None

    def changes(self) -> list[str]:
        """The fields that change the attention."""
        own = ExplainRequest()
        names = ("mask", "attend", "uniform", "temperature", "normaliser")
        return [name for name in names if getattr(self, name) and getattr(self, name) != getattr(own, name)]

    def check(self) -> None:
        """Raise UsageError, which names the field, for what makes no sense for any model and any source."""
        _check_list("prefix", self.prefix, MOST_OUTPUT)
        for number in self.prefix:
            _check_whole("prefix", number, 0)
        if self.beam is not None:
            _check_whole("beam", self.beam, 1)
            if self.beam > MOST_BEAM:
                raise UsageError(f"beam {_short(self.beam)}: at most {MOST_BEAM}", setting="beam")
        _check_list("mask", self.mask, MOST_CHANGES)
        for number in self.mask:
            _check_whole("mask", number, 1)
        self._check_attend()
        if self.uniform != "all":
            _check_list("uniform", self.uniform, MOST_CHANGES)
            for pair in self.uniform:
                if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != 2:
                    raise UsageError('uniform: give pairs [layer, head] or "all"', setting="uniform")
                for number in pair:
                    _check_whole("uniform", number, 1)
        if not _is_number(self.temperature) or not LEAST_TEMPERATURE <= self.temperature <= MOST_TEMPERATURE:
            most = f"a number from {LEAST_TEMPERATURE:g} to {MOST_TEMPERATURE:g} is needed"
            raise UsageError(f"temperature {_short(self.temperature)}: {most}", setting="temperature")
        if self.normaliser is not None and self.normaliser not in NORMALISERS:
            choose = f"choose {', '.join(NORMALISERS)}"
            raise UsageError(f"normaliser {_short(self.normaliser)}: {choose}", setting="normaliser")
        _check_list("parts", self.parts, len(PARTS))
        for part in self.parts:
            if part not in PARTS:
                raise UsageError(f"parts {_short(part)}: choose {', '.join(PARTS)}", setting="parts")
        self.experiment.check()

    def _check_attend(self) -> None:
        if not isinstance(self.attend, Mapping) or len(self.attend) > MOST_CHANGES:
            what = f'give at most {MOST_CHANGES} weights, by "STEP:WORD"'
            raise UsageError(f"attend: {what}", setting="attend")
        for key, weight in self.attend.items():
            _place(key)
            if not _is_number(weight):
                raise UsageError(f"attend {_short(key)}: its weight is no number", setting="attend")


def _place(key: Any) -> tuple[int, int]:
    """(step, word) of a key of `attend`. Raises UsageError."""
    parts: Any = key.split(":") if isinstance(key, str) else key
    if isinstance(key, str) and all(part.isascii() and part.isdigit() and len(part) < 8 for part in parts):
        parts = [int(part) for part in parts]
    whole = isinstance(parts, Sequence) and all(
        isinstance(part, int) and not isinstance(part, bool) for part in parts
    )
    if not whole or len(parts) != 2:
        raise UsageError(f'attend {_short(key)}: a key is "STEP:WORD", two numbers from 1', setting="attend")
    return parts[0], parts[1]


def _check_list(name: str, values: Any, most: int) -> None:
    if not isinstance(values, Collection) or isinstance(values, str | bytes | Mapping):
        raise UsageError(f"{name} {_short(values)}: a list is needed", setting=name)
    if len(values) > most:
        raise UsageError(f"{name}: {len(values):,} values, and at most {most:,} are taken", setting=name)


def _check_whole(name: str, number: Any, least: int) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number < MOST_NUMBER:
        needed = f"a whole number from {least} is needed"
        if isinstance(number, int) and number >= MOST_NUMBER:
            needed = "too large a number"
        raise UsageError(f"{name} {_short(number)}: {needed}", setting=name)


def _is_number(value: Any) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) < 2**63


def _short(value: Any) -> str:
    """The value for a message of one line."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return "10**30 or more"
    text = value if isinstance(value, str) else repr(value)
    line = " ".join(text[:40].split())
    return f"{line}..." if len(text) > 40 else line
