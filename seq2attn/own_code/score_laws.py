"""The laws of a score: what an attention, a search and a batch need of it.

A case has B sentences, T queries of each, S keys and H heads. This module knows no score: it calls the three
methods `project_query`, `project_keys` and `forward` of one.
"""

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
BEHIND = 2  # positions of padding
HALF_ERROR = 0.25  # share of the largest score by which bfloat16, of 8 bits, may differ


class ScoreCase(NamedTuple):
    score: Any
    query: Tensor  # (B, H, T, Q)
    keys: Tensor  # (B, S, K), which the heads share
    features: Tensor | None  # (B, H, T, S, P) of earlier weights

    def scores(self) -> Tensor:
        """Scores (B, H, T, S)."""
        return self.of(self.query, self.keys, self.features)

    def of(self, query: Tensor, keys: Tensor, features: Tensor | None) -> Tensor:
        scores: Tensor = self.score(*self.project(query, keys), features)
        return scores

    def project(self, query: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` compares, with the keys repeated for each head."""
        by_head = self.score.project_keys(keys)[:, None].expand(-1, H, -1, -1)
        return self.score.project_query(query), by_head.clone()


def score_case(score: Any, query_size: int, key_size: int, history_size: int) -> ScoreCase:
    """A random case of a score for these sizes."""
    features = torch.rand(B, H, T, S, history_size) if history_size else None
    return ScoreCase(score.eval(), torch.randn(B, H, T, query_size), torch.randn(B, S, key_size), features)


def _registered(case: ScoreCase) -> str:
    return not_registered(case.score)


def _first_weights(case: ScoreCase) -> str:
    return draw(case.score)


def _start(case: ScoreCase) -> str:
    return at_start(case.score, case.scores)


@torch.no_grad()
def _shape(case: ScoreCase) -> str:
    scores: Any = case.scores()
    if not isinstance(scores, Tensor):
        return f"a {type(scores).__name__}, not a tensor"
    if not scores.is_floating_point():
        return f"numbers of the type {scores.dtype}"
    return "" if scores.shape == (B, H, T, S) else f"{tuple(scores.shape)}, not {(B, H, T, S)}"


@torch.no_grad()
def _finite(case: ScoreCase) -> str:
    return not_finite(a_score=case.scores())


@torch.no_grad()
def _inputs(case: ScoreCase) -> str:
    query, keys = case.project(case.query, case.keys)
    return (
        change_in_place(case.score.project_query, queries=case.query)
        or change_in_place(case.score.project_keys, keys=case.keys)
        or change_in_place(
            case.score, **{"projected queries": query, "projected keys": keys}, features=case.features
        )
    )


@torch.no_grad()
def _heads(case: ScoreCase) -> str:
    by_head = case.keys[:, None].expand(-1, H, -1, -1)
    query, keys = case.score.project_query(case.query), case.score.project_keys(by_head)
    return difference(case.score(query, keys, case.features), case.scores())


@torch.no_grad()
def _one_step(case: ScoreCase) -> str:
    features = case.features
    steps = [
        case.of(
            case.query[:, :, t : t + 1], case.keys, None if features is None else features[:, :, t : t + 1]
        )
        for t in range(T)
    ]
    return difference(torch.cat(steps, 2), case.scores())


@torch.no_grad()
def _batch(case: ScoreCase) -> str:
    alone = [
        case.of(*(None if part is None else part[b : b + 1] for part in case[1:]))  # type: ignore[arg-type]
        for b in range(B)
    ]
    return difference(torch.cat(alone), case.scores())


@torch.no_grad()
def _padding(case: ScoreCase) -> str:
    features = None if case.features is None else case.features[..., : S - BEHIND, :]
    return difference(
        case.of(case.query, case.keys[:, : S - BEHIND], features), case.scores()[..., : S - BEHIND]
    )


@torch.no_grad()
def _history(case: ScoreCase) -> str:
    if case.features is None:
        return ""
    same = not difference(case.of(case.query, case.keys, 10 + case.features), case.scores())
    return "they do not change the scores" if same else ""


def _gradient(case: ScoreCase) -> str:
    query, keys = case.query.clone().requires_grad_(), case.keys.clone().requires_grad_()
    results = gradients(case.score, lambda: case.of(query, keys, case.features), queries=query, keys=keys)
    return not_finite(**{f"that of {name}": gradient for name, gradient in results.items()})


def _parameters(case: ScoreCase) -> str:
    return without_gradient(case.score, lambda: case.scores())


def _half(case: ScoreCase) -> str:
    exact = case.scores().detach()
    with torch.autocast("cpu", torch.bfloat16):
        low = case.scores().detach()
        results = gradients(case.score, lambda: case.scores())
    if problem := not_finite(a_score=low, **results):
        return problem
    far = (low.float() - exact).abs().max() / exact.abs().max().clamp_min(1)
    return "" if far <= HALF_ERROR else f"a score differs by {far:.0%} of the largest"


SCORE_LAWS = (
    Law(
        "registered",
        "torch trains and saves nn.Parameter, buffers and modules, and lists of them only as nn.ModuleList",
        _registered,
    ),
    Law("first weights", "draw_parameters draws finite parameters", _first_weights),
    Law("shape", "queries (B, H, T, Q) and keys (B, H, S, K) give scores (B, H, T, S)", _shape),
    Law("finite", "scores of ordinary queries and keys are finite", _finite),
    Law(
        "start",
        "scores are finite at the start of training, where single numbers and vectors may be 0, whatever "
        "__init__ puts into them: draw others in draw_parameters",
        _start,
    ),
    Law("inputs", "no call changes what it is given", _inputs),
    Law("heads", "the dimensions before the last two are independent: sentences and heads", _heads),
    Law("one step", "a query alone has the scores that it has among others", _one_step),
    Law("batch", "a sentence alone has the scores that it has in a batch", _batch),
    Law(
        "padding",
        "what stands behind a source does not change its scores, as a softmax or a mean over positions does",
        _padding,
    ),
    Law("history", "the features of earlier weights that model.attention.history adds count", _history),
    Law("gradient", "gradients are finite", _gradient),
    Law("parameters", "every parameter has a gradient", _parameters),
    Law("half precision", "under autocast to bfloat16 the scores are nearly the same", _half),
)
