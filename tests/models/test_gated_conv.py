"""The convolutional model: its weights beside torch's own, what a step keeps, where dropout falls, its first
weights, and its gradients, which are scaled on purpose.
"""

import copy
from pathlib import Path
from typing import Any, cast

import pytest
import recipes
import torch
from conv_recipes import FEW, KERNELS, POSITIONS, SIZE, SMOOTH, SWEEP, plain
from models.laws import B, S, T, random_model, text_batch
from recipes import SOURCE, TARGET
from torch import Tensor, nn

from seq2attn import config
from seq2attn.config.sizes import memory_parts
from seq2attn.errors import UsageError
from seq2attn.models.decoders import conv as conv_decoders
from seq2attn.models.decoders.conv import ConvDecoder
from seq2attn.models.encoders import conv as conv_encoders
from seq2attn.models.encoders.conv import ConvEncoder
from seq2attn.models.layers.gated_conv import GatedConv, WeightNorm, WeightNormLinear
from seq2attn.models.seq2seq import build
from seq2attn.models.state import select
from seq2attn.runs.tensors import load_tensors, named_tensors, read_tensors, write_tensors

DRAWING = [settings for settings in SWEEP if settings.attention.normaliser == "hard-sample"]


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


# Settings


def test_sweep_has_every_value_of_every_setting() -> None:
    for part in (SWEEP, FEW, SMOOTH):
        for which in ("encoder", "decoder"):
            stacks = [getattr(settings, which) for settings in part]
            for key, values in {
                "kernel": KERNELS[which],
                "layers": (1, 2, 3),
                "positions": POSITIONS,
                "max_positions": (3, 9, 1024),
            }.items():
                assert {getattr(stack, key) for stack in stacks} == set(values), key
        for key, values in {
            "keys": recipes.PARTS,
            "values": recipes.PARTS,
            "window": recipes.WINDOWS,
            "heads": (1, 2, 3),
            "value_map": recipes.MAPS,
        }.items():
            assert {getattr(settings.attention, key) for settings in part} == set(values), key
    assert {settings.attention.at_inference for settings in DRAWING} == {"argmax", "expected", "sample"}
    assert any(settings.decoder.layers > 1 for settings in DRAWING)


# torch's own


@pytest.mark.parametrize("kernel", [None, 1, 3])
def test_weight_norm_equals_torchs(kernel: int | None) -> None:
    """torch.nn.utils.parametrizations.weight_norm with the same direction and length: what comes out, and
    every gradient.
    """
    ours = WeightNormLinear(4, 5) if kernel is None else GatedConv(4, kernel, 1.0, padding=2)
    theirs = nn.utils.parametrizations.weight_norm(
        nn.Linear(4, 5) if kernel is None else nn.Conv1d(4, 8, kernel, padding=2)
    )
    for parameter in ours.parameters():
        nn.init.uniform_(parameter, -1, 1)
    held = theirs.parametrizations.weight  # type: ignore[union-attr,index]
    held.original0.data = ours.gain.detach().clone().view(held.original0.shape)
    held.original1.data = ours.weight.detach().clone()
    theirs.bias.data = ours.bias.detach().clone()
    x = torch.randn(2, 6, 4)
    want = theirs(x) if kernel is None else nn.functional.glu(theirs(x.mT).mT, -1)
    got = ours(x)
    torch.testing.assert_close(got, want)
    torch.testing.assert_close(ours(x, ours.normalised_weight()), want)
    loss = torch.randn_like(want)
    (got * loss).sum().backward()
    (want * loss).sum().backward()
    for mine, other in ((ours.gain, held.original0), (ours.weight, held.original1), (ours.bias, theirs.bias)):
        assert mine.grad is not None
        torch.testing.assert_close(mine.grad, other.grad.view(mine.shape))


def test_model_survives_copies_and_files(tmp_path: Path) -> None:
    settings = plain()
    model = random_model(settings)
    data = text_batch()
    want = model(*data).logits
    torch.testing.assert_close(copy.deepcopy(model)(*data).logits, want)
    with torch.device("meta"):
        empty = build(settings, SOURCE, TARGET)
    assert {key: one.shape for key, one in empty.named_parameters()} == {
        key: one.shape for key, one in model.named_parameters()
    }
    write_tensors(tmp_path / "w.safetensors", named_tensors(model))
    other = build(settings, SOURCE, TARGET).eval()
    load_tensors(other, read_tensors(tmp_path / "w.safetensors"), "here")
    assert torch.equal(other(*data).logits, want)


# All at once and step by step


@pytest.mark.parametrize("kernel", KERNELS["decoder"])
def test_step_stores_only_what_its_kernels_read(kernel: int) -> None:
    model = random_model(plain(kernel=kernel, layers=3))
    source, mask, inputs = text_batch(targets=9)
    with torch.no_grad():
        memory = model.encoder(source, mask)
        read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, 2)
        for t in range(9):
            _, state = model.decoder.step(inputs[:, t].repeat_interleave(2), state, read)
        assert [part.shape for part in state.past.before] == [(2 * B, kernel - 1, 4)] * 3
        got = model.decoder(inputs, memory).logits[:, -1]
        reach = 3 * (kernel - 1)  # positions before this one
        for t in range(8):
            changed = inputs.clone()
            changed[:, t] = 11 - changed[:, t]
            assert torch.allclose(model.decoder(changed, memory).logits[:, -1], got) == (8 - t > reach)


def test_weight_norm_is_computed_once_for_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    model, made_of = random_model(plain()), []
    monkeypatch.setattr(
        WeightNorm,
        "normalised_weight",
        lambda self, matrix=WeightNorm.normalised_weight: made_of.append(self) or matrix(self),
    )
    source, mask, inputs = text_batch()
    model(source, mask, inputs)
    every = [module for module in model.modules() if isinstance(module, WeightNorm)]
    assert len(every) == 2 + 2 + 2 + 2 * 3
    assert sorted(map(id, made_of)) == sorted(map(id, every))
    memory = model.encoder(source, mask)
    read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory)
    made_of.clear()
    for t in range(T):
        _, state = model.decoder.step(inputs[:, t], state, select(read, torch.arange(B)))
    assert not made_of


# Gradients


@pytest.mark.parametrize("values", ["states", "sum"])
@pytest.mark.parametrize("layers", [1, 3])
def test_encoder_gradient_is_that_of_one_reading(layers: int, values: str) -> None:
    """Section 3.4: divided by the number of attentions, as keys and as values, but for what reaches the
    embeddings past the encoder.
    """
    model = random_model(plain({"values": values}, layers=layers))
    data, weight = text_batch(), torch.randn(B, T, TARGET)

    def gradients(share: float) -> dict[str, Tensor]:
        model.encoder.gradient_share = share  # type: ignore[assignment]
        model.zero_grad()
        (model(*data).logits * weight).sum().backward()
        return {key: cast(Tensor, one.grad).clone() for key, one in model.named_parameters()}

    share = cast(float, model.encoder.gradient_share)
    assert share == 1 / (2 * layers)
    got, whole, past = gradients(share), gradients(1.0), gradients(0.0)
    for key, gradient in got.items():
        outside = key.startswith("encoder.") and not key.startswith(
            ("encoder.embedding", "encoder.positions")
        )
        assert (past[key] == 0).all() == (key.startswith("encoder.") and (outside or values == "states")), key
        want = past[key] + share * (whole[key] - past[key]) if key.startswith("encoder.") else whole[key]
        torch.testing.assert_close(gradient, want, msg=lambda text, key=key: f"{key}: {text}")


def test_encoder_gradient_is_whole_beside_one_attention() -> None:
    model = build(
        config.ModelConfig.model_validate(
            {"embedding": SIZE, "encoder": {"kind": "conv", "size": 4, "layers": 2}}
        ),
        SOURCE,
        TARGET,
    )
    assert type(model.encoder) is ConvEncoder
    assert model.encoder.gradient_share == 1


# Dropout


def test_model_drops_embeddings_inputs_of_convolutions_and_the_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Section 4.2; on a block's input where it is convolved, not where it is the residual."""
    model, dropped = random_model(plain(dropout=0.3)), []

    def note(x: Tensor, p: float, training: bool) -> Tensor:
        dropped.append((tuple(x.shape), p, training))
        return x

    for module in (conv_encoders, conv_decoders):
        monkeypatch.setattr(module, "dropout", note)
    source, mask, inputs = text_batch()
    for training in (True, False):
        dropped.clear()
        model.train(training)(source, mask, inputs)
        assert [shape for shape, _, _ in dropped] == [
            (B, S, SIZE),
            *[(B, S, 5)] * 2,
            (B, T, SIZE),
            *[(B, T, 4)] * 2,
            (B, T, SIZE),
        ]
        assert {(p, flag) for _, p, flag in dropped} == {(0.3, training)}


def test_model_does_not_drop_residuals(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(plain({}, {"layers": 1, "positions": "none"}, dropout=0.5))
    source, mask, _ = text_batch()
    monkeypatch.setattr(conv_encoders, "dropout", lambda x, p, training: x if x.size(-1) == SIZE else x * 0)
    encoder = cast(ConvEncoder, model.encoder)
    convolution = cast(GatedConv, encoder.layers[0])
    with torch.no_grad():
        x = encoder.in_proj(encoder.embedding(source))
        nothing = convolution(torch.zeros(B, S, 5))
        torch.testing.assert_close(encoder(source, mask).keys_BSK, encoder.out_proj((x + nothing) * 0.5**0.5))


# First weights


def test_presets_are_the_papers_model() -> None:
    for name in ("gehring17", "gehring17-paper"):
        preset = config.load(name)
        model, train = preset.model, preset.train
        assert model.encoder.kind == model.decoder.kind == "conv"
        assert model.encoder.layers == model.decoder.layers
        assert model.encoder.kernel == model.decoder.kernel == 3
        assert (model.attention.score, model.attention.heads) == ("dot", 1)
        assert memory_parts(model) == ("states", "sum")
    assert model.encoder.size == model.decoder.size == model.embedding == 512
    # section 4.2
    assert (train.momentum, train.lr, train.clip_norm, train.plateau_factor) == (0.99, 0.25, 0.1, 0.1)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_init_glorot_is_the_papers(dropout: float) -> None:
    """Section 3.5."""
    side = {"kind": "conv", "size": 96, "layers": 2, "kernel": 3}
    settings = config.ModelConfig.model_validate(
        {
            "embedding": 64,
            "tied": "none",
            "dropout": dropout,
            "encoder": side,
            "decoder": side,
            "attention": {"score": "dot"},
        }
    )
    model = build(settings, 500, 400)
    assert type(model.encoder) is ConvEncoder
    assert type(model.decoder) is ConvDecoder
    for embedding in (module for module in model.modules() if isinstance(module, nn.Embedding)):
        assert embedding.weight.std().item() == pytest.approx(0.1, rel=0.05)
    keep_prob = 1 - dropout
    deviations = {
        "in_proj": (keep_prob / 64) ** 0.5,
        "out_proj": 96**-0.5,
        "query_proj": 96**-0.5,
        "context_proj": 64**-0.5,
        "convolution": (4 * keep_prob / (3 * 96)) ** 0.5,
        "layers": (4 * keep_prob / (3 * 96)) ** 0.5,
    }
    kinds = set()
    for key, module in model.named_modules():
        if isinstance(module, WeightNorm):
            kind = next(part for part in reversed(key.split(".")) if not part.isdigit())
            kinds.add(kind)
            assert module.weight.std().item() == pytest.approx(deviations[kind], rel=0.05), key
            torch.testing.assert_close(module.normalised_weight(), module.weight)
            assert not module.bias.any()
    assert kinds == set(deviations)
    assert not model.decoder.output.bias.any()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_init_preserves_the_variance_through_all_layers(dropout: float) -> None:
    """What the scalings and first weights of sections 3.4 and 3.5 are for: ten layers deep, with attention
    that is nearly even.
    """
    side = {"kind": "conv", "size": 128, "layers": 10, "kernel": 3, "positions": "none"}
    settings = config.ModelConfig.model_validate(
        {
            "embedding": 128,
            "dropout": dropout,
            "encoder": side,
            "decoder": side,
            "attention": {"score": "dot", "values": "sum"},
        }
    )
    model = build(settings, 200, 200).train()
    source, mask = torch.randint(4, 200, (8, 12)), torch.ones(8, 12, dtype=torch.bool)
    memory = model.encoder(source, mask)
    assert 0.05 < memory.keys_BSK.std() < 0.2
    assert 0.05 < model.decoder.hidden_states(torch.randint(4, 200, (8, 12)), memory).features_BTD.std() < 0.3


@pytest.mark.parametrize("init", ["uniform", "bahdanau15"])
def test_init_of_weight_norm_leaves_the_weights(init: str) -> None:
    model = build(plain().model_copy(update={"init": init}), SOURCE, TARGET)
    for module in model.modules():
        if isinstance(module, WeightNorm):
            torch.testing.assert_close(module.normalised_weight(), module.weight)


# Refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.encoder.kernel": 4}, "model.encoder.kernel is 4: .* odd"),
        (
            {"model.encoder.positions": "none", "model.encoder.max_positions": 9},
            'model.encoder.max_positions is for model.encoder.positions="learned"',
        ),
        (
            {"model.decoder.positions": "none", "model.decoder.max_positions": 9},
            'model.decoder.max_positions is for model.decoder.positions="learned"',
        ),
        ({"model.decoder.heads": 2}, "model.decoder.heads is for model.decoder.kind"),
        (
            {"model.attention.history": "coverage"},
            'model.attention.history="coverage" reads the weights of earlier steps, and a conv decoder',
        ),
        (
            {"model.attention.query_input": "both"},
            'model.attention.query_input="both" is for a recurrent decoder',
        ),
        ({"model.encoder.positions": "rotary"}, "model.encoder.positions"),
        ({"model.attention.heads": 4}, "model.attention.heads=4 must divide"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_refused_by_name(changes: dict[str, Any], message: str) -> None:
    tree = {"model": plain().model_dump(exclude_unset=True)}
    for key, value in changes.items():
        _, section, field = key.split(".")
        tree["model"][section][field] = value
    with pytest.raises(UsageError, match=message):
        config.validate(tree, "test")
