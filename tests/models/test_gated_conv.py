"""The convolutional model: held to the papers' equations and to torch's own, step by step and at once, and
its gradients, which are scaled on purpose.
"""

import copy
import itertools
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import recipes
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from named_weights import recipe, weights
from torch import Tensor, nn

from seq2attn import config
from seq2attn.attention import Attention
from seq2attn.config.sizes import memory_parts
from seq2attn.errors import UsageError
from seq2attn.models.decoders import conv as conv_decoders
from seq2attn.models.decoders.conv import ConvDecoder
from seq2attn.models.encoders import conv as conv_encoders
from seq2attn.models.encoders.conv import ConvEncoder
from seq2attn.models.layers.gated_conv import GatedConv, WeightNorm, WeightNormLinear
from seq2attn.models.memory import DecoderOutput, mean_attention
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.models.state import select
from seq2attn.runs.tensors import load_tensors, named_tensors, read_tensors, write_tensors

SOURCE, TARGET = 9, 8  # vocabularies
LENGTHS = [4, 1, 3]  # of the sources
B, S, T = 3, 4, 5
SIZE = 6  # of embeddings
# which asks with the embedding beside the state
SCORES = tuple(score for score in recipes.SCORES if score != "concat-location")
POSITIONS = ("learned", "sinusoidal", "none")
HEADS = ((1, None), (2, None), (2, 1), (3, None))
KERNELS = {"encoder": (1, 3, 5), "decoder": (1, 2, 3, 4)}


def side(draw: recipes.Draw, which: str, **chosen: Any) -> dict[str, Any]:
    tree = {
        "kind": "conv",
        "size": draw((4, 5)),
        "layers": draw((1, 2, 3)),
        "kernel": draw(KERNELS[which]),
        "positions": draw(POSITIONS),
    }
    if tree["positions"] == "learned":
        tree["max_positions"] = draw((3, 9))
    return tree | chosen


def asking(draw: recipes.Draw, score: str, normaliser: str, plain: int = 2) -> dict[str, Any]:
    """Any attention that asks for no past and no embedding."""
    tree = recipes.attention(draw, score, normaliser, plain)
    for name in ("history", "filters", "kernel", "max_fertility", "query_input"):
        tree.pop(name, None)
    if "location" in score:
        tree["keys"] = "states"
        tree["values"] = draw(("states", "sum"))  # or else nothing reads the encoder
    if tree["values"] == tree["keys"] == "embeddings":
        tree["keys"] = "sum"
    tree["heads"], tree["kv_heads"] = draw(HEADS)
    if tree["heads"] > 1:
        tree.pop("value_map", None)
    tree["size"] = draw((None, 12))
    return tree


def make(
    encoder: dict[str, Any],
    decoder: dict[str, Any],
    attention: dict[str, Any],
    tied: str = "none",
    dropout: float = 0.0,
) -> config.ModelConfig:
    return config.ModelConfig.model_validate(
        {
            "embedding": SIZE,
            "dropout": dropout,
            "tied": tied,
            "encoder": encoder,
            "decoder": decoder,
            "attention": attention,
        }
    )


def made(
    attention: dict[str, Any] | None = None,
    encoder: dict[str, Any] | None = None,
    dropout: float = 0.0,
    **decoder: Any,
) -> config.ModelConfig:
    plain = {"kind": "conv", "layers": 2, "kernel": 3}
    return make(
        plain | {"size": 5} | (encoder or {}),
        plain | {"size": 4} | decoder,
        {"score": "dot", "values": "sum"} | (attention or {}),
        dropout=dropout,
    )


def sweep() -> list[config.ModelConfig]:
    """Scores x normalisers, all else drawn for each."""
    draw = random.Random(8).choice
    found = []
    for pair in itertools.product(SCORES, recipes.NORMALISERS):
        decoder = side(draw, "decoder")
        found.append(
            make(side(draw, "encoder"), decoder, asking(draw, *pair), draw(("none", "output", "all")))
        )
    return found


def name(chosen: config.ModelConfig) -> str:
    def differing(section: config.Section) -> list[str]:
        fields = type(section).model_fields
        return [
            f"{key}={value}"
            for key, value in section
            if key not in ("kind", "size") and value != fields[key].default
        ]

    return "-".join(
        [
            *differing(chosen.attention),
            "ENC",
            *differing(chosen.encoder),
            "DEC",
            *differing(chosen.decoder),
            f"tied={chosen.tied}",
        ]
    )


SWEEP = sweep()
FEW = recipes.cover(SWEEP)  # for what takes longer
# with a true gradient
SMOOTH = recipes.cover([chosen for chosen in SWEEP if chosen.attention.normaliser not in config.HARD])
DRAWING = [chosen for chosen in SWEEP if chosen.attention.normaliser == "hard-sample"]


@st.composite
def models(draw: st.DrawFn) -> config.ModelConfig:
    """Any valid convolutional model, small."""

    def one(values: Sequence[Any]) -> Any:
        return draw(st.sampled_from(list(values)))

    attention = asking(one, one(SCORES), one(recipes.NORMALISERS), plain=1)
    return make(
        side(one, "encoder"),
        side(one, "decoder"),
        attention,
        one(("none", "output", "all")),
        dropout=one((0.0, 0.3)),
    )


@st.composite
def anything(draw: st.DrawFn) -> tuple[config.ModelConfig, list[str]]:
    """As `recipes.anything`: settings drawn without a thought for each other, and what the config said until
    it had none left to refuse.
    """

    def one(values: Sequence[Any]) -> Any:
        return draw(st.sampled_from(list(values)))

    stack = {"layers": (1, 2), "kernel": (1, 2, 3), "positions": POSITIONS, "max_positions": (3, 9)}
    sections: dict[str, dict[str, tuple[Any, ...]]] = {
        "encoder": stack,
        "decoder": stack,
        "attention": {
            "score": recipes.SCORES,
            "size": (4, 12),
            "query_input": ("state", "state", "both"),
            "keys": recipes.PARTS,
            "values": recipes.PARTS,
            "value_map": recipes.MAPS,
            "heads": (1, 2, 3, 4),
            "kv_heads": (1, 2),
            "history": ("none", "none", "coverage"),
            "normaliser": recipes.NORMALISERS,
            "window": recipes.WINDOWS,
        },
    }
    tree: dict[str, Any] = {
        "embedding": SIZE,
        "encoder": {"kind": "conv", "size": 4},
        "decoder": {"kind": "conv", "size": 5},
        "attention": {},
    }
    loose = {
        "model.tied": one(("none", "output", "all")),
        "model.dropout": one((0.0, 0.3)),
        "model.init": one(("glorot", "uniform", "bahdanau15")),
    }
    for section, options in sections.items():
        loose |= {
            f"model.{section}.{key}": one(values) for key, values in options.items() if draw(st.booleans())
        }
    return recipes.settle(tree, loose)


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


def model_of(chosen: config.ModelConfig) -> Seq2Seq:
    """With weights large enough for every part to matter, biases included."""
    model = build(chosen, TARGET if chosen.tied == "all" else SOURCE, TARGET).eval()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return model


def sentences(targets: int = T) -> tuple[Tensor, Tensor, Tensor]:
    """Source ids, none twice in a row, for hard weights between equal keys would hang on rounding; their
    mask; target inputs. Padding holds any id.
    """
    source = 4 + torch.rand(B, TARGET - 4).argsort(1)[:, :S]
    return source, torch.arange(S) < torch.tensor(LENGTHS)[:, None], torch.randint(4, TARGET, (B, targets))


def attentions(model: Seq2Seq) -> list[Attention]:
    return [module for module in model.decoder.modules() if type(module) is Attention]


def read_by_head(
    model: Seq2Seq, source: Tensor, mask: Tensor, inputs: Tensor
) -> tuple[DecoderOutput, Tensor]:
    """Teacher forcing, and beside it the weights of each layer and head, (B, T, L, H, S)."""
    seen: list[Tensor] = []
    hooks = [
        one.register_forward_hook(lambda _, __, reading: seen.append(reading.weights))
        for one in attentions(model)
    ]
    with torch.no_grad():
        got = model(source, mask, inputs, weights=True)
    for hook in hooks:
        hook.remove()
    return got, torch.stack(seen, 2)


# The papers


def assert_is_the_papers(chosen: config.ModelConfig) -> None:
    model = model_of(chosen)
    source, mask, inputs = sentences()
    got, seen = read_by_head(model, source, mask, inputs)
    assert got.weights is not None
    named = weights(model, chosen)
    with torch.no_grad():
        memory = model.encoder(source, mask)
    for b, length in enumerate(LENGTHS):
        # what follows from them must be the papers'
        drawn = seen[b, ..., :length].numpy() if chosen.attention.at_inference == "sample" else None
        encoded = reference.encode(recipe(chosen), named, source[b, :length].tolist())
        np.testing.assert_allclose(
            memory.values_BSV[b, :length],
            np.stack(reference.memory(chosen.attention.values, encoded)),
            atol=1e-9,
        )
        np.testing.assert_allclose(memory.summary_BV[b], encoded.summary, atol=1e-9)
        want = reference.decode(recipe(chosen), named, encoded, inputs[b].tolist(), drawn)
        np.testing.assert_allclose(got.logits[b], np.stack(want.logits), atol=1e-9)
        np.testing.assert_allclose(
            mean_attention(got.weights)[b, :, :length], np.stack(want.attention), atol=1e-9
        )
        assert (got.weights[b, ..., length:] == 0).all()


@pytest.mark.parametrize("chosen", SWEEP, ids=name)
def test_forward_is_the_papers(chosen: config.ModelConfig) -> None:
    assert_is_the_papers(chosen)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(models())
def test_any_valid_convolutional_model_is_the_papers(chosen: config.ModelConfig) -> None:
    assert_is_the_papers(chosen)


def test_the_sweep_has_every_choice_somewhere() -> None:
    for part in (SWEEP, FEW, SMOOTH):
        for which in ("encoder", "decoder"):
            stacks = [getattr(chosen, which) for chosen in part]
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
            assert {getattr(chosen.attention, key) for chosen in part} == set(values), key
    assert {chosen.attention.at_inference for chosen in DRAWING} == {"argmax", "expected", "sample"}
    assert any(chosen.decoder.layers > 1 for chosen in DRAWING)


@pytest.mark.parametrize("chosen", DRAWING, ids=name)
def test_what_is_drawn_in_training_is_read_and_costs_what_the_papers_say(chosen: config.ModelConfig) -> None:
    """In every layer: log-probabilities and entropies are of all that was drawn; a sentence reads the mean in
    all layers or in none.
    """
    model = model_of(chosen).train()
    source, mask, inputs = sentences()
    memory = model.encoder(source, mask)
    for seed in range(3):
        torch.manual_seed(seed)
        got, drawn = read_by_head(model, source, mask, inputs)
        torch.manual_seed(seed)
        found = model.decoder.hidden_states(inputs, memory)
        assert found.log_p_BT is not None
        assert found.entropy_BT is not None
        named = weights(model, chosen)
        for b, length in enumerate(LENGTHS):
            ones = drawn[b, ..., :length].numpy()
            mean = not np.isin(ones, (0, 1)).all()
            how = replace(recipe(chosen), at_inference="expected" if mean else "argmax")
            want = reference.run(
                how, named, source[b, :length].tolist(), inputs[b].tolist(), None if mean else ones
            )
            np.testing.assert_allclose(got.logits[b], np.stack(want.logits), atol=1e-9)
            np.testing.assert_allclose(found.entropy_BT[b].detach(), want.entropy, atol=1e-9)
            if mean:
                assert (found.log_p_BT[b] == 0).all()
            elif chosen.attention.k == 1:  # the order of several is not known here
                np.testing.assert_allclose(found.log_p_BT[b].detach(), want.log_p, atol=1e-9)


# torch's own


@pytest.mark.parametrize("kernel", [None, 1, 3])
def test_normalised_weights_are_torchs(kernel: int | None) -> None:
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


def test_models_are_copied_built_without_memory_and_kept_without_pickle(tmp_path: Path) -> None:
    chosen = made()
    model = model_of(chosen)
    data = sentences()
    want = model(*data).logits
    torch.testing.assert_close(copy.deepcopy(model)(*data).logits, want)
    with torch.device("meta"):
        empty = build(chosen, SOURCE, TARGET)
    assert {key: one.shape for key, one in empty.named_parameters()} == {
        key: one.shape for key, one in model.named_parameters()
    }
    write_tensors(tmp_path / "w.safetensors", named_tensors(model))
    other = build(chosen, SOURCE, TARGET).eval()
    load_tensors(other, read_tensors(tmp_path / "w.safetensors"), "here")
    assert torch.equal(other(*data).logits, want)


# All at once and step by step


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("chosen", SWEEP, ids=name)
def test_steps_are_the_whole_sequence_and_a_beam_is_one_more_query(
    chosen: config.ModelConfig, width: int
) -> None:
    model = model_of(chosen)
    source, mask, _ = sentences()
    inputs_BWT = torch.randint(4, TARGET, (B, width, T))
    with torch.no_grad():
        memory = model.encoder(source, mask)
        whole = [model.decoder(inputs_BWT[:, w], memory, weights=True) for w in range(width)]
        read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, width)
        for t in range(T):
            out, state = model.decoder.step(inputs_BWT[:, :, t].flatten(), state, read)
            torch.testing.assert_close(
                out.logits.view(B, width, -1), torch.stack([w.logits[:, t] for w in whole], 1)
            )
            torch.testing.assert_close(
                out.weights.unflatten(0, (B, width)), torch.stack([w.weights[:, t] for w in whole], 1)
            )


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("chosen", FEW, ids=name)
def test_rows_that_change_places_and_sentences_that_leave_go_on_as_they_were(
    chosen: config.ModelConfig, width: int, mode: Callable[[], Any]
) -> None:
    """A search of many steps, with its rows chosen anew after each: every row says at last what teacher
    forcing says of its tokens.
    """
    steps, rows = 14, B * width
    model = model_of(chosen)
    source, mask, _ = sentences()
    tokens = torch.zeros(rows, 0, dtype=torch.long)
    sentence_R = torch.arange(B).repeat_interleave(width)
    with mode():
        memory = model.encoder(source, mask)
        read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, width)
        for t in range(steps):
            token = torch.randint(4, TARGET, (rows,))
            tokens = torch.cat([tokens, token[:, None]], 1)
            out, state = model.decoder.step(token, state, read)
            want = model.decoder(tokens, select(memory, sentence_R), weights=True)
            torch.testing.assert_close(out.logits, want.logits[:, -1])
            torch.testing.assert_close(out.weights, want.weights[:, -1])
            stay = torch.arange(rows // width)
            if t in (4, 9):
                stay = torch.tensor([0, 2]) if t == 4 else torch.tensor([1])
                read = select(read, stay)
            chosen_R = (stay[:, None] * width + torch.randint(0, width, (len(stay), width))).flatten()
            state, tokens, sentence_R, rows = (
                select(state, chosen_R),
                tokens[chosen_R],
                sentence_R[chosen_R],
                len(chosen_R),
            )


@pytest.mark.parametrize("chosen", FEW, ids=name)
def test_a_state_is_a_value(chosen: config.ModelConfig) -> None:
    """Two steps from one state, each continued: neither changes the other, nor the state."""
    model = model_of(chosen)
    source, mask, _ = sentences()
    token, other, last = torch.randint(4, TARGET, (3, B * 2))
    with torch.no_grad():
        memory = model.encoder(source, mask)
        read = model.decoder.project_memory(memory)
        _, state = model.decoder.step(token, model.decoder.initial_state(memory, 2), read)
        first, after_first = model.decoder.step(token, state, read)
        _, after_second = model.decoder.step(other, state, read)
        again, _ = model.decoder.step(token, state, read)
        torch.testing.assert_close(first.logits, again.logits)
        for middle, after in ((other, after_second), (token, after_first)):
            out, _ = model.decoder.step(last, after, read)
            want = model.decoder(
                torch.stack([token, middle, last], 1), select(memory, torch.arange(B).repeat_interleave(2))
            )
            torch.testing.assert_close(out.logits, want.logits[:, -1])


@pytest.mark.parametrize("kernel", KERNELS["decoder"])
def test_a_step_looks_back_at_what_its_kernels_see_and_keeps_no_more(kernel: int) -> None:
    model = model_of(made(kernel=kernel, layers=3))
    source, mask, inputs = sentences(9)
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


def test_weights_are_normalised_once_for_all_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    model, made_of = model_of(made()), []
    monkeypatch.setattr(
        WeightNorm,
        "normalised_weight",
        lambda self, matrix=WeightNorm.normalised_weight: made_of.append(self) or matrix(self),
    )
    source, mask, inputs = sentences()
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


@pytest.mark.parametrize("chosen", SMOOTH, ids=name)
def test_gradients_go_through_single_steps_too(chosen: config.ModelConfig) -> None:
    model = model_of(chosen)
    source, mask, inputs = sentences()
    parameters, weight = tuple(model.parameters()), torch.randn(B, T, TARGET)
    memory = model.encoder(source, mask)
    read, state, logits = model.decoder.project_memory(memory), model.decoder.initial_state(memory), []
    for t in range(T):
        out, state = model.decoder.step(inputs[:, t], state, read)
        logits.append(out.logits)
    got = torch.autograd.grad(
        (torch.stack(logits, 1) * weight).sum(), parameters, allow_unused=True, materialize_grads=True
    )
    want = torch.autograd.grad(
        (model(source, mask, inputs).logits * weight).sum(),
        parameters,
        allow_unused=True,
        materialize_grads=True,
    )
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("chosen", SWEEP, ids=name)
def test_padding_future_and_neighbours_change_nothing(chosen: config.ModelConfig) -> None:
    model = model_of(chosen)
    source, mask, inputs = sentences()
    with torch.no_grad():
        got = model(source, mask, inputs, weights=True)
        longer_mask = nn.functional.pad(mask, (0, 3))
        longer = torch.cat([source, torch.randint(4, TARGET, (B, 3))], 1).masked_fill(~longer_mask, 5)
        padded = model(longer, longer_mask, inputs, weights=True)
        torch.testing.assert_close(padded.logits, got.logits)
        torch.testing.assert_close(padded.weights[..., :S], got.weights)
        assert (padded.weights[..., S:] == 0).all()
        torch.testing.assert_close(
            model.encoder(longer, longer_mask).summary_BV, model.encoder(source, mask).summary_BV
        )

        for b, length in enumerate(LENGTHS):
            alone = model(source[b : b + 1, :length], mask[b : b + 1, :length], inputs[b : b + 1])
            torch.testing.assert_close(alone.logits[0], got.logits[b])

        for t in range(T - 1):
            changed = inputs.clone()
            changed[:, t + 1 :] = 11 - changed[:, t + 1 :]
            torch.testing.assert_close(
                model(source, mask, changed).logits[:, : t + 1], got.logits[:, : t + 1]
            )
        assert not torch.allclose(model(source, mask, 11 - inputs).logits, got.logits)


# Gradients


@pytest.mark.parametrize("chosen", SMOOTH, ids=name)
def test_gradients_of_every_weight(chosen: config.ModelConfig) -> None:
    """By finite differences, through every part together, with the encoder's share whole."""
    model = model_of(chosen)
    model.encoder.gradient_share = 1.0  # type: ignore[assignment]
    source, mask, inputs = sentences(3)
    parameters = dict(model.named_parameters())

    def logits(*values: Tensor) -> Tensor:
        got: Tensor = torch.func.functional_call(
            model, dict(zip(parameters, values, strict=True)), (source, mask, inputs)
        ).logits
        return got

    torch.autograd.gradcheck(logits, tuple(parameters.values()), fast_mode=True)


@pytest.mark.parametrize("values", ["states", "sum"])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_encoder_gets_the_gradient_of_one_reading_and_its_embeddings_all(
    layers: int, values: str
) -> None:
    """Section 3.4: divided by the number of attentions, as keys and as values, but for what reaches the
    embeddings past the encoder.
    """
    model = model_of(made({"values": values}, layers=layers))
    data, weight = sentences(), torch.randn(B, T, TARGET)

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


def test_a_decoder_that_asks_once_leaves_the_gradient_whole() -> None:
    model = build(
        config.ModelConfig.model_validate(
            {"embedding": SIZE, "encoder": {"kind": "conv", "size": 4, "layers": 2}}
        ),
        SOURCE,
        TARGET,
    )
    assert type(model.encoder) is ConvEncoder
    assert model.encoder.gradient_share == 1


# One fused call, or each weight


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("chosen", SWEEP, ids=name)
def test_asking_for_weights_changes_nothing(chosen: config.ModelConfig, training: bool) -> None:
    model = model_of(chosen).train(training)
    source, mask, inputs = sentences()
    with torch.no_grad():
        torch.manual_seed(5)
        fused = model(source, mask, inputs)
        torch.manual_seed(5)
        plain = model(source, mask, inputs, weights=True)
        assert fused.weights is None
        torch.testing.assert_close(fused.logits, plain.logits, rtol=0, atol=1e-9)
        memory = model.eval().encoder(source, mask)
        read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, 2)
        a, _ = model.decoder.step(torch.full((2 * B,), 5), state, read, weights=False)
        b, _ = model.decoder.step(torch.full((2 * B,), 5), state, read, weights=True)
        assert a.weights is None
        torch.testing.assert_close(a.logits, b.logits, rtol=0, atol=1e-9)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    "attention", [{}, {"score": "additive"}, {"score": "scaled-dot", "heads": 2}], ids=str
)
def test_half_precision_is_close(attention: dict[str, Any], precision: torch.dtype) -> None:
    """The same numbers to its accuracy, gradients in the weights' own type, and a search that runs."""
    model = build(made(attention), SOURCE, TARGET).float().eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "embedding" in key or "positions" in key:
                parameter.mul_(8)
    source, mask, inputs = sentences()
    exact = model(source, mask, inputs).logits
    scale = exact.std().item()
    want = torch.autograd.grad(
        exact.square().mean(), tuple(model.parameters()), allow_unused=True, materialize_grads=True
    )
    for asked in (False, True):
        with torch.autocast("cpu", precision):
            low = model(source, mask, inputs, weights=asked)
        assert (low.logits.float() - exact).abs().max() < 0.15 * scale
        got = torch.autograd.grad(
            low.logits.float().square().mean(),
            tuple(model.parameters()),
            allow_unused=True,
            materialize_grads=True,
        )
        for a, b in zip(got, want, strict=True):
            assert a.dtype == torch.float32
            assert (a - b).norm() < 0.15 * b.norm() + 0.03
    with torch.autocast("cpu", precision), torch.no_grad():
        memory = model.encoder(source, mask)
        read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, 2)
        assert read.constants.weights.parts[model.decoder.in_proj].dtype == precision
        for t in range(T):
            out, state = model.decoder.step(inputs[:, t].repeat_interleave(2), state, read)
            assert (out.logits[::2].float() - exact[:, t]).abs().max() < 0.15 * scale


# Positions, layers, dropout


@pytest.mark.parametrize("kind", POSITIONS)
def test_sequences_longer_than_any_seen_are_read_and_written(kind: str) -> None:
    where = {"positions": kind} | ({"max_positions": 3} if kind == "learned" else {})
    model = model_of(made(encoder=where, **where))
    source, inputs = torch.randint(4, TARGET, (1, 300)), torch.randint(4, TARGET, (1, 300))
    with torch.no_grad():
        memory = model.encoder(source, torch.ones(1, 300, dtype=torch.bool))
        whole = model.decoder(inputs, memory)
        assert torch.isfinite(whole.logits).all()
        read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory)
        for t in range(300):
            out, state = model.decoder.step(inputs[:, t], state, read)
            torch.testing.assert_close(out.logits, whole.logits[:, t])


@pytest.mark.parametrize(("layers", "kernel"), [(1, 3), (2, 1), (2, 3)])
def test_what_a_step_reads_changes_later_ones_where_the_decoder_says_so(layers: int, kernel: int) -> None:
    model = model_of(made(layers=layers, kernel=kernel))
    source, mask, inputs = sentences()
    hook = attentions(model)[0].register_forward_hook(
        lambda _, __, reading: reading._replace(
            context=reading.context + torch.eye(T)[0, :, None] * torch.arange(SIZE)
        )
    )
    with torch.no_grad():
        changed = model(source, mask, inputs).logits
        hook.remove()
        plain = model(source, mask, inputs).logits
    assert not torch.allclose(changed[:, 0], plain[:, 0])
    assert (
        torch.allclose(changed[:, 1:], plain[:, 1:])
        == (not model.decoder.context_feeds_later_steps)
        == (layers == 1 or kernel == 1)
    )


def test_layers_that_ask_alike_draw_by_themselves_outside_training_too() -> None:
    steps = 3000
    model = model_of(made({"normaliser": "hard-sample", "at_inference": "sample", "score": "additive"}))
    for attention in attentions(model):
        nn.init.zeros_(cast(Tensor, attention.score.v))
    _, seen = read_by_head(
        model, torch.tensor([[4, 5]]), torch.ones(1, 2, dtype=torch.bool), torch.full((1, steps), 5)
    )
    both = torch.bincount((seen[0, :, :, 0, 0] @ torch.tensor([2.0, 1.0])).long(), minlength=4) / steps
    torch.testing.assert_close(both.double(), torch.full((4,), 0.25), rtol=0, atol=0.035)  # four deviations


def test_attention_weights_are_by_layer_and_head() -> None:
    source, mask, inputs = sentences()
    got, by_head = read_by_head(model_of(made({"heads": 2}, layers=3)), source, mask, inputs)
    assert got.weights is not None
    assert got.weights.shape == (B, T, 3, 2, S)
    torch.testing.assert_close(got.weights, by_head)


def test_dropout_is_on_embeddings_inputs_of_convolutions_and_the_output(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Section 4.2; on a block's input where it is convolved, not where it is the residual."""
    model, dropped = model_of(made(dropout=0.3)), []

    def note(x: Tensor, p: float, training: bool) -> Tensor:
        dropped.append((tuple(x.shape), p, training))
        return x

    for module in (conv_encoders, conv_decoders):
        monkeypatch.setattr(module, "dropout", note)
    source, mask, inputs = sentences()
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


def test_a_residual_is_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(made({}, {"layers": 1, "positions": "none"}, dropout=0.5))
    source, mask, _ = sentences()
    monkeypatch.setattr(conv_encoders, "dropout", lambda x, p, training: x if x.size(-1) == SIZE else x * 0)
    encoder = cast(ConvEncoder, model.encoder)
    convolution = cast(GatedConv, encoder.layers[0])
    with torch.no_grad():
        x = encoder.in_proj(encoder.embedding(source))
        nothing = convolution(torch.zeros(B, S, 5))
        torch.testing.assert_close(encoder(source, mask).keys_BSK, encoder.out_proj((x + nothing) * 0.5**0.5))


# First weights


def test_the_preset_is_the_papers_model() -> None:
    for name in ("gehring17", "gehring17-paper"):
        chosen = config.load(name)
        assert (chosen.model.encoder.kind, chosen.model.decoder.kind, chosen.model.encoder.layers) == (
            "conv",
            "conv",
            chosen.model.decoder.layers,
        )
        assert (chosen.model.attention.score, *memory_parts(chosen.model), chosen.model.attention.heads) == (
            "dot",
            "states",
            "sum",
            1,
        )
        assert chosen.model.encoder.kernel == chosen.model.decoder.kernel == 3
    assert chosen.model.encoder.size == chosen.model.decoder.size == chosen.model.embedding == 512
    # section 4.2
    assert (chosen.train.momentum, chosen.train.lr, chosen.train.clip_norm, chosen.train.plateau_factor) == (
        0.99,
        0.25,
        0.1,
        0.1,
    )


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_glorot_starts_as_the_paper_has_it(dropout: float) -> None:
    """Section 3.5."""
    side = {"kind": "conv", "size": 96, "layers": 2, "kernel": 3}
    chosen = config.ModelConfig.model_validate(
        {
            "embedding": 64,
            "tied": "none",
            "dropout": dropout,
            "encoder": side,
            "decoder": side,
            "attention": {"score": "dot"},
        }
    )
    model = build(chosen, 500, 400)
    assert type(model.encoder) is ConvEncoder
    assert type(model.decoder) is ConvDecoder
    for embedding in (module for module in model.modules() if isinstance(module, nn.Embedding)):
        assert embedding.weight.std().item() == pytest.approx(0.1, rel=0.05)
    kept = 1 - dropout
    deviations = {
        "in_proj": (kept / 64) ** 0.5,
        "out_proj": 96**-0.5,
        "query_proj": 96**-0.5,
        "context_proj": 64**-0.5,
        "convolution": (4 * kept / (3 * 96)) ** 0.5,
        "layers": (4 * kept / (3 * 96)) ** 0.5,
    }
    seen = set()
    for key, module in model.named_modules():
        if isinstance(module, WeightNorm):
            kind = next(part for part in reversed(key.split(".")) if not part.isdigit())
            seen.add(kind)
            assert module.weight.std().item() == pytest.approx(deviations[kind], rel=0.05), key
            torch.testing.assert_close(module.normalised_weight(), module.weight)
            assert not module.bias.any()
    assert seen == set(deviations)
    assert not model.decoder.output.bias.any()


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_what_goes_through_the_layers_at_first_varies_as_what_came_in(dropout: float) -> None:
    """What the scalings and first weights of sections 3.4 and 3.5 are for: ten layers deep, with attention
    that is nearly even.
    """
    side = {"kind": "conv", "size": 128, "layers": 10, "kernel": 3, "positions": "none"}
    chosen = config.ModelConfig.model_validate(
        {
            "embedding": 128,
            "dropout": dropout,
            "encoder": side,
            "decoder": side,
            "attention": {"score": "dot", "values": "sum"},
        }
    )
    model = build(chosen, 200, 200).train()
    source, mask = torch.randint(4, 200, (8, 12)), torch.ones(8, 12, dtype=torch.bool)
    memory = model.encoder(source, mask)
    assert 0.05 < memory.keys_BSK.std() < 0.2
    assert 0.05 < model.decoder.hidden_states(torch.randint(4, 200, (8, 12)), memory).features_BTD.std() < 0.3


@pytest.mark.parametrize("init", ["uniform", "bahdanau15"])
def test_normalised_weights_start_as_they_were_drawn_whatever_the_rest(init: str) -> None:
    model = build(made().model_copy(update={"init": init}), SOURCE, TARGET)
    for module in model.modules():
        if isinstance(module, WeightNorm):
            torch.testing.assert_close(module.normalised_weight(), module.weight)


# Training


def assert_it_trains(chosen: config.ModelConfig) -> None:
    """Three steps: no number is lost, and every parameter has a gradient, if perhaps of zeros where what is
    read does not hang on it.
    """
    torch.manual_seed(1)
    vocabulary = TARGET if chosen.tied == "all" else SOURCE
    model = build(chosen, vocabulary, TARGET).float().train()
    source, mask, targets = sentences()
    inputs = torch.cat([torch.full((B, 1), 2), targets[:, :-1]], 1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(3):
        optimizer.zero_grad(set_to_none=True)
        found = model.decoder.hidden_states(inputs, model.encoder(source, mask))
        loss = nn.functional.cross_entropy(
            model.decoder.output(found.features_BTD).flatten(0, 1), targets.flatten()
        )
        if found.log_p_BT is not None:
            assert found.entropy_BT is not None
            loss = loss - 0.1 * found.log_p_BT.mean() - 0.01 * found.entropy_BT.mean()
        assert torch.isfinite(loss)
        loss.backward()
        for key, parameter in model.named_parameters():
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key
        optimizer.step()
    with torch.no_grad():
        assert torch.isfinite(model.eval()(source, mask, inputs).logits).all()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(models())
def test_any_valid_convolutional_model_trains(chosen: config.ModelConfig) -> None:
    assert_it_trains(chosen)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(anything())
def test_whatever_the_config_accepts_trains_and_what_it_refuses_it_names(
    drawn: tuple[config.ModelConfig, list[str]],
) -> None:
    chosen, refusals = drawn
    assert all(re.match(r"any: model\.[a-z_.]+", refusal) for refusal in refusals)
    assert_it_trains(chosen)


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
def test_what_cannot_be_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    tree = {"model": made().model_dump(exclude_unset=True)}
    for key, value in changes.items():
        _, section, field = key.split(".")
        tree["model"][section][field] = value
    with pytest.raises(UsageError, match=message):
        config.validate(tree, "test")
