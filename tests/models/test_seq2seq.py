"""Whole models: what is shared, how they start, that every preset is one, and that nothing outlives a step
of training.
"""

import copy
import gc
import math
from typing import Any

import pytest
import torch
from models.families import SIDE, recurrent
from models.laws import batch_of, loss_of
from recipes import SOURCE, TARGET
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn import config
from seq2attn.kernels.deferred_gradients import DeferredGradient
from seq2attn.models.layers.cells import Cell
from seq2attn.models.seq2seq import build

PRESETS = sorted(config.presets())


def settings_of(**changed: object) -> config.ModelConfig:
    tree = {
        "embedding": 48,
        "encoder": {"size": 64, "layers": 2},
        "decoder": {"size": 96, "layers": 2},
        "attention": {"size": 80},
    } | changed
    return config.ModelConfig.model_validate(tree)


@pytest.mark.parametrize("tied", ["none", "output", "all"])
def test_tied_embeddings_are_one_parameter(tied: str) -> None:
    model = build(settings_of(tied=tied), 200, 200)
    source, target, out = (
        model.encoder.embedding.weight,
        model.decoder.target_embedding.weight,
        model.decoder.output.weight,
    )
    assert (out is target) == (tied != "none")
    assert (source is target) == (tied == "all")
    assert out.shape == (200, 48 if tied != "none" else 96)


def test_tied_embeddings_of_two_vocabularies_are_refused() -> None:
    with pytest.raises(ValueError, match="tied"):
        build(settings_of(tied="all"), 200, 300)


def test_tied_embeddings_stay_tied_in_a_copy() -> None:
    model = copy.deepcopy(build(settings_of(tied="all"), 200, 200)).double()
    assert model.decoder.output.weight is model.encoder.embedding.weight


# First weights


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_init_glorot_is_as_documented(cell: str) -> None:
    model = build(
        settings_of(
            encoder={"cell": cell, "size": 64, "layers": 2},
            decoder={"cell": cell, "size": 96, "layers": 2, "context_to": ("input", "layer", "readout")},
        ),
        500,
        400,
    )
    for embedding in (model.encoder.embedding, model.decoder.target_embedding):
        assert embedding.weight.std().item() == pytest.approx(48**-0.5, rel=0.05)
    cells = [module for module in model.modules() if isinstance(module, Cell)]
    assert len(cells) == 6
    for module in cells:
        for gate in module.hidden_to_gates.weight.split(module.size):
            torch.testing.assert_close(gate @ gate.t(), torch.eye(module.size), atol=1e-5, rtol=0)
        bias = module.input_to_gates.bias + module.hidden_to_gates.bias
        forget = torch.zeros_like(bias)
        if cell == "lstm":
            forget[module.size : 2 * module.size] = 1
        assert torch.equal(bias, forget)
    decoder = model.decoder
    assert decoder.readout is not None
    bound = math.sqrt(6 / sum(decoder.readout.weight.shape))
    assert 0.9 * bound < decoder.readout.weight.abs().max() <= bound
    assert not decoder.output.bias.any()
    assert decoder.attention is not None
    v = decoder.attention.score.v
    assert isinstance(v, Tensor)
    assert 0.5 * 80**-0.5 < v.abs().max() <= 80**-0.5


def test_init_uniform_is_within_its_range() -> None:
    model = build(settings_of(init="uniform", init_range=0.07), 500, 400)
    for name, parameter in model.named_parameters():
        assert 0.05 < parameter.abs().max() <= 0.07, name


def test_init_bahdanau15_is_the_papers() -> None:
    """Appendix B.1: recurrent matrices orthogonal, W_a and U_a N(0, 0.001^2), v_a and every bias 0, all else
    N(0, 0.01^2).
    """
    model = build(
        settings_of(
            init="bahdanau15",
            encoder={"cell": "gru", "size": 64},
            decoder={
                "cell": "gru",
                "size": 96,
                "query_state": "previous",
                "context_to": ("input", "readout"),
            },
        ),
        500,
        400,
    )
    for name, parameter in model.named_parameters():
        if name.endswith("hidden_to_gates.weight"):
            for gate in parameter.split(parameter.size(1)):
                torch.testing.assert_close(gate @ gate.t(), torch.eye(parameter.size(1)), atol=1e-5, rtol=0)
        elif "score" in name and parameter.dim() == 2:
            assert parameter.std().item() == pytest.approx(0.001, rel=0.1), name
        elif parameter.dim() == 2:
            assert parameter.std().item() == pytest.approx(0.01, rel=0.1), name
        else:
            assert not parameter.any(), name


def test_init_follows_the_seed() -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(build(settings_of(), 100, 100).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("init", ["glorot", "uniform", "bahdanau15"])
def test_first_loss_is_that_of_a_guess(init: str) -> None:
    """A model that knows nothing says every word with nearly the same probability."""
    model = build(settings_of(init=init), 300, 300).eval()
    with torch.no_grad():
        logits = model(
            torch.randint(4, 300, (8, 7)), torch.ones(8, 7, dtype=torch.bool), torch.randint(4, 300, (8, 6))
        ).logits
    loss = F.cross_entropy(logits.flatten(0, 1), torch.randint(4, 300, (48,)))
    assert loss.item() == pytest.approx(math.log(300), abs=0.5)


# Training


def small(settings: config.ModelConfig) -> config.ModelConfig:
    """The same with a few units; of few frames, where it reads clips."""
    e, d = settings.encoder, settings.decoder
    embedding = 6 if e.kind == d.kind == "rnn" else 8
    stack = {"size": embedding, "feedforward": 6}
    few: dict[str, dict[str, Any]] = {"rnn": {"size": 4}, "conv": {"size": 4}, "transformer": stack}
    if e.kind == "image":
        few["image"] = {"channels": 4, "image_size": SIDE, "size": 8, "max_frames": min(e.max_frames, 4)}
        few["rnn"] = {"size": 8}
    tree = settings.model_dump() | {"embedding": embedding}
    tree["attention"]["size"] = 8
    tree["encoder"] |= few[e.kind]
    tree["decoder"] |= few[d.kind]
    if e.kind == d.kind == "rnn":
        tree["decoder"] |= {"size": 8 if e.bidirectional else 4, "readout_size": d.readout_size and 4}
    return config.ModelConfig.model_validate(tree)


@pytest.mark.parametrize("name", PRESETS)
def test_preset_builds_and_steps(name: str) -> None:
    settings = small(config.load(name).model)
    model = build(settings, 0 if settings.images else TARGET, TARGET)
    loss_of(model, batch_of(settings)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("backward", [True, False])
def test_training_step_leaves_nothing_behind(backward: bool) -> None:
    """What an unrolled loop holds is gone with its loss, gone back or not; nothing is left for the cycle
    collector's next round.
    """
    settings = recurrent(context_to=("input", "readout"), input_feeding=True)
    model = build(settings, SOURCE, TARGET)

    def count() -> int:
        return sum(issubclass(type(thing), DeferredGradient) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        loss = loss_of(model, batch_of(settings))
        if backward:
            loss.backward()
        assert count()
        del loss
        assert count() == 0
    finally:
        gc.enable()
