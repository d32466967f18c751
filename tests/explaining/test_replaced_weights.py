"""The copy of a model that reads by other weights: it does what it is told, and the model stays as it is."""

import pytest
import torch
from explained_models import FAMILIES, SOURCES, TARGETS, translator

from seq2attn.explaining.replaced_weights import Place, permuted, twin, uniform
from seq2attn.inference import Translator, forced


def around(original: Translator, model: object) -> Translator:
    return Translator(
        model,  # type: ignore[arg-type]
        original.source_tokenizer,
        original.target_tokenizer,
        original.config,
    )


def log_p(model: Translator) -> list[float]:
    return [one.log_probability for one in model.score_targets(SOURCES, TARGETS)]


@pytest.mark.parametrize("family", FAMILIES)
def test_twin_computes_the_same_and_shares_its_memory(family: str) -> None:
    original = translator(family)
    copy = twin(original.models[0])
    assert log_p(around(original, copy)) == log_p(original)
    mine, other = (dict(model.named_parameters()) for model in (original.models[0], copy))
    assert all(mine[name].data_ptr() == other[name].data_ptr() for name in mine)
    assert all(one.requires_grad for one in mine.values())
    assert not any(one.requires_grad for one in other.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_twin_reads_by_the_weights_it_is_given(family: str) -> None:
    original = translator(family)
    before = log_p(original)
    places: list[Place] = []

    def replace(weights: torch.Tensor, place: Place) -> torch.Tensor:
        places.append(place)
        return uniform(weights, place.mask)

    other = around(original, twin(original.models[0], replace))
    results = other.score_targets(SOURCES, TARGETS, attention="all")
    for result in results:
        weights = result.subword_attention_heads
        assert weights is not None
        assert weights == pytest.approx(1 / weights.shape[-1])
    assert {place.layer for place in places} == set(range(original.config.model.attention_layers))
    assert log_p(original) == before
    assert log_p(other) != before


@pytest.mark.parametrize("family", FAMILIES)
def test_twin_searches_as_it_is_forced(family: str) -> None:
    """The step that the function is told, and the weights that it returns, are the same in both."""

    def replace(weights: torch.Tensor, place: Place) -> torch.Tensor:
        return torch.where((place.step_BT % 2 == 0)[:, None, :, None], uniform(weights, place.mask), weights)

    original = translator(family, sharpness=3.0)
    other = around(original, twin(original.models[0], replace))
    outputs = [best[0] for best in other.translate(SOURCES, beam=2)]
    ids = [original.source_tokenizer.encode(source) for source in SOURCES]
    lengths, targets = [len(one) + 1 for one in ids], [one.tokens for one in outputs]
    again = forced.score_targets(other, [ids], lengths, targets, True, 1, 0, None)
    for output, hypothesis, length in zip(outputs, again, lengths, strict=True):
        assert output.subword_attention is not None
        assert hypothesis.weights is not None
        count = len(output.tokens)
        same = hypothesis.weights[:count, 0, 0, :length].numpy()
        assert output.subword_attention[:count] == pytest.approx(same, abs=1e-4)


def test_twin_refuses_weights_of_another_shape() -> None:
    original = translator("rnn")
    other = around(original, twin(original.models[0], lambda weights, place: weights[..., :1]))
    with pytest.raises(ValueError, match="in place of"):
        other.score_targets(SOURCES, TARGETS)


def test_permuted_keeps_the_weights_and_padding() -> None:
    mask = torch.tensor([[True, True, False, True, True], [True, True, True, False, False]])[:, None]
    weights = torch.rand(2, 40, 5).masked_fill(~mask, 0.0)
    other = permuted(weights, mask, torch.Generator().manual_seed(1))
    assert (other.masked_select(~mask.expand_as(other)) == 0).all()
    assert torch.equal(other.sort(-1).values, weights.sort(-1).values)
    assert (other != weights).any(-1).float().mean() > 0.8


def test_uniform_gives_equal_weights_to_what_may_be_read() -> None:
    mask = torch.tensor([True, False, True])
    assert uniform(torch.rand(2, 3), mask).tolist() == [[0.5, 0.0, 0.5]] * 2
