"""What an experiment changes in the attention of a model. It imports little, so that the command line can
check it at once.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from seq2attn.errors import UsageError

ALL: Literal["all"] = "all"
_SLACK = 1e-4  # weights of a model add up to 1 but for rounding


@dataclass(frozen=True)
class Experiment:
    """A change of what the decoder reads of a source text.

    Words of the source are separated by white space. Words, steps, layers and heads count from 1. A step
    writes one subword; the last one writes the end token. All layers and heads change, except with `uniform`.

    First, `mask` hides positions from the normaliser. Then `uniform`, `weights` and `attend` change the
    weights, in this order. An attention that reads the weights of earlier steps reads the changed ones.
    """

    mask: Collection[int] = ()
    """Source words that no attention of the decoder reads. The encoder reads them."""
    attend: Mapping[tuple[int, int], float] = field(default_factory=dict)
    """(step, source word) -> weight, from 0 to 1. The subwords of the word share it in proportion to their
    own weights. All other positions share what remains of the total of the step, which is 1 for most models,
    in proportion, too. Parts of weights that are all 0 are equal. Hard attention takes 0 and 1 alone."""
    weights: Mapping[int, Any] = field(default_factory=dict)
    """step -> the weights of that step, as `Translation` has them: of each source subword and the end token
    (R+1), or by layer and head (L, H, R+1)."""
    uniform: Collection[tuple[int, int]] | Literal["all"] = ()
    """(layer, head) of each head that reads all positions with equal weights; or "all" heads. A window keeps
    its width."""

    def __bool__(self) -> bool:
        """Whether it changes anything."""
        return any((self.mask, self.attend, self.weights, self.uniform))

    @property
    def steps(self) -> list[int]:
        """The steps that `attend` and `weights` name, in order."""
        return sorted({step for step, _ in self.attend} | set(self.weights))

    def check(self) -> None:
        """Raise UsageError, which names the field, for what makes no sense for any text and any model."""
        for name, what, numbers in self._numbers():
            for number in numbers:
                if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                    value = what or repr(number)
                    raise UsageError(f"{name} {value}: a whole number from 1 is needed", setting=name)
        if isinstance(self.uniform, str) and self.uniform != ALL:
            raise UsageError(
                f'uniform {self.uniform!r}: give pairs (layer, head) or "all"', setting="uniform"
            )
        totals: dict[int, float] = {}
        for (step, word), weight in self.attend.items():
            what = f"attend {step}:{word}={weight:g}"
            if not 0 <= weight <= 1:
                raise UsageError(f"{what}: a weight is from 0 to 1", setting="attend")
            if word in self.mask:
                raise UsageError(
                    f"{what}: `mask` hides word {word}, so that it has no weight; leave one out", "attend"
                )
            totals[step] = totals.get(step, 0.0) + weight
            if totals[step] > 1 + _SLACK:
                raise UsageError(
                    f"{what}: the weights of step {step} add up to {totals[step]:g}, more than 1",
                    setting="attend",
                )
            if step in self.weights:
                raise UsageError(
                    f"{what}: `weights` has all weights of step {step}; leave one out", setting="attend"
                )

    def _numbers(self) -> Iterator[tuple[str, str, list[Any]]]:
        """Each field with numbers that count from 1, and how a caller writes several of them as one value."""
        yield "mask", "", list(self.mask)
        for (step, word), weight in self.attend.items():
            yield "attend", f"{step}:{word}={weight:g}", [step, word]
        yield "weights", "", list(self.weights)
        for layer, head in () if isinstance(self.uniform, str) else self.uniform:
            yield "uniform", f"{layer}.{head}", [layer, head]

    def check_words(self, words: int, readable: Collection[int], where: str = "", unit: str = "word") -> None:
        """Raise UsageError for a source word that the text lacks, or of which the model reads no subword.

        The text has so many `words`. `readable` are the numbers of those that have a subword. `where` names
        the text. Of an image, `unit` is what stands for a word.
        """
        named = [("mask", str(word), word) for word in self.mask]
        named += [
            ("attend", f"{step}:{word}={weight:g}", word) for (step, word), weight in self.attend.items()
        ]
        of_text = f" ({where})" if where else ""
        for name, value, word in named:
            if word > words:
                has = f"{words} {unit}s" if words > 1 else f"one {unit}"
                raise UsageError(f"{name} {value}: the source has {has}{of_text}", setting=name)
            if word not in readable:
                problem = f"the model reads no subword of source word {word}{of_text}"
                raise UsageError(f"{name} {value}: {problem}", setting=name)
        if self.mask and set(readable) <= set(self.mask):
            numbers = ",".join(map(str, sorted(self.mask)))
            problem = f"no {unit} of the source would be left to read{of_text}"
            raise UsageError(f"mask {numbers}: {problem}", setting="mask")

    def check_model(self, layers: int, heads: int, hard: bool) -> None:
        """Raise UsageError for a head that the model lacks, or a weight that hard attention cannot have."""
        for layer, head in () if isinstance(self.uniform, str) else self.uniform:
            for name, number, count in (("layer", layer, layers), ("head", head, heads)):
                if number > count:
                    has = f"{count} {name}s" if count > 1 else f"one {name}"
                    raise UsageError(f"uniform {layer}.{head}: the attention has {has}", setting="uniform")
        for (step, word), weight in self.attend.items():
            if hard and weight not in (0, 1):
                raise UsageError(
                    f"attend {step}:{word}={weight:g}: the attention is hard, so that a weight is 0 or 1",
                    setting="attend",
                )


def check_given(step: int, weights: Any, positions: int, layers: int, heads: int, sums_to_one: bool) -> None:
    """Raise UsageError if an array cannot be `Experiment.weights` of a source with so many positions."""
    what = f"weights of step {step}"
    if weights.shape not in ((positions,), (layers, heads, positions)):
        raise UsageError(
            f"{what}: an array {weights.shape}, where ({positions},) or ({layers}, {heads}, {positions}) is "
            "needed: the subwords of the source and the end token",
            setting="weights",
        )
    least, most = float(weights.min()), float(weights.max())
    if not (math.isfinite(most) and least >= -_SLACK and most <= 1 + _SLACK):
        raise UsageError(f"{what}: a weight is from 0 to 1", setting="weights")
    total = float(weights.sum(-1).max())
    if sums_to_one and total > 1 + _SLACK:
        raise UsageError(f"{what}: they add up to {total:g}, more than 1", setting="weights")
