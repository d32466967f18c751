"""Whole models: what is shared, how they start, that all of them learn, and that nothing outlives a training
step.
"""

import copy
import gc
import math
import re

import pytest
import recipes
import torch
from hypothesis import given, settings
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn import config
from seq2attn.kernels.deferred_gradients import DeferredGradient
from seq2attn.models.layers.cells import Cell
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.training.objectives import reinforce

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
def test_what_is_tied_is_one_parameter(tied: str) -> None:
    model = build(settings_of(tied=tied), 200, 200)
    source, target, out = (
        model.encoder.embedding.weight,
        model.decoder.target_embedding.weight,
        model.decoder.output.weight,
    )
    assert (out is target) == (tied != "none")
    assert (source is target) == (tied == "all")
    assert out.shape == (200, 48 if tied != "none" else 96)


def test_one_embedding_cannot_serve_two_vocabularies() -> None:
    with pytest.raises(ValueError, match="tied"):
        build(settings_of(tied="all"), 200, 300)


def test_moving_and_copying_keeps_what_is_tied() -> None:
    model = copy.deepcopy(build(settings_of(tied="all"), 200, 200)).double()
    assert model.decoder.output.weight is model.encoder.embedding.weight


# First weights


@pytest.mark.parametrize("cell", ["rnn", "gru", "lstm"])
def test_glorot_starts_as_documented(cell: str) -> None:
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


def test_uniform_starts_within_its_range() -> None:
    model = build(settings_of(init="uniform", init_range=0.07), 500, 400)
    for name, parameter in model.named_parameters():
        assert 0.05 < parameter.abs().max() <= 0.07, name


def test_bahdanau15_starts_as_the_paper_has_it() -> None:
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


def test_first_weights_follow_the_seed() -> None:
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return nn.utils.parameters_to_vector(build(settings_of(), 100, 100).parameters())

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("init", ["glorot", "uniform", "bahdanau15"])
def test_the_first_loss_is_that_of_a_guess(init: str) -> None:
    """A model that knows nothing says every word with nearly the same probability."""
    model = build(settings_of(init=init), 300, 300).eval()
    with torch.no_grad():
        logits = model(
            torch.randint(4, 300, (8, 7)), torch.ones(8, 7, dtype=torch.bool), torch.randint(4, 300, (8, 6))
        ).logits
    loss = F.cross_entropy(logits.flatten(0, 1), torch.randint(4, 300, (48,)))
    assert loss.item() == pytest.approx(math.log(300), abs=0.5)


# Training


def batch(vocabulary: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    source = torch.randint(4, vocabulary, (4, 5))
    targets = torch.randint(4, recipes.TARGET, (4, 6))
    inputs = torch.cat([torch.full((4, 1), 2), targets[:, :-1]], 1)
    return source, torch.arange(5) < torch.tensor([5, 1, 3, 4])[:, None], inputs, targets


def loss_of(model: Seq2Seq, source: Tensor, mask: Tensor, inputs: Tensor, targets: Tensor) -> Tensor:
    """The objective per token: cross-entropy and, where attention draws, the REINFORCE terms."""
    found = model.decoder.hidden_states(inputs, model.encoder(source, mask))
    losses = F.cross_entropy(
        model.decoder.output(found.features_BTD).flatten(0, 1), targets.flatten(), reduction="none"
    )
    total = losses.sum()
    if found.log_p_BT is not None:
        assert found.entropy_BT is not None
        paid = reinforce.reinforce_loss(
            losses.detach(),
            found.log_p_BT,
            found.entropy_BT,
            torch.arange(targets.numel()),
            to_go=model.decoder.context_feeds_later_steps,
            baseline=-2.0,
            settings=config.ReinforceConfig(),
        )
        total = total + paid[0]
    return total / targets.numel()


def without_effect(name: str, chosen: config.ModelConfig) -> bool:
    """Whether the gradient of a weight may be zero by what the settings mean."""
    a, inside = chosen.attention, name.removeprefix("decoder.attention.")
    if chosen.decoder.context_source != "attention" or inside == name:
        return False
    if a.normaliser in ("sparsemax", "entmax15") and (
        a.window != "none" or a.score == "cosine"
    ):  # with all the weight on one position, scores are free to move
        return inside.startswith(("score.", "term.", "query.", "key."))
    if a.score == "concat-linear" and a.normaliser != "sigmoid":  # a query adds one number to all of a row
        return inside.startswith("score.query.") or (inside.startswith("query.") and a.window != "local-p")
    return False


def assert_it_trains(chosen: config.ModelConfig, must_fall: bool) -> None:
    """Three steps on one batch: the loss is finite and, where nothing is random, less in the end; there is a
    finite gradient for every parameter, and it is not zero.
    """
    torch.manual_seed(1)
    sizes = (recipes.TARGET, recipes.TARGET) if chosen.tied == "all" else (recipes.SOURCE, recipes.TARGET)
    model = build(chosen, *sizes)
    data = batch(sizes[0])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    reached = {name: without_effect(name, chosen) for name, _ in model.named_parameters()}
    first = loss_of(model.eval(), *data).item()
    model.train()
    for _ in range(3):
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(model, *data)
        assert torch.isfinite(loss)
        loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name
            reached[name] |= bool(parameter.grad.any())
        optimizer.step()
    assert all(reached.values()), [name for name, found in reached.items() if not found]
    if must_fall:
        assert loss_of(model.eval(), *data).item() < first


@pytest.mark.parametrize("chosen", recipes.SWEEP, ids=recipes.NAMES)
def test_every_recipe_trains(chosen: config.ModelConfig) -> None:
    assert_it_trains(
        chosen,
        must_fall=chosen.decoder.context_source != "attention"
        or chosen.attention.normaliser not in config.HARD,
    )


@settings(max_examples=30, deadline=None, derandomize=True)
@given(recipes.models())
def test_any_valid_model_trains(chosen: config.ModelConfig) -> None:
    assert_it_trains(chosen, must_fall=False)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(recipes.anything())
def test_whatever_the_config_accepts_trains_and_what_it_refuses_it_names(
    drawn: tuple[config.ModelConfig, list[str]],
) -> None:
    """Settings drawn without a thought for each other. A refusal must name a setting that was given; without
    it, in the end, there is a model, and it trains.
    """
    chosen, refusals = drawn
    assert all(re.match(r"any: model\.[a-z_.]+", refusal) for refusal in refusals)
    assert_it_trains(chosen, must_fall=False)


def small(chosen: config.ModelConfig) -> config.ModelConfig:
    """The same with a few units; of small images, where it reads them."""
    if chosen.encoder.kind == "image":
        few = {"channels": 4, "image_size": 16, "size": 8, "max_frames": min(chosen.encoder.max_frames, 2)}
        parts = {"size": 8, "feedforward": 6} if chosen.decoder.kind == "transformer" else {"size": 8}
        tree = chosen.model_dump() | {"embedding": 8}
        tree["attention"]["size"] = 8
        tree["encoder"] |= few
        tree["decoder"] |= parts
        return config.ModelConfig.model_validate(tree)
    embedding = 6 if chosen.encoder.kind == chosen.decoder.kind == "rnn" else 8
    tree = chosen.model_dump() | {"embedding": embedding}
    tree["attention"]["size"] = 8
    tree["encoder"] |= {"rnn": {"size": 4}, "transformer": {"size": embedding, "feedforward": 6}}.get(
        chosen.encoder.kind, {"size": 4}
    )
    tree["decoder"] |= {"transformer": {"size": embedding, "feedforward": 6}}.get(
        chosen.decoder.kind, {"size": 4}
    )
    if chosen.decoder.kind == "rnn":
        assert chosen.encoder.kind == "rnn"
        width = 4 * (2 if chosen.encoder.bidirectional else 1)
        tree["decoder"] |= {"size": width, "readout_size": chosen.decoder.readout_size and 4}
    return config.ModelConfig.model_validate(tree)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_builds_and_steps(name: str) -> None:
    chosen = small(config.load(name).model)
    model = build(chosen, 0 if chosen.images else recipes.TARGET, recipes.TARGET)
    source, mask, *rest = batch(recipes.TARGET)
    if chosen.encoder.kind == "image":
        frames = (chosen.encoder.max_frames,) if chosen.encoder.clips else ()
        source = torch.randint(0, 256, (len(source), *frames, 3, 16, 16), dtype=torch.uint8)
        mask = torch.ones(len(source), *(frames or (1,)), dtype=torch.bool)
    loss_of(model, source, mask, *rest).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("backward", [True, False])
def test_nothing_outlives_a_training_step(backward: bool) -> None:
    """What an unrolled loop keeps is gone with its loss, gone back or not; nothing is left for the cycle
    collector's next round.
    """
    model = build(
        recipes.make({}, {"cell": "gru", "context_to": ("input", "readout"), "input_feeding": True}),
        recipes.SOURCE,
        recipes.TARGET,
    )

    def kept() -> int:
        return sum(issubclass(type(thing), DeferredGradient) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        loss = loss_of(model, *batch(recipes.SOURCE))
        if backward:
            loss.backward()
        assert kept()
        del loss
        assert kept() == 0
    finally:
        gc.enable()
