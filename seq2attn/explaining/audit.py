"""The audit of a run: each matrix of its attention and each attribution, scored in one table.

Choices are made on the validation pairs, and figures are of the test pairs. This module knows no file.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from seq2attn.evaluation.alignment import AlignmentScore, Link, Links, score
from seq2attn.evaluation.pointing import Pointing
from seq2attn.explaining import doctor, links, symmetrise
from seq2attn.explaining.attention import Matrix, WordAttention, select, word_attention
from seq2attn.explaining.attribution import input_x_gradient, integrated_gradients
from seq2attn.explaining.choice import MEAN, AttentionChoice, candidates
from seq2attn.explaining.faithfulness import Faithfulness, faithfulness, random_matrices
from seq2attn.explaining.forced import ForcedModel
from seq2attn.explaining.occlusion import Occluder
from seq2attn.explaining.pairs import ForcedPair
from seq2attn.explaining.permutation import PermutationEffect, permutation_test
from seq2attn.inference.predictor import Predictor
from seq2attn.progress import Progress, silent

HIDDEN = 200  # pairs of attributions, and whose words are hidden for faithfulness, at most
HIDDEN_IMAGES = 48  # the same of images and clips, which have some hundred cells and few equal wishes
PERMUTED = 100  # pairs of the permutation test, at most
TUNED = 100  # validation pairs by which the links of an attribution are chosen, at most
SHARE = 0.1  # of the cells of an image, hidden at once

Stage = Callable[[str], Progress]


class Side(NamedTuple):
    """The pairs of one split, and what is known of them."""

    pairs: list[ForcedPair]
    gold: list[Links] | None = None  # of each pair
    # the pointing of matrices (W, U), one for each pair; None without boxes
    point: Callable[[Sequence[Matrix]], Pointing] | None = None


@dataclass(frozen=True)
class Row:
    """One method. Shares are from 0 to 1; None: not measured."""

    name: str
    choice: AttentionChoice | None = None  # of attention
    rule: str = ""  # how its links are made
    aer_valid: float | None = None
    alignment: AlignmentScore | None = None  # of the test pairs, by that rule
    aer_arg_max: float | None = None  # of the test pairs, one link a target word
    pointing_valid: float | None = None
    pointing: Pointing | None = None
    entropy: float | None = None  # nats
    end: float | None = None  # weight on the end token
    punctuation: float | None = None
    agreement: float | None = None  # of its links with those of the reverse run
    faithfulness: Faithfulness | None = None
    permutation: PermutationEffect | None = None


@dataclass(frozen=True)
class Audit:
    """What an audit says."""

    rows: list[Row]
    best: AttentionChoice  # of the attention
    by: str  # what made it the best: "AER", "pointing", "agreement" or "faithfulness"
    findings: list[doctor.Finding]
    pairs: int  # of the test
    valid_pairs: int
    hidden_by: str
    hidden_pairs: int
    gap: float  # of integrated gradients
    unit: str = "word"
    reverse_choice: AttentionChoice | None = None
    counts: tuple[str, ...] = ("1", "2")  # how many units are hidden, for people

    def row(self, choice: AttentionChoice) -> Row:
        """The row of a matrix of attention. The mean of one head is that head."""
        return next((row for row in self.rows if row.choice == choice), self.rows[0])


def name_of(choice: AttentionChoice) -> str:
    """ "attention 2.3 read", "attention 2.mean written", "attention mean written"."""
    parts = [str(choice.layer)] if choice.layer else []
    place = ".".join([*parts, str(choice.head or "mean")])
    return f"attention {place} {'read' if choice.shift else 'written'}"


class Back(NamedTuple):
    """The reverse run: its choice, and its weights of both splits."""

    choice: AttentionChoice
    valid: list[Matrix]  # of each pair (U, W): its targets are the sources of the audit
    test: list[Matrix]


class Reverse(NamedTuple):
    """A translator of the other direction, with the same pairs turned round."""

    predictor: Predictor[Any, Any]
    valid: list[ForcedPair]
    test: list[ForcedPair]


def audit(
    predictor: Predictor[Any, Any],
    valid: Side,
    test: Side,
    *,
    reverse: Reverse | None = None,
    seed: int = 1,
    stage: Stage = lambda name: silent,
) -> Audit:
    """Audit the first model of a predictor on the pairs of two splits. Each must have a pair at least."""
    model = ForcedModel(predictor)
    of_valid = word_attention(model, valid.pairs, stage("attention of the validation pairs"))
    of_test = word_attention(model, test.pairs, stage("attention of the test pairs"))
    layers, heads = of_test.steps[0].shape[:2]
    choices = candidates(layers, heads)
    text = model.sources.has_end
    hidden = _first(test, HIDDEN if text else HIDDEN_IMAGES)
    few = _first(valid, TUNED if text else HIDDEN_IMAGES)
    effects = _permutations(predictor, hidden.pairs[:PERMUTED], choices, seed, stage("permuting weights"))
    back = None if reverse is None else _reverse(reverse, valid, of_valid, stage("the reverse run"))
    rows, matrices = list[Row](), dict[str, list[Matrix]]()
    for choice in choices:
        on_valid, on_test = ([select(m, *choice) for m in of.matrices] for of in (of_valid, of_test))
        row = _row(name_of(choice), on_valid, on_test, valid, test, back)
        permutation = effects[choice.layer, choice.head]
        row = replace(row, choice=choice, permutation=permutation)
        rows.append(_with_statistics(row, of_test, choice))
        matrices[row.name] = on_test
    occluder = Occluder(model, hidden.pairs)
    occlusion = occluder.occlusion(stage("hiding source words"))
    attributions, gap = _attributions(model, few, hidden, stage)
    attributions["occlusion"] = (
        Occluder(model, few.pairs).occlusion(stage("hiding validation words")) if _is_known(few) else [],
        occlusion,
    )
    for name, (on_valid, on_test) in attributions.items():
        sides = few, _first(test, len(on_test))
        rows.append(_row(name, [*map(links.shares, on_valid)], [*map(links.shares, on_test)], *sides))
        matrices[name] = on_test
    rows.append(Row("random"))
    matrices["random"] = random_matrices([one.shape for one in occlusion], seed)
    counts, counts_text = _counts(hidden.pairs, text)
    faithful = faithfulness(
        {name: of_method[: len(hidden.pairs)] for name, of_method in matrices.items()},
        occluder,
        occlusion,
        counts,
        seed,
        stage("hiding the words that methods name"),
    )
    rows = [replace(row, faithfulness=faithful[row.name]) for row in rows]
    attention = predictor.config.model.attention
    results = doctor.findings(
        doctor.statistics(of_test.steps, model.sources.has_end, max(of_test.outside)),
        len(test.pairs),
        soft=attention.normaliser in ("softmax", "sigmoid"),
        local=attention.window != "none",
        effects=np.array(
            [_of_layer(effects, layer, layers, heads).total_variation for layer in range(1, layers + 1)]
        ),
    )
    return Audit(
        rows,
        *choose(rows),
        results,
        len(test.pairs),
        len(valid.pairs),
        model.sources.hidden_by,
        len(hidden.pairs),
        gap,
        "word" if text else "frame" if test.pairs[0].source.dim() == 4 else "cell",
        None if back is None else back.choice,
        counts_text,
    )


def choose(rows: Sequence[Row]) -> tuple[AttentionChoice, str]:
    """The best attention, and the measure that chose it: the first that was measured of the alignment error
    rate and the pointing of the validation pairs, agreement with the reverse run, and faithfulness.
    """
    own = [row for row in rows if row.choice is not None]
    measures: list[tuple[str, Callable[[Row], float | None]]] = [
        ("alignment error rate", lambda row: None if row.aer_valid is None else -row.aer_valid),
        ("pointing accuracy", lambda row: row.pointing_valid),
        ("agreement with the reverse run", lambda row: row.agreement),
        ("faithfulness", lambda row: None if row.faithfulness is None else row.faithfulness.lost[0]),
    ]
    for name, measure in measures:
        values = [measure(row) for row in own]
        if all(value is not None and not math.isnan(value) for value in values):
            best = max(own, key=lambda row: measure(row) or 0.0)
            return best.choice or MEAN, name
    return own[0].choice or MEAN, "nothing"


def _first(side: Side, count: int) -> Side:
    """The first pairs of a side."""
    if len(side.pairs) <= count:
        return side
    point = side.point
    return Side(side.pairs[:count], None if side.gold is None else side.gold[:count], point)


def _is_known(side: Side) -> bool:
    return side.gold is not None or side.point is not None


def _row(
    name: str,
    on_valid: Sequence[Matrix],
    on_test: Sequence[Matrix],
    valid: Side,
    test: Side,
    back: Back | None = None,
) -> Row:
    """Links, their error rates, agreement and pointing of one method."""
    row = Row(name)
    if test.point is not None and valid.point is not None:
        row = replace(row, pointing_valid=valid.point(on_valid).accuracy, pointing=test.point(on_test))
    if back is not None:
        ours = [links.links_of(matrix, links.ARG_MAX) for matrix in on_test]
        row = replace(row, agreement=links.agreement(ours, [*map(_turned, back.test)]))
    if test.gold is None or valid.gold is None:
        return row
    rule, rate = links.best_rule(on_valid, valid.gold)
    text, predicted = str(rule), [links.links_of(matrix, rule) for matrix in on_test]
    if back is not None:
        for method in symmetrise.METHODS:
            of_both = score(_of_both(on_valid, back.valid, method), valid.gold).error_rate
            if of_both is not None and (rate is None or of_both < rate):
                rate, text = of_both, f"both directions, {method}"
                predicted = _of_both(on_test, back.test, method)
        of_mean, of_both = links.best_rule(_means(on_valid, back.valid), valid.gold)
        if of_both is not None and (rate is None or of_both < rate):
            rate, text = of_both, f"mean of both directions, {of_mean}"
            predicted = [links.links_of(matrix, of_mean) for matrix in _means(on_test, back.test)]
    return replace(
        row,
        rule=text,
        aer_valid=rate,
        alignment=score(predicted, test.gold),
        aer_arg_max=links.scored(on_test, links.ARG_MAX, test.gold).error_rate,
    )


def _of_both(matrices: Sequence[Matrix], back: Sequence[Matrix], method: str) -> list[set[Link]]:
    """The links of both directions, of the largest values, symmetrised."""
    return [
        set(symmetrise.symmetrise(links.links_of(matrix, links.ARG_MAX), _turned(other), method))
        for matrix, other in zip(matrices, back, strict=True)
    ]


def _means(matrices: Sequence[Matrix], back: Sequence[Matrix]) -> list[Matrix]:
    return [symmetrise.mean(one, other) for one, other in zip(matrices, back, strict=True)]


def _attributions(
    model: ForcedModel, valid: Side, test: Side, stage: Stage
) -> tuple[dict[str, tuple[list[Matrix], list[Matrix]]], float]:
    """The matrices of both splits by method, and the gap of integrated gradients."""
    results, gap = {}, 0.0
    for name, method in (
        ("input x gradient", input_x_gradient),
        ("integrated gradients", integrated_gradients),
    ):
        of_test = method(model, test.pairs, progress=stage(name))
        on_valid = list[Matrix]()
        if _is_known(valid):
            on_valid = method(model, valid.pairs, progress=stage(f"{name}, validation")).matrices
        results[name] = on_valid, of_test.matrices
        gap = max(gap, of_test.gap)
    return results, gap


def _with_statistics(row: Row, of: WordAttention, choice: AttentionChoice) -> Row:
    """The row with entropy and shares of a choice, the mean over its heads."""
    heads = slice(None) if choice.head is None else slice(choice.head - 1, choice.head)
    layers = slice(None) if choice.layer is None else slice(choice.layer - 1, choice.layer)
    entropy, end, punctuation = (
        float(part[choice.shift, layers, heads].mean()) for part in (of.entropy, of.end, of.punctuation)
    )
    return replace(row, entropy=entropy, end=end, punctuation=punctuation)


Effects = Mapping[tuple[int | None, int | None], PermutationEffect]


def _permutations(
    predictor: Predictor[Any, Any],
    pairs: Sequence[ForcedPair],
    choices: Iterable[AttentionChoice],
    seed: int,
    progress: Progress,
) -> Effects:
    places = [*dict.fromkeys((choice.layer, choice.head) for choice in choices)]
    effects = {}
    for number, place in enumerate(places):
        progress(number, len(places))
        effects[place] = permutation_test(predictor, pairs, *place, seed=seed)
    progress(len(places), len(places))
    return effects


def _of_layer(effects: Effects, layer: int, layers: int, heads: int) -> PermutationEffect:
    """The effect of permuting all heads of a layer."""
    if heads == 1:
        return effects[layer, 1]
    return effects[layer if layers > 1 else None, None]


def _reverse(reverse: Reverse, valid: Side, of_valid: WordAttention, progress: Progress) -> Back:
    """The weights of the reverse run, by the attention of it that goes best with that of the run.

    With gold links it has the lowest error rate as part of a mean of both directions. Otherwise it agrees
    best with the mean of the run.
    """
    model = ForcedModel(reverse.predictor)
    back_valid, back_test = (
        word_attention(model, pairs, progress).matrices for pairs in (reverse.valid, reverse.test)
    )
    ahead = _best_ahead(of_valid, valid.gold)
    own_links = [links.links_of(matrix, links.ARG_MAX) for matrix in ahead]

    def value(choice: AttentionChoice) -> float:
        ours = [select(m, *choice) for m in back_valid]
        if valid.gold is not None:
            rate = links.best_rule(_means(ahead, ours), valid.gold)[1]
            return 0.0 if rate is None else -rate
        return links.agreement([*map(_turned, ours)], own_links) or 0.0

    choice = max(candidates(*back_valid[0].shape[1:3]), key=value)
    return Back(choice, *([select(m, *choice) for m in side] for side in (back_valid, back_test)))


def _best_ahead(of: WordAttention, gold: Sequence[Links] | None) -> list[Matrix]:
    """The attention with the lowest error rate; without gold links the mean."""

    def rate(choice: AttentionChoice) -> float:
        assert gold is not None
        rate = links.scored([select(m, *choice) for m in of.matrices], links.ARG_MAX, gold).error_rate
        return 1.0 if rate is None else rate

    choice = MEAN if gold is None else min(candidates(*of.matrices[0].shape[1:3]), key=rate)
    return [select(m, *choice) for m in of.matrices]


def _turned(matrix: Matrix) -> set[Link]:
    """The links of a matrix of the reverse direction, as links of the forward direction."""
    return {(target, source) for source, target in links.links_of(matrix, links.ARG_MAX)}


def _counts(pairs: Sequence[ForcedPair], text: bool) -> tuple[list[list[int]], tuple[str, ...]]:
    """How many units of each pair are hidden at once, and these numbers for people."""
    if text or max(len(pair.units) for pair in pairs) < 20:
        return [[1] * len(pairs), [2] * len(pairs)], ("1", "2")
    return [[math.ceil(SHARE * len(pair.units)) for pair in pairs]], (f"{SHARE:.0%}",)
