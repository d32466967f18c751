"""The Transformer: held to torch's own, its positions, where dropout falls, and its first weights."""

import itertools
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pytest
import recipes
import reference
import torch
import transformer_recipes
from models.families import transformer
from models.laws import B, S, T, attentions, random_model, text_batch
from recipes import SOURCE, TARGET
from torch import Tensor, nn
from transformer_recipes import FEW, SIZE, SMOOTH, SWEEP

from seq2attn import config, models
from seq2attn.attention.self_attention import SelfAttention
from seq2attn.models.decoders.transformer import TransformerDecoder
from seq2attn.models.layers.kv_cache import Cache
from seq2attn.models.layers.positions import Positions
from seq2attn.models.layers.transformer import FeedForward, TransformerLayer
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.models.state import select

DRAWING = [settings for settings in SWEEP if settings.attention.normaliser == "hard-sample"]


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


# Settings


def test_sweep_has_every_value_of_every_setting() -> None:
    assert {(settings.attention.score, settings.attention.normaliser) for settings in SWEEP} == set(
        itertools.product(transformer_recipes.SCORES, recipes.NORMALISERS)
    )
    for part in (SWEEP, FEW, SMOOTH):
        for side in ("encoder", "decoder"):
            stacks = [getattr(settings, side) for settings in part]
            assert {(stack.heads, stack.kv_heads) for stack in stacks} >= {(1, None), (2, 1), (4, 2)}
            assert {stack.heads for stack in stacks} == {1, 2, 4}
            for key, values in {
                "activation": transformer_recipes.ACTIVATIONS,
                "norm": transformer_recipes.NORMS,
                "positions": transformer_recipes.POSITIONS,
                "max_positions": (3, 9, 1024),
                "prenorm": (False, True),
                "bias": (False, True),
                "layers": (1, 2),
            }.items():
                assert {getattr(stack, key) for stack in stacks} == set(values), key
        for key, values in {
            "keys": recipes.PARTS,
            "values": recipes.PARTS,
            "window": recipes.WINDOWS,
            "kv_heads": (None, 1, 2, 4),
            "heads": (1, 2, 4),
        }.items():
            assert {getattr(settings.attention, key) for settings in part} == set(values), key
        assert {settings.tied for settings in part} == {"none", "output", "all"}
    assert {settings.attention.at_inference for settings in DRAWING} == {"argmax", "expected", "sample"}
    assert any(settings.decoder.layers > 1 for settings in DRAWING)


# torch's own


def torchs(settings: config.ModelConfig) -> tuple[nn.TransformerEncoder, nn.TransformerDecoder]:
    e, d = settings.encoder, settings.decoder
    assert e.kind == d.kind == "transformer"

    def options(one: config.TransformerConfig) -> dict[str, Any]:
        return {
            "dim_feedforward": one.feedforward,
            "dropout": 0.0,
            "activation": one.activation,
            "batch_first": True,
            "norm_first": one.prenorm,
            "bias": one.bias,
        }

    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(SIZE, e.heads, **options(e)),
        e.layers,
        nn.LayerNorm(SIZE, bias=e.bias) if e.prenorm else None,
        enable_nested_tensor=False,
    )
    decoder = nn.TransformerDecoder(
        nn.TransformerDecoderLayer(SIZE, d.heads, **options(d)),
        d.layers,
        nn.LayerNorm(SIZE, bias=d.bias) if d.prenorm else None,
    )
    return encoder, decoder


def pairs(
    model: Seq2Seq, encoder: nn.TransformerEncoder, decoder: nn.TransformerDecoder
) -> Iterator[tuple[nn.Parameter, list[Tensor]]]:
    """Each of torch's parameters, and ours that stand in it, one below the other."""

    def both(theirs: nn.Module, *ours: Any) -> Iterator[tuple[nn.Parameter, list[Tensor]]]:
        for key, parameter in theirs.named_parameters(recurse=False):
            end = "bias" if "bias" in key else "weight"
            yield parameter, [getattr(one, end) for one in ours]

    for theirs, ours in zip(
        [*encoder.layers, *decoder.layers],
        [*cast(Any, model.encoder.layers), *cast(Any, model.decoder.layers)],
        strict=True,
    ):
        yield from both(theirs.self_attn, ours.self_attn.qkv)
        yield from both(theirs.self_attn.out_proj, ours.self_attn.out)
        yield from both(theirs.linear1, ours.ffn.up)
        yield from both(theirs.linear2, ours.ffn.down)
        yield from both(theirs.norm1, ours.self_attn_norm)
        if isinstance(theirs, nn.TransformerDecoderLayer):
            asks = ours.cross_attn
            yield from both(theirs.multihead_attn, asks.query, asks.key, asks.value)
            yield from both(theirs.multihead_attn.out_proj, asks.out)
            yield from both(theirs.norm2, ours.cross_attn_norm)
            yield from both(theirs.norm3, ours.ffn_norm)
        else:
            yield from both(theirs.norm2, ours.ffn_norm)
    for theirs, ours in ((encoder, model.encoder), (decoder, model.decoder)):
        if theirs.norm is not None:
            yield from both(theirs.norm, ours.norm)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("prenorm", [False, True])
def test_layers_equal_torch(prenorm: bool, activation: str, bias: bool) -> None:
    """nn.TransformerEncoder and nn.TransformerDecoder with the same weights: what comes out, and the gradient
    of everything.
    """
    side = {"prenorm": prenorm, "activation": activation, "bias": bias, "positions": "none"}
    settings = transformer(encoder=side, **side)
    model = random_model(settings).train()  # torch has a fast path of its own outside training
    encoder, decoder = torchs(settings)
    named = 0
    for theirs, ours in pairs(model, encoder, decoder):
        theirs.data = torch.cat([one.detach() for one in ours])
        named += theirs.numel()
    assert named == sum(one.numel() for side in (encoder, decoder) for one in side.parameters())
    source, mask, inputs = text_batch()
    vectors = [
        model.encoder.embedding.weight.detach().clone().requires_grad_(),
        model.decoder.target_embedding.weight.detach().clone().requires_grad_(),
    ]
    memory = encoder(vectors[0][source] * SIZE**0.5, src_key_padding_mask=~mask)
    later = nn.Transformer.generate_square_subsequent_mask(T, dtype=torch.float64)
    want = decoder(vectors[1][inputs] * SIZE**0.5, memory, tgt_mask=later, memory_key_padding_mask=~mask)
    got = model.decoder.hidden_states(inputs, model.encoder(source, mask)).features_BTD
    torch.testing.assert_close(got, want)

    loss = torch.randn_like(want)
    (got * loss).sum().backward()
    (want * loss).sum().backward()
    torch.testing.assert_close(model.encoder.embedding.weight.grad, vectors[0].grad)
    torch.testing.assert_close(model.decoder.target_embedding.weight.grad, vectors[1].grad)
    for theirs, ours in pairs(model, encoder, decoder):
        torch.testing.assert_close(theirs.grad, torch.cat([cast(Tensor, one.grad) for one in ours]))


# Positions


def test_positions_of_a_step_continue_those_before() -> None:
    for kind in ("sinusoidal", "learned"):
        positions = Positions(cast(Any, kind), SIZE, 6)
        whole = positions(0, 9, torch.zeros(1))
        assert whole is not None
        for first in range(9):
            torch.testing.assert_close(positions(first, 1, torch.zeros(1)), whole[first : first + 1])


def test_positions_sinusoidal_equal_the_papers() -> None:
    """Section 3.5, and its reason: PE(p + k) is a linear function of PE(p)."""
    positions = Positions("sinusoidal", 6, 1)
    got = positions(0, 5000, torch.zeros(1))
    assert got is not None
    assert got.shape == (5000, 6)
    for p in (0, 1, 7, 4999):
        np.testing.assert_allclose(got[p], reference.sinusoid(p, 6), atol=1e-12)
    shift = torch.linalg.lstsq(got[:100], got[13:113]).solution
    torch.testing.assert_close(got[:4900] @ shift, got[13:4913])
    assert positions(3, 2, torch.zeros(1, dtype=torch.float32)).dtype == torch.float32  # type: ignore[union-attr]
    odd = Positions("sinusoidal", 5, 1)(2, 1, torch.zeros(1))
    np.testing.assert_allclose(odd, reference.sinusoid(2, 5)[None])


def test_positions_learned_share_the_last_beyond_the_table() -> None:
    positions = Positions("learned", 4, 3)
    assert positions.vectors is not None
    got = positions(1, 4, torch.zeros(1))
    assert got is not None
    torch.testing.assert_close(got, positions.vectors.weight[[1, 2, 2, 2]])
    got.sum().backward()
    assert positions.vectors.weight.grad is not None
    assert positions.vectors.weight.grad[:, 0].tolist() == [0, 1, 3]


@pytest.mark.parametrize("kind", ["rotary", "none"])
def test_positions_of_other_kinds_add_nothing(kind: str) -> None:
    positions = Positions(cast(Any, kind), 4, 3)
    assert positions(0, 3, torch.zeros(1)) is None
    assert not list(positions.parameters())


@pytest.mark.parametrize("kind", transformer_recipes.POSITIONS)
def test_encoder_knows_the_order_where_it_has_positions(kind: str) -> None:
    """Without them the encoder is a function of a set; rotary ones know distances alone."""
    encoder = random_model(transformer(encoder={"positions": kind})).encoder
    source, mask = torch.tensor([[4, 5, 6, 7]]), torch.ones(1, 4, dtype=torch.bool)
    with torch.no_grad():
        states = encoder(source, mask).values_BSV
        turned = encoder(source.flip(1), mask).values_BSV.flip(1)
        shifted = encoder(
            torch.tensor([[8, 4, 5, 6, 7]]), torch.tensor([[False, True, True, True, True]])
        ).values_BSV[:, 1:]
    assert torch.allclose(states, turned) == (kind == "none")
    assert torch.allclose(states, shifted) == (kind in ("none", "rotary"))


# Dropout


def test_model_drops_embeddings_and_outputs_of_sublayers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vaswani 2017, section 5.4."""
    model, dropped = random_model(transformer(dropout=0.3)), []

    def note(x: Tensor, p: float, training: bool) -> Tensor:
        dropped.append((tuple(x.shape), p, training))
        return x

    for module in (models.encoders.transformer, models.decoders.transformer, models.layers.transformer):
        monkeypatch.setattr(module, "dropout", note)
    source, mask, inputs = text_batch()
    for training in (True, False):
        dropped.clear()
        model.train(training)(source, mask, inputs)
        assert [shape for shape, _, _ in dropped] == [(B, S, SIZE)] * (1 + 2 * 2) + [(B, T, SIZE)] * (
            1 + 2 * 3
        )
        assert {(p, flag) for _, p, flag in dropped} == {(0.3, training)}


@pytest.mark.parametrize("prenorm", [False, True])
def test_layer_drops_only_what_a_sublayer_adds(prenorm: bool) -> None:
    settings = config.TransformerEncoderConfig(kind="transformer", size=SIZE, heads=2, prenorm=prenorm)
    layer, norm = TransformerLayer(settings, 0.999999).train(), nn.LayerNorm(SIZE)
    x = torch.randn(2, 3, SIZE)
    got = layer.add(x, torch.ones_like(x), norm)
    torch.testing.assert_close(got, x if prenorm else norm(x))
    assert torch.equal(layer.before(x, norm), norm(x) if prenorm else x)


# First weights


def test_init_glorot_is_as_documented() -> None:
    """Queries, keys and values of one matrix apart, as are a gate and what it gates; embeddings so that times
    sqrt(d) they have the size of positions; norms do nothing yet.
    """
    side = {
        "kind": "transformer",
        "size": 64,
        "heads": 4,
        "kv_heads": 2,
        "feedforward": 96,
        "activation": "swiglu",
        "positions": "learned",
        "layers": 2,
    }
    settings = config.ModelConfig.model_validate(
        {
            "embedding": 64,
            "tied": "output",
            "encoder": side,
            "decoder": side | {"norm": "rms", "prenorm": True},
        }
    )
    model = build(settings, 500, 400)
    for embedding in (model.encoder.embedding, model.decoder.target_embedding):
        assert embedding.weight.std().item() == pytest.approx(64**-0.5, rel=0.05)
    stacks = [module for module in model.modules() if type(module) in (SelfAttention, FeedForward)]
    assert len(stacks) == 8
    for module in stacks:
        parts = (module.qkv if type(module) is SelfAttention else module.up).parts()  # type: ignore[union-attr,operator]
        assert [part.shape for part in parts] == (
            [(64, 64), (32, 64), (32, 64)] if type(module) is SelfAttention else [(96, 64), (96, 64)]
        )
        for part in (*parts, module.out.weight if type(module) is SelfAttention else module.down.weight):  # type: ignore[union-attr]
            bound = (6 / sum(part.shape)) ** 0.5  # type: ignore[union-attr]
            assert 0.98 * bound < part.abs().max() <= bound
    for module in attentions(model):
        assert module.query is not None
        assert 0.98 * (6 / 128) ** 0.5 < module.query.weight.abs().max() <= (6 / 128) ** 0.5
    for key, parameter in model.named_parameters():
        if "norm" in key and key.endswith("weight"):
            assert (parameter == 1).all(), key
        elif parameter.dim() < 2 and not key.endswith(".v"):
            assert not parameter.any(), key


@pytest.mark.parametrize("init", ["uniform", "bahdanau15"])
def test_init_of_norms_is_the_identity(init: str) -> None:
    model = build(transformer().model_copy(update={"init": init}), SOURCE, TARGET)
    norms = [module for module in model.modules() if type(module) is nn.LayerNorm]
    assert len(norms) == 2 * 2 + 2 * 3
    assert all((module.weight == 1).all() and not module.bias.any() for module in norms)


# Search


def test_cache_of_a_long_search_is_copied_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    model = random_model(transformer())
    assert type(model.decoder) is TransformerDecoder
    buffers: set[int] = set()
    append = Cache.append

    def note(self: Cache, keys: Tensor, values: Tensor) -> Any:
        grown = append(self, keys, values)
        buffers.add(grown[1].data_ptr())
        return grown

    monkeypatch.setattr(Cache, "append", note)
    source, mask, _ = text_batch()
    with torch.no_grad():
        memory = model.encoder(source, mask)
        read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, 3)
        held = []
        for _ in range(150):
            _, state = model.decoder.step(
                torch.full((3 * B,), 5), select(state, torch.tensor([1, 0, 0, 5, 4, 3, 6, 6, 6])), read
            )
            held.append(state)
    assert len(buffers) <= 2 * 6  # two layers; room for 16 places, then 34, 74, ... of 450
