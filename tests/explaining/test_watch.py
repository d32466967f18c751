"""The doctor at each validation: a fault is told once, when it has lasted, and never at the beginning."""

import numpy as np
import pytest
import torch
from explained_models import SOURCES, TARGETS, translator

from seq2attn.explaining.doctor import Finding, findings, statistics
from seq2attn.explaining.replaced_weights import twin, uniform
from seq2attn.explaining.watch import LASTS, AttentionWatch
from seq2attn.inference import Translator


def finding(kind: str) -> Finding:
    return Finding(kind, 1, None, kind, "x")


def test_watch_tells_a_fault_once_after_it_has_lasted() -> None:
    watch = AttentionWatch()
    lines = [watch.hear([finding("uniform")]) for _ in range(6)]
    assert [line is not None for line in lines] == [number == LASTS - 1 for number in range(6)]
    assert lines[LASTS - 1] == "attention of layer 1: uniform; try x"


def test_watch_forgets_a_fault_that_goes_away() -> None:
    watch = AttentionWatch()
    kinds = ["uniform", "uniform", "", "uniform", "uniform", "", "dead", "dead"]
    assert not any(watch.hear([finding(kind)] if kind else []) for kind in kinds)
    assert watch.hear([finding("dead"), finding("uniform")]) == "attention of layer 1: dead; try x"


@pytest.mark.parametrize("family", ["rnn", "transformer", "conv"])
def test_watch_names_uniform_attention_of_a_model(family: str) -> None:
    original = translator(family)
    model = Translator(
        twin(original.models[0], lambda weights, place: uniform(weights, place.mask)),
        original.source_tokenizer,
        original.target_tokenizer,
        original.config,
    )
    watch = AttentionWatch()
    lines = [watch.look(model, SOURCES, TARGETS) for _ in range(LASTS)]
    assert lines[:-1] == [None] * (LASTS - 1)
    assert "uniform at every step" in (lines[-1] or "")


def test_watch_sees_weights_on_padding_by_what_is_missing() -> None:
    original = translator("rnn")
    model = Translator(
        twin(original.models[0], lambda weights, place: 0.9 * weights),
        original.source_tokenizer,
        original.target_tokenizer,
        original.config,
    )
    watch = AttentionWatch()
    lines = [watch.look(model, SOURCES, TARGETS) for _ in range(LASTS)]
    assert "10% of the weight of a step is on padding" in (lines[-1] or "")


def test_watch_draws_no_random_numbers_and_leaves_the_mode() -> None:
    model = translator("rnn")
    model.models[0].train()
    before = torch.get_rng_state()
    AttentionWatch().look(model, SOURCES, TARGETS)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.models[0].training


def test_watch_has_nothing_to_say_without_attention() -> None:
    import tiny

    model = tiny.translator(context_source="summary", context_to=["input"])
    assert AttentionWatch().look(model, SOURCES, TARGETS) is None


def test_sharp_attention_of_few_heads_is_no_fault() -> None:
    generator = np.random.default_rng(1)
    steps = [generator.dirichlet([0.05] * 9, (1, 2, 7)) for _ in range(8)]
    assert findings(statistics(steps, True), 8) == []
