"""Every family obeys every law of `laws`."""

import re
from typing import Any

import pytest
import torch
import transformer_recipes
from conv_recipes import POSITIONS
from hypothesis import given, settings
from hypothesis import strategies as st
from models import laws
from models.families import CLIPS, COPYING, FAMILIES, FEW, IMAGES, PAIRS, SMOOTH, SWEEP, of_images

from seq2attn.config import HARD, ModelConfig


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


def is_soft(model: ModelConfig) -> bool:
    return model.attention.normaliser not in HARD


def those(models: list[Any], which: Any) -> list[Any]:
    return [one for one in models if which(one.values[0])]


def attends(model: ModelConfig) -> bool:
    return model.decoder.kind != "rnn" or model.decoder.context_source == "attention"


def is_fused(model: ModelConfig) -> bool:
    """Read in one call, where its score is a product."""
    return attends(model) and model.attention.normaliser == "softmax" and model.attention.window == "none"


OTHERS = PAIRS + IMAGES + COPYING
DRAWING = those(SWEEP + PAIRS, lambda model: attends(model) and model.attention.normaliser == "hard-sample")
families = pytest.mark.parametrize("family", FAMILIES)


def over(*parts: list[Any]) -> Any:
    """Each model once, however many of the parts it is in."""
    models = {id(one.values[0]): one for part in parts for one in part}
    return pytest.mark.parametrize("model", list(models.values()))


def slow(models: list[Any]) -> list[Any]:
    return [pytest.param(*one.values, id=one.id, marks=pytest.mark.slow) for one in models]


# The papers


@over(SWEEP, those(PAIRS, is_soft), COPYING)
def test_forward_equals_the_papers(model: ModelConfig) -> None:
    laws.equals_the_papers(model, laws.random_model(model), laws.batch_of(model))


@pytest.mark.slow
@families
@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data())
def test_forward_of_any_model_equals_the_papers(family: str, data: st.DataObject) -> None:
    model = data.draw(FAMILIES[family].models())
    laws.equals_the_papers(model, laws.random_model(model), laws.batch_of(model))


@over(DRAWING)
def test_draws_of_training_cost_what_the_papers_say(model: ModelConfig) -> None:
    laws.draws_cost_what_the_papers_say(model, laws.random_model(model), laws.batch_of(model))


# What a sentence does not depend on


@over(FEW, PAIRS, COPYING, those(IMAGES, lambda model: model.encoder.clips))
def test_forward_ignores_padding(model: ModelConfig) -> None:
    laws.padding_changes_nothing(laws.random_model(model), laws.batch_of(model))


@pytest.mark.parametrize("clips", CLIPS)
def test_forward_in_training_ignores_missing_frames_and_the_batch(clips: str) -> None:
    model = of_images(**CLIPS[clips])
    seq2seq, batch = laws.random_model(model).train(), laws.batch_of(model)
    laws.padding_changes_nothing(seq2seq, batch)
    laws.the_rest_of_the_batch_changes_nothing(seq2seq, batch)


@over(FEW, OTHERS)
def test_forward_of_a_sentence_ignores_its_batch(model: ModelConfig) -> None:
    laws.the_rest_of_the_batch_changes_nothing(laws.random_model(model), laws.batch_of(model))


@over(FEW, OTHERS)
def test_decoder_ignores_the_future(model: ModelConfig) -> None:
    laws.later_targets_change_nothing(laws.random_model(model), laws.batch_of(model))


# Step by step


@over(SWEEP, OTHERS)
def test_decoder_steps_equal_teacher_forcing(model: ModelConfig) -> None:
    laws.steps_equal_teacher_forcing(laws.random_model(model), laws.batch_of(model), width=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "width"),
    [pytest.param(*one.values, 3, id=one.id) for one in FEW]
    + [pytest.param(*one.values, 1, id=one.id) for one in PAIRS],
)
def test_decoder_steps_of_a_long_search_equal_teacher_forcing(model: ModelConfig, width: int) -> None:
    """More steps than the first buffers hold."""
    seq2seq, batch = laws.random_model(model), laws.batch_of(model)
    with torch.inference_mode():
        laws.steps_equal_teacher_forcing(seq2seq, batch, width, steps=20, leaving=(6, 13))


@over(FEW, OTHERS)
def test_decoder_state_is_a_value(model: ModelConfig) -> None:
    seq2seq, batch = laws.random_model(model), laws.batch_of(model)
    for width in (1, 2):
        laws.a_state_is_a_value(seq2seq, batch, width)


@pytest.mark.parametrize(
    ("family", "positions"),
    [("recurrent", None)]
    + [("convolutional", kind) for kind in POSITIONS]
    + [("transformer", kind) for kind in transformer_recipes.POSITIONS],
)
def test_decoder_reads_and_writes_long_sequences(family: str, positions: str | None) -> None:
    options: dict[str, Any] = {} if positions is None else {"positions": positions}
    options |= {"max_positions": 3} if positions == "learned" else {}
    laws.long_sequences_are_read_and_written(
        laws.random_model(FAMILIES[family].plain(encoder=options, **options))
    )


@pytest.mark.parametrize(
    ("family", "decoder", "changes_later"),
    [
        ("recurrent", {"context_to": ("readout",)}, False),
        ("recurrent", {"context_to": ("readout",), "input_feeding": True}, True),
        ("recurrent", {"context_to": ("input", "readout")}, True),
        ("recurrent", {"context_to": ("layer", "readout"), "layers": 2}, True),
        ("convolutional", {"layers": 1, "kernel": 3}, False),
        ("convolutional", {"layers": 2, "kernel": 1}, False),
        ("convolutional", {"layers": 2, "kernel": 3}, True),
        ("transformer", {"layers": 1}, False),
        ("transformer", {"layers": 2}, True),
    ],
    ids=str,
)
def test_decoder_says_whether_a_context_changes_later_steps(
    family: str, decoder: dict[str, Any], changes_later: bool
) -> None:
    model = FAMILIES[family].plain(**decoder)
    laws.a_context_changes_later_steps_where_the_decoder_says_so(
        laws.random_model(model), laws.batch_of(model), changes_later
    )


# Attention weights


@over(those(FEW, attends), DRAWING, OTHERS)
def test_weights_are_what_the_normaliser_promises(model: ModelConfig) -> None:
    seq2seq, batch = laws.random_model(model), laws.batch_of(model)
    for training in (False, True):
        laws.weights_are_what_the_normaliser_promises(model, seq2seq.train(training), batch)


@families
def test_weights_are_those_of_each_layer_and_head(family: str) -> None:
    decoder = {"context_to": ("input", "readout")} if family == "recurrent" else {"layers": 3}
    model = FAMILIES[family].plain({"heads": 2}, **decoder)
    laws.weights_are_those_of_each_layer_and_head(laws.random_model(model), laws.batch_of(model))


@pytest.mark.parametrize("family", ["convolutional", "transformer"])
def test_layers_draw_independently(family: str) -> None:
    reads = {"normaliser": "hard-sample", "at_inference": "sample", "score": "additive", "heads": 1}
    laws.layers_draw_independently(laws.random_model(FAMILIES[family].plain(reads)))


@over(those(SWEEP, is_fused), FEW, OTHERS)
def test_decoder_without_weights_says_the_same(model: ModelConfig) -> None:
    laws.reading_weights_changes_nothing(laws.random_model(model), laws.batch_of(model))


@over(FEW, PAIRS, IMAGES)
def test_decoder_features_are_what_the_output_layer_reads(model: ModelConfig) -> None:
    laws.features_are_what_the_output_layer_reads(laws.random_model(model), laws.batch_of(model))


# Gradients and training


@over(SMOOTH, those(PAIRS, is_soft), COPYING)
def test_gradients_are_those_of_finite_differences(model: ModelConfig) -> None:
    laws.gradients_are_those_of_finite_differences(laws.random_model(model), laws.batch_of(model, 3))


@over(slow(SMOOTH), OTHERS)
def test_gradients_of_steps_equal_those_of_the_whole(model: ModelConfig) -> None:
    laws.gradients_of_steps_equal_those_of_the_whole(laws.random_model(model), laws.batch_of(model))


@pytest.mark.slow
@families
@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data(), lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3), targets=st.integers(1, 4))
def test_gradients_of_steps_of_any_model_equal_those_of_the_whole(
    family: str, data: st.DataObject, lengths: list[int], targets: int
) -> None:
    seq2seq = laws.random_model(data.draw(FAMILIES[family].models()))
    laws.gradients_of_steps_equal_those_of_the_whole(seq2seq, laws.text_batch(lengths, targets))


@over(slow(FEW), OTHERS)
def test_model_trains(model: ModelConfig) -> None:
    laws.trains(model, laws.batch_of(model), must_fall=is_soft(model) or not attends(model))


@pytest.mark.slow
@families
@settings(max_examples=30, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_model_trains(family: str, data: st.DataObject) -> None:
    model = data.draw(FAMILIES[family].models())
    laws.trains(model, laws.batch_of(model), must_fall=False)


@pytest.mark.slow
@families
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_settings_train_or_are_refused_by_name(family: str, data: st.DataObject) -> None:
    """Settings drawn without a thought for each other. A refusal names a setting that was given; without it,
    in the end, there is a model, and it trains.
    """
    model, refusals = data.draw(FAMILIES[family].anything())
    assert all(re.match(r"any: model\.[a-z_.]+", refusal) for refusal in refusals)
    # of weights near zero, the gradients of many layers vanish
    must_reach = family == "recurrent" or model.init != "bahdanau15"
    laws.trains(model, laws.batch_of(model), must_fall=False, must_reach=must_reach)


@families
def test_one_batch_is_learnt(family: str) -> None:
    model = FAMILIES[family].plain()
    laws.one_batch_is_learnt(model, laws.batch_of(model))


@pytest.mark.parametrize(
    "model", [FAMILIES[name].plain() for name in FAMILIES] + [of_images()], ids=[*FAMILIES, "image"]
)
def test_dropout_is_of_training_alone(model: ModelConfig) -> None:
    laws.dropout_is_of_training_alone(model, laws.batch_of(model))


@pytest.mark.slow
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16], ids=str)
@over(SMOOTH, those(FEW, is_fused), those(PAIRS, is_soft), COPYING)
def test_autocast_says_nearly_the_same(model: ModelConfig, precision: torch.dtype) -> None:
    laws.autocast_says_nearly_the_same(laws.random_model(model), laws.batch_of(model), precision)
