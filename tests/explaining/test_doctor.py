"""Planted faults of attention are named, each by its name, and attention that works is not."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from explained_models import SOURCES, TARGETS, translator
from torch import Tensor

from seq2attn.explaining import doctor
from seq2attn.explaining.attention import word_attention
from seq2attn.explaining.doctor import Finding, findings, statistics
from seq2attn.explaining.forced import ForcedModel
from seq2attn.explaining.pairs import of_texts
from seq2attn.explaining.permutation import permutation_test
from seq2attn.explaining.replaced_weights import Place, Replace, permuted, twin, uniform
from seq2attn.inference import Translator

FAMILY = "transformer"  # two layers of two heads
PEAKS = 5.0  # how sharp weights are that work


def working(weights: Tensor, place: Place) -> Tensor:
    """Weights as those of a trained model: sharp, other ones for each sentence, step and head."""
    noise = torch.rand(weights.shape, generator=torch.Generator().manual_seed(place.layer))
    scores = PEAKS * weights + 8 * noise * noise
    return scores.masked_fill(~place.mask, -1e9).softmax(-1)


def at(weights: Tensor, position_BT: Tensor) -> Tensor:
    """Nearly all weight at one position of each step."""
    result = 0.02 * weights
    return result.scatter(-1, position_BT[:, None, :, None].expand(-1, weights.size(1), -1, -1), 0.98)


def steps_of(weights: Tensor, place: Place) -> Tensor:
    return torch.arange(weights.size(2)).expand(len(weights), -1)


def last_of(place: Place, weights: Tensor) -> Tensor:
    count = place.mask.expand_as(weights)[:, 0].sum(-1)
    return count - 1


def fixed_noise(weights: Tensor, place: Place) -> Tensor:
    """The same weights for every sentence, other ones at each step."""
    scores = 12 * torch.rand(weights.shape[1:], generator=torch.Generator().manual_seed(5)) ** 3
    return scores.expand_as(weights).masked_fill(~place.mask, -1e9).softmax(-1)


def by_kind(kind: str) -> Callable[[Tensor, Place], Tensor]:
    def replace(weights: Tensor, place: Place) -> Tensor:
        sharp = working(weights, place)
        match kind:
            case "uniform":
                return uniform(weights, place.mask)
            case "hardly warm":
                return 0.9 * uniform(weights, place.mask) + 0.1 * sharp
            case "same steps":
                return sharp[:, :, :1].expand_as(sharp)
            case "end mark":
                return at(sharp, last_of(place, sharp))
            case "one place":
                return at(sharp, torch.ones_like(steps_of(sharp, place)))
            case "diagonal":
                return at(sharp, torch.minimum(steps_of(sharp, place), last_of(place, sharp)))
            case "constant":
                return fixed_noise(sharp, place)
            case "padding":
                return sharp + 0.2 * (~place.mask).expand_as(sharp) / sharp.size(-1)
            case "repetition":
                return sharp[:, :1].expand_as(sharp)
            case "saturated":
                return torch.zeros_like(sharp).scatter(-1, sharp.argmax(-1, keepdim=True), 1.0)
            case _:
                return sharp

    return replace


def around(original: Translator, replace: Replace) -> Translator:
    return Translator(
        twin(original.models[0], replace),
        original.source_tokenizer,
        original.target_tokenizer,
        original.config,
    )


def examined(replace: Replace, seed: int = 1, dead: bool = False) -> list[Finding]:
    original = translator(FAMILY, seed, sharpness=1.0)
    for module in original.models[0].modules():
        if isinstance(module, torch.nn.LayerNorm):  # a random gain near 0 would make a layer dead
            torch.nn.init.ones_(module.weight)
    model = around(original, replace)
    if dead:
        for layer in model.models[0].decoder.layers:
            layer.cross_attn.out.weight.zero_()
    # two sentences of the same length, and some that are padded
    pairs = of_texts(model, [*SOURCES, *SOURCES[::-1]], [*TARGETS, *TARGETS])
    of = word_attention(ForcedModel(model), pairs)
    effects = np.array([permutation_test(model, pairs, layer, None, 2).total_variation for layer in (1, 2)])
    return findings(statistics(of.steps, True, max(of.outside)), len(pairs), effects=effects)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("uniform", "uniform"),
        ("hardly warm", "uniform"),
        ("same steps", "same steps"),
        ("end mark", "end mark"),
        ("one place", "one place"),
        ("diagonal", "diagonal"),
        ("constant", "constant"),
        ("padding", "padding"),
        ("repetition", "repetition"),
        ("saturated", "saturated"),
    ],
)
def test_planted_fault_is_named(kind: str, name: str, seed: int) -> None:
    kinds = {finding.kind for finding in examined(by_kind(kind), seed)}
    assert kinds == {name}


def test_attention_that_nothing_reads_is_named() -> None:
    assert {finding.kind for finding in examined(by_kind("works"), dead=True)} == {"dead"}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_attention_that_works_is_not_named(seed: int) -> None:
    assert examined(by_kind("works"), seed) == []


def test_one_head_of_several_may_rest() -> None:
    """Heads that nothing needs are normal: only a whole layer is named."""

    def replace(weights: Tensor, place: Place) -> Tensor:
        sharp = working(weights, place)
        return torch.cat([uniform(weights, place.mask)[:, :1], sharp[:, 1:]], 1)

    assert examined(replace) == []


def test_permuted_weights_of_a_model_that_works_are_not_named() -> None:
    """Useless weights that change with every step look as if they worked: faithfulness shows them."""
    generator = torch.Generator().manual_seed(1)
    replace = by_kind("works")
    assert not examined(lambda weights, place: permuted(replace(weights, place), place.mask, generator))


def test_few_pairs_say_nothing() -> None:
    steps = [np.full((1, 1, 4, 5), 0.2)] * 3
    assert findings(statistics(steps, True), 3) == []
    assert [one.kind for one in findings(statistics([*steps, *steps], True), 6)] == ["uniform"]


def test_finding_is_one_line_with_the_setting_to_try() -> None:
    [finding] = findings(statistics([np.full((1, 1, 4, 5), 0.2)] * 6, True), 6)
    assert str(finding).startswith("attention of layer 1: uniform at every step: 100% of the entropy")
    assert "try a lower model.attention.temperature" in str(finding)
    assert "\n" not in str(finding)


def test_statistics_of_short_targets_are_unknown() -> None:
    of: Any = statistics([np.full((1, 1, 2, 5), 0.2)] * 6, True)
    assert np.isnan(of.entropy).all()
    assert findings(of, 6) == []
    assert doctor.LEAST_PAIRS < 6


def test_statistics_leave_out_the_step_that_writes_the_end_token() -> None:
    """That step rightly reads the end of the source, also where every word reads something else."""
    weights = np.zeros((1, 1, 4, 5), np.float32)
    weights[0, 0, [0, 1, 2, 3], [0, 1, 2, 4]] = 1
    of = statistics([weights], has_end=True)
    assert of.end.tolist() == [[0.0]]
    assert of.diagonal.tolist() == [[1.0]]
