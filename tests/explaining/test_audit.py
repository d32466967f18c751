"""The audit as a whole: planted useless attention comes last, reverse links are turned round, and what is
chosen is chosen on the validation pairs.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from explained_models import SOURCES, TARGETS, translator

from seq2attn.data.tokenizer import EOS, PAD
from seq2attn.evaluation.alignment import Links
from seq2attn.explaining.attention import select, word_attention
from seq2attn.explaining.attribution import input_x_gradient, integrated_gradients
from seq2attn.explaining.audit import Back, Reverse, Row, Side, _row, audit, choose
from seq2attn.explaining.choice import AttentionChoice, candidates
from seq2attn.explaining.faithfulness import Faithfulness, faithfulness
from seq2attn.explaining.forced import ForcedModel
from seq2attn.explaining.links import ARG_MAX, best_rule, links_of, scored
from seq2attn.explaining.occlusion import Occluder
from seq2attn.explaining.pairs import ForcedPair, of_texts
from seq2attn.explaining.symmetrise import symmetrise
from seq2attn.inference import Translator
from seq2attn.inference.encoding import pad
from seq2attn.models.seq2seq import build

SYMBOLS, LENGTH, STEPS = 12, 5, 250  # vocabulary, words of a sequence, and updates of a small model
MODELS = 10


def side(model: Translator, gold: list[Links] | None = None) -> Side:
    return Side(of_texts(model, SOURCES, TARGETS), gold)


def of_arg_max(model: Translator, choice: AttentionChoice) -> list[Links]:
    """Gold links that one matrix of attention has by arg max, so that it is the best by far."""
    matrices = word_attention(ForcedModel(model), of_texts(model, SOURCES, TARGETS)).matrices
    sets = [frozenset(links_of(select(m, *choice), ARG_MAX)) for m in matrices]
    return [Links(one, one) for one in sets]


@pytest.mark.parametrize(
    "choice", [AttentionChoice(2, 1, 1), AttentionChoice(1, 2, 0), AttentionChoice(1, None, 1)]
)
def test_audit_finds_the_attention_that_aligns(choice: AttentionChoice) -> None:
    model = translator("transformer", sharpness=3.0)
    gold = of_arg_max(model, choice)
    result = audit(model, side(model, gold), side(model, gold))
    assert result.row(result.best).aer_valid == 0  # another matrix may have the same links
    row = result.row(choice)
    assert row.alignment is not None
    assert row.alignment.error_rate == row.aer_arg_max == 0
    assert result.by == "alignment error rate"


def test_audit_chooses_on_the_validation_pairs() -> None:
    model = translator("transformer", sharpness=3.0)
    valid, test = (of_arg_max(model, AttentionChoice(layer, 1, 0)) for layer in (1, 2))
    assert audit(model, side(model, valid), side(model, test)).best == AttentionChoice(1, 1, 0)


def test_audit_has_a_row_for_each_matrix_and_attribution() -> None:
    model = translator("transformer")
    result = audit(model, side(model), side(model))
    assert [row.choice for row in result.rows if row.choice] == candidates(2, 2)
    others = [row.name for row in result.rows if row.choice is None]
    assert others == ["input x gradient", "integrated gradients", "occlusion", "random"]
    assert all(row.faithfulness is not None for row in result.rows)
    assert result.by == "faithfulness"


def test_audit_turns_the_links_of_the_reverse_run() -> None:
    """Its attention goes best with that of the run, and agrees with its own links, turned round."""
    model, back = translator("rnn", sharpness=3.0), translator("rnn", 2, sharpness=3.0)
    turned = of_texts(back, TARGETS, SOURCES)
    own = word_attention(ForcedModel(back), turned).matrices
    written, read = candidates(1, 1)
    links = [frozenset((t, s) for s, t in links_of(select(m, *read), ARG_MAX)) for m in own]
    gold = [Links(of_pair, of_pair) for of_pair in links]
    reverse = Reverse(back, turned, turned)
    result = audit(model, side(model, gold), side(model, gold), reverse=reverse)
    matrices = word_attention(ForcedModel(model), of_texts(model, SOURCES, TARGETS)).matrices

    def rate(ahead: AttentionChoice, behind: AttentionChoice) -> float:
        pairs = zip(matrices, own, strict=True)
        means = [(select(a, *ahead) + select(b, *behind).T) / 2 for a, b in pairs]
        return best_rule(means, gold)[1] or 0.0

    alone = {c: scored([select(m, *c) for m in matrices], ARG_MAX, gold).error_rate for c in (written, read)}
    ahead = min(alone, key=lambda c: alone[c] or 0.0)
    assert rate(ahead, written) != rate(ahead, read)
    best = min((written, read), key=lambda c: rate(ahead, c))
    assert result.reverse_choice == best
    ours = [links_of(select(m, *written), ARG_MAX) for m in matrices]
    theirs = [{(t, s) for s, t in links_of(select(m, *best), ARG_MAX)} for m in own]
    both = sum(len(a & b) for a, b in zip(ours, theirs, strict=True))
    share = 2 * both / (sum(map(len, ours)) + sum(map(len, theirs)))
    assert result.rows[0].agreement == pytest.approx(share)


@pytest.mark.parametrize("method", ["grow-diag-final-and", "intersection", "union"])
def test_row_symmetrises_both_directions_as_the_validation_pairs_want_it(method: str) -> None:
    on_valid, on_test = ([np.random.default_rng(seed).random((6, 6), np.float32)] for seed in (1, 2))
    back = Back(AttentionChoice(), *([side[0].T[::-1]] for side in (on_valid, on_test)))
    sides = []
    for matrices, other in ((on_valid, back.valid), (on_test, back.test)):
        turned = {(target, source) for source, target in links_of(other[0], ARG_MAX)}
        both = frozenset(symmetrise(links_of(matrices[0], ARG_MAX), turned, method))
        sides.append(Side([], [Links(both, both)]))
    row = _row("it", on_valid, on_test, *sides, back)
    assert row.rule == f"both directions, {method}"
    assert row.alignment is not None
    assert row.aer_valid == row.alignment.error_rate == 0


def test_row_averages_the_weights_of_both_directions_if_the_validation_pairs_want_it() -> None:
    """Each direction is wrong in one place and sure of it; their mean is right."""
    ahead = np.array([[0.9, 0.1, 0.0], [0.7, 0.3, 0.0], [0.0, 0.5, 0.5]], np.float32)
    behind = np.array([[0.8, 0.2, 0.0], [0.0, 0.9, 0.1], [0.0, 0.6, 0.4]], np.float32)
    right = frozenset(
        {(0, 0), (1, 1), (1, 2)}
    )  # the mean has 0.85, 0.6 and 0.55 there, and 0.45 at most elsewhere
    side = Side([], [Links(right, right)])
    row = _row("it", [ahead], [ahead], side, side, Back(AttentionChoice(), [behind.T], [behind.T]))
    assert row.rule == "mean of both directions, arg max"
    assert row.alignment is not None
    assert row.alignment.error_rate == 0


def test_choose_takes_the_first_measure_that_there_is() -> None:
    rows = [
        Row("a", AttentionChoice(1, 1, 0), faithfulness=Faithfulness((1.0,), (0.0,), 0.0)),
        Row("b", AttentionChoice(1, 1, 1), faithfulness=Faithfulness((2.0,), (0.0,), 0.0)),
        Row("random"),
    ]
    assert choose(rows) == (AttentionChoice(1, 1, 1), "faithfulness")
    with_agreement = [
        replace(row, agreement=share) for row, share in zip(rows, (0.9, 0.1, None), strict=True)
    ]
    assert choose(with_agreement)[0] == AttentionChoice(1, 1, 0)
    aligned = [
        replace(row, aer_valid=rate) for row, rate in zip(with_agreement, (0.5, 0.2, None), strict=True)
    ]
    assert choose(aligned) == (AttentionChoice(1, 1, 1), "alignment error rate")


def reversed_pairs(count: int, seed: int) -> list[ForcedPair]:
    """Symbols, and the same turned round: each target word comes from one source word."""
    generator = np.random.default_rng(seed)
    pairs = []
    for number in range(count):
        ids = generator.integers(4, SYMBOLS, LENGTH).tolist()
        words = [str(symbol) for symbol in ids]
        places = list(range(LENGTH))
        pairs.append(
            ForcedPair(
                ids, ids[::-1], words, words[::-1], [*places, -1], places, [False] * (LENGTH + 1), number
            )
        )
    return pairs


def learned(seed: int) -> Translator:
    """A small model that has learned to turn sequences round, which it cannot do without its attention."""
    settings = tiny.settings()
    torch.manual_seed(seed)
    net = build(settings.model, SYMBOLS, SYMBOLS)
    numbers: Any = tiny.Numbers(SYMBOLS)
    model = Translator(net, numbers, numbers, settings)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for step in range(STEPS):
        batch = ForcedModel(model).batch(reversed_pairs(32, 1000 * seed + step))
        ids = pad([[*pair.source, EOS] for pair in batch.pairs], PAD)
        logits = net(ids, ids != PAD, batch.inputs_BT).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets_BT.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    net.eval()
    return model


@pytest.mark.slow
def test_planted_useless_attention_comes_last_in_ten_of_ten_models() -> None:
    """Equal weights, and weights in a random order, name less that the model uses than real methods."""
    generator = np.random.default_rng(1)
    for seed in range(1, 1 + MODELS):
        model = learned(seed)
        pairs = reversed_pairs(40, seed)
        own = ForcedModel(model)
        occluder = Occluder(own, pairs)
        occlusion = occluder.occlusion()
        attention = [select(m, None, None, 0) for m in word_attention(own, pairs).matrices]
        methods = {
            "attention": attention,
            "input x gradient": input_x_gradient(own, pairs).matrices,
            "integrated gradients": integrated_gradients(own, pairs).matrices,
            "occlusion": occlusion,
            "uniform": [np.full_like(matrix, 1 / matrix.shape[1]) for matrix in attention],
            "permuted": [generator.permuted(matrix, axis=1) for matrix in attention],
        }
        results = faithfulness(methods, occluder, occlusion, [[1] * len(pairs), [2] * len(pairs)])
        ranking = sorted(results, key=lambda name: results[name].lost[0])
        assert set(ranking[:2]) == {"uniform", "permuted"}, (seed, results)
