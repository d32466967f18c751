"""Occlusion and faithfulness against plain loops over sentences, words and units."""

import itertools

import numpy as np
import pytest
import torch
from explained_models import COPYING, FAMILIES, SOURCES, TARGETS, translator

from seq2attn.data.tokenizer import BOS, EOS, PAD, UNK
from seq2attn.explaining.faithfulness import _first_units, faithfulness, random_matrices, rank_correlation
from seq2attn.explaining.forced import ForcedModel
from seq2attn.explaining.occlusion import Occluder
from seq2attn.explaining.pairs import ForcedPair, of_texts
from seq2attn.inference import Translator


def log_p(model: Translator, pair: ForcedPair, hidden: set[int]) -> list[float]:
    """log p of each word with some units hidden, one sentence at a time."""
    net = model.models[0].eval()
    ids = [UNK if pair.unit_of[s] in hidden else token for s, token in enumerate([*pair.source, EOS])]
    source, inputs = torch.tensor([ids]), torch.tensor([[BOS, *pair.target]])
    with torch.no_grad():
        logs = net(source, source != PAD, inputs).logits.log_softmax(-1)[0]
    of_token = [float(logs[t, token]) for t, token in enumerate(pair.target)]
    return [
        sum(of_token[t] for t, of in enumerate(pair.word_of) if of == word) for word in range(len(pair.words))
    ]


@pytest.mark.parametrize("family", [*FAMILIES, *COPYING])
def test_occlusion_is_that_of_a_plain_loop(family: str) -> None:
    model = translator(family)
    pairs = of_texts(model, SOURCES, [*TARGETS[:-1], "le \N{SNOWMAN} dort"])  # an unknown token
    for pair, matrix in zip(pairs, Occluder(ForcedModel(model), pairs).occlusion(), strict=True):
        whole = log_p(model, pair, set())
        for unit in range(len(pair.units)):
            expected = np.subtract(whole, log_p(model, pair, {unit}))
            np.testing.assert_allclose(matrix[:, unit], expected, atol=1e-3)


def test_faithfulness_is_that_of_a_plain_loop() -> None:
    model = translator("rnn")
    pairs = of_texts(model, SOURCES[:2], TARGETS[:2])
    occluder = Occluder(ForcedModel(model), pairs)
    occlusion = occluder.occlusion()
    matrices = random_matrices([one.shape for one in occlusion], 7)
    counts = [[k] * len(pairs) for k in (1, 2)]
    result = faithfulness({"it": matrices}, occluder, occlusion, counts)["it"]
    for k in (1, 2):
        lost, without = [], []
        for pair, matrix in zip(pairs, matrices, strict=True):
            whole = log_p(model, pair, set())
            for word, row in enumerate(matrix):
                first = set(sorted(range(len(row)), key=lambda unit: -row[unit])[:k])
                lost.append(whole[word] - log_p(model, pair, first)[word])
                without.append(whole[word] - log_p(model, pair, set(range(len(row))) - first)[word])
        assert result.lost[k - 1] == pytest.approx(np.mean(lost), abs=1e-3)
        assert result.lost_without[k - 1] == pytest.approx(np.mean(without), abs=1e-3)


def test_faithfulness_of_occlusion_is_the_best_for_one_unit() -> None:
    """What loses most by itself is what occlusion puts first: no method can lose more."""
    model = translator("rnn")
    pairs = of_texts(model, SOURCES, TARGETS)
    occluder = Occluder(ForcedModel(model), pairs)
    occlusion = occluder.occlusion()
    shapes = [one.shape for one in occlusion]
    methods = {str(seed): random_matrices(shapes, seed) for seed in range(5)} | {"occlusion": occlusion}
    results = faithfulness(methods, occluder, occlusion, [[1] * len(pairs)])
    assert max(results, key=lambda name: results[name].lost[0]) == "occlusion"
    assert results["occlusion"].correlation == pytest.approx(1)


def test_faithfulness_of_equal_values_gains_nothing_by_their_order() -> None:
    """The mean over seeds is that of a unit at random, wherever the units stand that the model needs."""
    model = translator("rnn")
    pairs = of_texts(model, SOURCES, TARGETS)
    occluder = Occluder(ForcedModel(model), pairs)
    occlusion = occluder.occlusion()
    equal = [np.ones_like(one) for one in occlusion]
    counts = [[1] * len(pairs)]
    losses = [
        faithfulness({"equal": equal}, occluder, occlusion, counts, seed)["equal"].lost[0]
        for seed in range(30)
    ]
    expected = np.mean([row.mean() for one in occlusion for row in one])
    assert np.mean(losses) == pytest.approx(expected, abs=0.25)


def test_rank_correlation_is_spearmans() -> None:
    def slow(one: list[float], other: list[float]) -> float:
        def ranks(values: list[float]) -> list[float]:
            return [
                sum(v < value for v in values) + (sum(v == value for v in values) - 1) / 2 for value in values
            ]

        return float(np.corrcoef(ranks(one), ranks(other))[0, 1])

    for one in itertools.permutations([1.0, 2.0, 2.0, 5.0]):
        for other in ([1.0, 4.0, 3.0, 3.0], [0.0, 1.0, 2.0, 9.0]):
            assert rank_correlation(np.array(one), np.array(other)) == pytest.approx(slow([*one], other))
    assert rank_correlation(np.ones(3), np.arange(3.0)) == 0


def test_first_units_of_equal_values_are_in_a_random_order() -> None:
    """Otherwise a method that says nothing would name the first words of every source."""
    matrix = np.ones((200, 4), np.float32)
    matrix[:, 3] = 2
    first = _first_units(matrix, [1, 2], np.random.default_rng(1))
    assert {of_word[0] for of_word in first} == {frozenset({3})}
    assert {of_word[1] for of_word in first} == {frozenset({3, unit}) for unit in range(3)}
