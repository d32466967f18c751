"""Attention that does not work: dead, uniform, stuck, or not where it should be.

Statistics of the weights of forced pairs show it. A fault is named where every head of a layer has it: single
heads that rest on the end token, or that nothing needs, are normal in a model with many (Voita 2019; Clark
2019), and a table shows them. Weights on padding are named for any head, and so are two heads of a layer that
repeat one another.

Shapes: L layers, H heads, T steps with that of the end token, S source positions with the end token.
"""

from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Steps = Sequence[NDArray[Any]]  # of each pair the weights (L, H, T, S)

# Limits. Attention that works is far from them: the module's tests hold figures of trained presets against
# them, and each planted fault lies beyond its limit.
NEARLY_ALL = 0.95  # share of the weight on one place
NEARLY_UNIFORM = 0.97  # entropy, as a share of that of equal weights
HARDLY_DIFFERENT = 0.03  # total variation between two rows of weights
LEAK = 1e-3  # weight on padding
HARD = 1e-5  # 1 - the largest weight of a row: the gradient of a softmax is about as small
NO_EFFECT = 1e-4  # total variation of the output when the weights are permuted
LEAST_PAIRS = 4  # pairs that must be there before anything is said


class Finding(NamedTuple):
    """A fault of the attention."""

    kind: str
    layer: int  # from 1
    head: int | None  # from 1; None: all heads of the layer
    text: str  # what is wrong, with its number
    advice: str  # the setting to try

    def __str__(self) -> str:
        heads = "" if self.head is None else f", head {self.head}"
        return f"attention of layer {self.layer}{heads}: {self.text}; try {self.advice}"


class Statistics(NamedTuple):
    """Means over steps and pairs, (L, H) each but the last two."""

    entropy: NDArray[Any]  # as a share of that of equal weights
    change: NDArray[Any]  # total variation from one step to the next
    end: NDArray[Any]  # weight on the end token; NaN without one
    place: NDArray[Any]  # weight on the position that has most of it, the same in all pairs
    diagonal: NDArray[Any]  # weight on the position with the number of the step
    source: NDArray[Any]  # total variation between pairs whose sources are as long; NaN without such pairs
    hard: NDArray[Any]  # 1 - the largest weight
    between: NDArray[Any]  # (L, H, H): total variation between two heads
    outside: float  # the largest weight of a step on padding


def statistics(steps: Steps, has_end: bool, outside: float = 0.0) -> Statistics:
    """The statistics of some pairs; `outside` is their largest weight on padding."""
    long = [one for one in steps if one.shape[-1] > 1 and one.shape[-2] > 2]
    layers, heads = steps[0].shape[:2]
    nothing = np.full((layers, heads), np.nan)
    if not long:
        between = np.full((layers, heads, heads), np.nan)
        return Statistics(nothing, nothing, nothing, nothing, nothing, nothing, nothing, between, outside)
    words = [one[..., :-1, :] for one in long]  # the step that writes the end token rightly reads it
    normal = [one / np.maximum(one.sum(-1, keepdims=True), 1e-9) for one in words]
    entropy = [-(p * np.log(np.maximum(p, 1e-12))).sum(-1).mean(-1) / np.log(p.shape[-1]) for p in normal]
    longest = max(one.shape[-1] for one in words)
    by_place = np.mean([np.pad(p.mean(-2), [(0, 0)] * 2 + [(0, longest - p.shape[-1])]) for p in normal], 0)
    apart = [np.abs(p[:, :, None] - p[:, None]).sum(-1).mean(-1) / 2 for p in normal]
    return Statistics(
        np.mean(entropy, 0),
        np.mean([_variation(p[..., 1:, :], p[..., :-1, :]) for p in normal], 0),
        np.mean([p[..., -1].mean(-1) for p in normal], 0) if has_end else nothing,
        by_place.max(-1),
        np.mean([_diagonal(p) for p in normal], 0),
        _between_sources(normal, nothing),
        np.mean([1 - p.max(-1).mean(-1) for p in normal], 0),
        np.mean(apart, 0),
        outside,
    )


def findings(
    of: Statistics, pairs: int, *, soft: bool = True, local: bool = False, effects: NDArray[Any] | None = None
) -> list[Finding]:
    """The faults that the statistics of that many pairs show, at most one of each layer but padding and
    repetition.

    `soft`: whether the weights are those of a softmax or the like, which may not be hard. `local`: whether a
    window restricts them, which may be the diagonal. `effects` (L,) is the total variation of the output when
    all weights of a layer are permuted.
    """
    if pairs < LEAST_PAIRS:
        return []
    results = []
    layers, heads = of.entropy.shape
    if of.outside > LEAK:
        results.append(
            Finding(
                "padding",
                1,
                None,
                f"up to {of.outside:.0%} of the weight of a step is on padding",
                "a score or normaliser that keeps to the mask (`model.attention.score`, `normaliser`)",
            )
        )
    for layer in range(layers):
        fault = _fault(of, layer, soft, local, None if effects is None else float(effects[layer]))
        if fault is not None:
            results.append(Finding(fault[0], layer + 1, None, *fault[1:]))
            continue
        for one, other in combinations(range(heads), 2):
            if of.between[layer, one, other] <= HARDLY_DIFFERENT:
                text = f"repeats head {one + 1}: their weights differ by {of.between[layer, one, other]:.1%}"
                results.append(
                    Finding("repetition", layer + 1, other + 1, text, "fewer heads (model.attention.heads)")
                )
                break
    return results


def _fault(
    of: Statistics, layer: int, soft: bool, local: bool, effect: float | None
) -> tuple[str, str, str] | None:
    """Kind, text and advice of the fault of a layer, the most telling one; None without."""
    entropy, change, end, place, diagonal, source, hard = (
        (part[layer].min(), part[layer].max()) for part in of[:7]
    )
    if entropy[0] >= NEARLY_UNIFORM:
        return (
            "uniform",
            f"uniform at every step: {entropy[0]:.0%} of the entropy of equal weights",
            "a lower model.attention.temperature, another model.attention.score, or a higher train.lr",
        )
    if end[0] >= NEARLY_ALL:
        return (
            "end mark",
            f"{end[0]:.0%} of its weight is on the end token",
            "another model.attention.score, or more training (train.max_steps)",
        )
    if place[0] >= NEARLY_ALL:
        return (
            "one place",
            f"{place[0]:.0%} of its weight is on one position, whatever the sentence",
            "another model.attention.score, or a lower train.lr",
        )
    if change[1] <= HARDLY_DIFFERENT:
        return (
            "same steps",
            f"the same at every step: its weights change by {change[1]:.1%} from one to the next",
            "another model.attention.score, or model.decoder.query_state=current",
        )
    if diagonal[0] >= NEARLY_ALL and not local:
        return (
            "diagonal",
            f"diagonal only: step n reads position n with {diagonal[0]:.0%} of its weight",
            "encoder states in the keys (model.attention.keys), or no position in the query",
        )
    if source[1] <= HARDLY_DIFFERENT and not local:
        return (
            "constant",
            f"constant whatever the source: sentences of one length differ by {source[1]:.1%}",
            "another model.attention.score: the present one does not see the keys",
        )
    if soft and hard[1] <= HARD:
        return (
            "saturated",
            "every weight is 0 or 1, so that hardly any gradient reaches the score",
            "a higher model.attention.temperature, or a lower train.lr",
        )
    if effect is not None and effect <= NO_EFFECT:
        return (
            "dead",
            "dead: the output stays the same when its weights are permuted",
            "a smaller decoder (model.decoder.size), or more dropout (model.dropout)",
        )
    return None


def _variation(one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
    """The mean total variation (L, H) of rows (L, H, T, S)."""
    result: NDArray[Any] = np.abs(one - other).sum(-1).mean(-1) / 2
    return result


def _diagonal(weights: NDArray[Any]) -> NDArray[Any]:
    steps = np.arange(weights.shape[-2])
    # after the last position the diagonal stays on it
    result: NDArray[Any] = weights[..., steps, np.minimum(steps, weights.shape[-1] - 1)].mean(-1)
    return result


def _between_sources(normal: Steps, nothing: NDArray[Any]) -> NDArray[Any]:
    ordered = sorted(normal, key=lambda one: one.shape[-1])
    differences = []
    for one, other in pairwise(ordered):
        if one.shape[-1] == other.shape[-1]:
            steps = min(one.shape[-2], other.shape[-2])
            differences.append(_variation(one[..., :steps, :], other[..., :steps, :]))
    return np.mean(differences, 0) if differences else nothing
