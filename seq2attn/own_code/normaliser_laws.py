"""The laws of a normaliser: what makes its numbers the weights of an attention.

A case has B sentences, T queries of each, S positions and H heads. This module knows no normaliser: it calls
one with scores and a mask.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2attn.own_code.laws import (
    Law,
    at_start,
    change_in_place,
    difference,
    draw,
    gradients,
    not_finite,
    not_registered,
    without_gradient,
)

B, T, S, H = 3, 4, 5, 2
LENGTHS = (5, 3, 1)
TOO_LARGE = 1e4  # scores whose exponential is infinite in float32


class NormaliserCase(NamedTuple):
    make: Callable[[float], Any]  # a normaliser for a temperature
    normaliser: Any
    scores: Tensor  # (B, H, T, S)
    mask: Tensor  # (B, 1, 1, S)

    def weights(self) -> Tensor:
        """Weights (B, H, T, S)."""
        return self.of(self.scores, self.mask)

    def of(self, scores: Tensor, mask: Tensor) -> Tensor:
        weights: Tensor = self.normaliser(scores, mask)[0]
        return weights


def normaliser_case(make: Callable[[float], Any]) -> NormaliserCase:
    """A random case of a normaliser."""
    mask = torch.arange(S) < torch.tensor(LENGTHS)[:, None]
    return NormaliserCase(make, make(1.0).eval(), 2 * torch.randn(B, H, T, S), mask[:, None, None])


def _registered(case: NormaliserCase) -> str:
    return not_registered(case.normaliser)


def _first_weights(case: NormaliserCase) -> str:
    return draw(case.normaliser)


def _start(case: NormaliserCase) -> str:
    return at_start(case.normaliser, case.weights)


@torch.no_grad()
def _draws(case: NormaliserCase) -> str:
    return "its class says draws = True" if case.normaliser.draws else ""


@torch.no_grad()
def _result(case: NormaliserCase) -> str:
    result: Any = case.normaliser(case.scores, case.mask)
    if not isinstance(result, tuple) or len(result) != 3 or not isinstance(result[0], Tensor):
        return f"it returns a {type(result).__name__}"
    return "" if result[1] is result[2] is None else "it returns log_prob or entropy"


@torch.no_grad()
def _shape(case: NormaliserCase) -> str:
    weights = case.weights()
    if weights.dtype != torch.float32:
        return f"the type {weights.dtype}"
    return "" if weights.shape == case.scores.shape else f"{tuple(weights.shape)}, not {(B, H, T, S)}"


@torch.no_grad()
def _padding(case: NormaliserCase) -> str:
    hidden = case.weights().masked_fill(case.mask, 0.0)
    return f"one has {hidden.abs().max().item():.2g}" if bool((hidden != 0).any()) else ""


@torch.no_grad()
def _range(case: NormaliserCase) -> str:
    low, high = (bound.item() for bound in case.weights().aminmax())
    inside = low > -1e-6 and high < 1 + 1e-4  # not so for NaN
    return "" if inside else f"they range from {low:.2g} to {high:.2g}"


@torch.no_grad()
def _sum(case: NormaliserCase) -> str:
    if not case.normaliser.sums_to_one:
        return ""
    low, high = (bound.item() for bound in case.weights().sum(-1).aminmax())
    return "" if 1 - low < 1e-3 and high - 1 < 1e-3 else f"rows add up to {low:.3g} to {high:.3g}"


@torch.no_grad()
def _behind(case: NormaliserCase) -> str:
    changed = torch.where(case.mask, case.scores, 7 - case.scores)
    return difference(case.of(changed, case.mask), case.weights())


@torch.no_grad()
def _one_step(case: NormaliserCase) -> str:
    steps = [case.of(case.scores[:, :, t : t + 1], case.mask) for t in range(T)]
    return difference(torch.cat(steps, 2), case.weights())


@torch.no_grad()
def _batch(case: NormaliserCase) -> str:
    for b, length in enumerate(LENGTHS):
        alone = case.of(case.scores[b : b + 1, ..., :length], case.mask[b : b + 1, ..., :length])
        if problem := difference(alone[0], case.weights()[b, ..., :length]):
            return problem
    return ""


def _empty_row(case: NormaliserCase) -> str:
    scores = case.scores.clone().requires_grad_()
    weights = case.of(scores, torch.zeros_like(case.mask))
    if bool((weights != 0).any()):  # also for NaN
        return "they are not"
    if not weights.requires_grad:
        return ""
    (gradient,) = torch.autograd.grad(weights.sum(), scores, allow_unused=True)
    return not_finite(the_gradient=gradient)


def _inputs(case: NormaliserCase) -> str:
    return change_in_place(case.of, scores=case.scores, mask=case.mask)


@torch.no_grad()
def _temperature(case: NormaliserCase) -> str:
    warm = case.make(2.0).eval()
    warm.load_state_dict(case.normaliser.state_dict())
    return difference(warm(case.scores, case.mask)[0], case.of(case.scores / 2, case.mask))


@torch.no_grad()
def _large(case: NormaliserCase) -> str:
    return not_finite(a_weight=case.of(TOO_LARGE * case.scores, case.mask))


def _gradient(case: NormaliserCase) -> str:
    scores = case.scores.clone().requires_grad_()
    results = gradients(case.normaliser, lambda: case.of(scores, case.mask), scores=scores)
    if problem := not_finite(**{f"that of {name}": gradient for name, gradient in results.items()}):
        return problem
    own = results.get("scores")
    return "it is zero" if own is None or not bool(own.any()) else ""


def _parameters(case: NormaliserCase) -> str:
    return without_gradient(case.normaliser, lambda: case.weights())


@torch.no_grad()
def _half(case: NormaliserCase) -> str:
    with torch.autocast("cpu", torch.bfloat16):
        weights = case.of(case.scores.bfloat16(), case.mask)
    if weights.dtype != torch.float32:
        return f"they have the type {weights.dtype}"
    return not_finite(a_weight=weights)


NORMALISER_LAWS = (
    Law(
        "registered",
        "torch trains and saves nn.Parameter, buffers and modules, and lists of them only as nn.ModuleList",
        _registered,
    ),
    Law("first weights", "draw_parameters draws finite parameters", _first_weights),
    Law(
        "no draws",
        "weights are a function of scores and mask: draws need the objective of hard-sample",
        _draws,
    ),
    Law("result", "forward returns AttentionWeights(weights)", _result),
    Law("shape", "weights have the shape of the scores, and float32", _shape),
    Law(
        "start",
        "weights are finite at the start of training, where single numbers and vectors may be 0, whatever "
        "__init__ puts into them: draw others in draw_parameters",
        _start,
    ),
    Law("inputs", "no call changes what it is given", _inputs),
    Law("padding", "masked positions have weight 0", _padding),
    Law("range", "weights are numbers from 0 to 1", _range),
    Law("sum", "the weights of a row add up to 1, if the class does not say sums_to_one = False", _sum),
    Law(
        "empty row", "in a row without real positions all weights are 0, and gradients are finite", _empty_row
    ),
    Law("masked scores", "the scores of masked positions do not change the weights", _behind),
    Law("one step", "a query alone has the weights that it has among others", _one_step),
    Law("batch", "a sentence alone has the weights that it has in a batch", _batch),
    Law("temperature", "scores are divided by the temperature first: call prepare_scores", _temperature),
    Law("large scores", "weights of large scores are finite", _large),
    Law("gradient", "the gradient of the scores is finite and not zero", _gradient),
    Law("parameters", "every parameter has a gradient", _parameters),
    Law("half precision", "scores in bfloat16 give finite weights in float32", _half),
)
