"""The permutation test: uniform weights cannot change, and sharp ones change what depends on them."""

import pytest
import torch
from explained_models import SOURCES, TARGETS, translator

from seq2attn.explaining.pairs import of_texts
from seq2attn.explaining.permutation import jensen_shannon, permutation_test, total_variation
from seq2attn.explaining.replaced_weights import twin, uniform
from seq2attn.inference import Translator


@pytest.mark.parametrize(("layer", "head"), [(None, None), (1, 2), (2, None)])
def test_permutation_changes_outputs_that_need_the_weights(layer: int | None, head: int | None) -> None:
    model = translator("transformer", sharpness=3.0)
    pairs = of_texts(model, SOURCES, TARGETS)
    effect = permutation_test(model, pairs, layer, head)
    assert effect.total_variation > 1e-4
    assert 0 < effect.jensen_shannon < effect.total_variation
    assert permutation_test(model, pairs, layer, head) == effect


def test_permutation_of_all_heads_changes_more_than_one_head() -> None:
    model = translator("transformer", sharpness=3.0)
    pairs = of_texts(model, SOURCES, TARGETS)
    one, every = (permutation_test(model, pairs, *which) for which in ((1, 1), (None, None)))
    assert every.total_variation > one.total_variation


def test_permutation_of_uniform_weights_changes_nothing() -> None:
    original = translator("rnn")
    model = Translator(
        twin(original.models[0], lambda weights, place: uniform(weights, place.mask)),
        original.source_tokenizer,
        original.target_tokenizer,
        original.config,
    )
    effect = permutation_test(model, of_texts(model, SOURCES, TARGETS), 1, 1)
    assert effect.total_variation == pytest.approx(0, abs=1e-5)


def test_distances_of_distributions() -> None:
    p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    assert float(total_variation(p, q)) == 1
    assert float(jensen_shannon(p, q)) == pytest.approx(0.693147, abs=1e-5)
    assert float(jensen_shannon(p, p)) == pytest.approx(0, abs=1e-6)
    half = torch.tensor([0.5, 0.5])
    expected = (0.5 * torch.tensor(0.5 / 0.75).log() * 1 + 0.5 * torch.tensor(0.5 / 0.25).log()) / 2 + (
        torch.tensor(1 / 0.75).log() / 2
    )
    assert float(jensen_shannon(half, p)) == pytest.approx(float(expected), abs=1e-5)
