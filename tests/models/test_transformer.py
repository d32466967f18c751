"""The Transformer: held to the papers' equations and to torch's own, and the laws that any encoder and
decoder must keep.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import recipes
import reference
import torch
import transformer_recipes
from hypothesis import given, settings
from named_weights import recipe, weights
from torch import Tensor, nn
from transformer_recipes import FEW, FUSED, SIZE, SMOOTH, SWEEP, name

from seq2attn import config, models
from seq2attn.attention import Attention
from seq2attn.attention.self_attention import SelfAttention
from seq2attn.models.decoders.transformer import TransformerDecoder
from seq2attn.models.layers.kv_cache import Cache
from seq2attn.models.layers.positions import Positions
from seq2attn.models.layers.transformer import FeedForward, TransformerLayer
from seq2attn.models.memory import DecoderOutput, mean_attention
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.models.state import select

SOURCE, TARGET = 9, 8  # vocabularies
LENGTHS = [4, 1, 3]  # of the sources
B, S, T = 3, 4, 5
DRAWING = [chosen for chosen in SWEEP if chosen.attention.normaliser == "hard-sample"]
PLAIN = {"kind": "transformer", "size": SIZE, "heads": 2, "feedforward": 12, "layers": 2}


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


def model_of(chosen: config.ModelConfig) -> Seq2Seq:
    """With weights large enough for every part to matter, biases included."""
    model = build(chosen, TARGET if chosen.tied == "all" else SOURCE, TARGET).eval()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return model


def made(
    attention: dict[str, Any] | None = None,
    encoder: dict[str, Any] | None = None,
    dropout: float = 0.0,
    **decoder: Any,
) -> config.ModelConfig:
    chosen = {"score": "scaled-dot", "heads": 2} | (attention or {})
    return transformer_recipes.make(PLAIN | (encoder or {}), PLAIN | decoder, chosen, dropout=dropout)


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
    for b, length in enumerate(LENGTHS):
        # what follows from them must be the papers'
        drawn = seen[b, ..., :length].numpy() if chosen.attention.at_inference == "sample" else None
        want = reference.run(recipe(chosen), named, source[b, :length].tolist(), inputs[b].tolist(), drawn)
        np.testing.assert_allclose(got.logits[b], np.stack(want.logits), atol=1e-9)
        np.testing.assert_allclose(
            mean_attention(got.weights)[b, :, :length], np.stack(want.attention), atol=1e-9
        )
        assert (got.weights[b, ..., length:] == 0).all()


@pytest.mark.parametrize("chosen", SWEEP, ids=name)
def test_forward_is_the_papers(chosen: config.ModelConfig) -> None:
    assert_is_the_papers(chosen)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(transformer_recipes.models())
def test_any_valid_transformer_is_the_papers(chosen: config.ModelConfig) -> None:
    assert_is_the_papers(chosen)


def test_the_sweep_has_every_choice_somewhere() -> None:
    assert {(chosen.attention.score, chosen.attention.normaliser) for chosen in SWEEP} == set(
        itertools.product(transformer_recipes.SCORES, recipes.NORMALISERS)
    )
    for part in (SWEEP, FEW, SMOOTH):
        for side in ("encoder", "decoder"):
            stacks = [getattr(chosen, side) for chosen in part]
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
            assert {getattr(chosen.attention, key) for chosen in part} == set(values), key
        assert {chosen.tied for chosen in part} == {"none", "output", "all"}
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


def torchs(chosen: config.ModelConfig) -> tuple[nn.TransformerEncoder, nn.TransformerDecoder]:
    e, d = chosen.encoder, chosen.decoder
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
def test_stacks_are_torchs(prenorm: bool, activation: str, bias: bool) -> None:
    """nn.TransformerEncoder and nn.TransformerDecoder with the same weights: what comes out, and the gradient
    of everything.
    """
    side = {"prenorm": prenorm, "activation": activation, "bias": bias, "positions": "none"}
    chosen = made(encoder=side, **side)
    model = model_of(chosen).train()  # torch has a fast path of its own outside training
    encoder, decoder = torchs(chosen)
    named = 0
    for theirs, ours in pairs(model, encoder, decoder):
        theirs.data = torch.cat([one.detach() for one in ours])
        named += theirs.numel()
    assert named == sum(one.numel() for side in (encoder, decoder) for one in side.parameters())
    source, mask, inputs = sentences()
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


# All at once and step by step


def test_positions_go_on_where_the_last_step_ended() -> None:
    for kind in ("sinusoidal", "learned"):
        positions = Positions(cast(Any, kind), SIZE, 6)
        whole = positions(0, 9, torch.zeros(1))
        assert whole is not None
        for first in range(9):
            torch.testing.assert_close(positions(first, 1, torch.zeros(1)), whole[first : first + 1])


@pytest.mark.parametrize(
    ("chosen", "width"),
    [(chosen, 3) for chosen in SWEEP] + [(chosen, 1) for chosen in FEW],
    ids=lambda x: str(x) if type(x) is int else name(x),
)
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
    steps, rows = 20, B * width  # more than the first buffers hold
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
            if t in (6, 13):
                stay = torch.tensor([0, 2]) if t == 6 else torch.tensor([1])
                read = select(read, stay)
            chosen_R = (stay[:, None] * width + torch.randint(0, width, (len(stay), width))).flatten()
            state, tokens, sentence_R, rows = (
                select(state, chosen_R),
                tokens[chosen_R],
                sentence_R[chosen_R],
                len(chosen_R),
            )


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize("chosen", FEW, ids=name)
def test_a_state_is_a_value(chosen: config.ModelConfig, width: int) -> None:
    """Two steps from one state, each continued: neither changes the other, nor the state."""
    model = model_of(chosen)
    source, mask, _ = sentences()
    token, other, last = torch.randint(4, TARGET, (3, B * width))
    with torch.no_grad():
        memory = model.encoder(source, mask)
        read = model.decoder.project_memory(memory)
        _, state = model.decoder.step(token, model.decoder.initial_state(memory, width), read)
        first, after_first = model.decoder.step(token, state, read)
        _, after_second = model.decoder.step(other, state, read)
        again, _ = model.decoder.step(token, state, read)
        torch.testing.assert_close(first.logits, again.logits)
        prefixes = {"first": [token, token, last], "second": [token, other, last]}
        for key, after in (("second", after_second), ("first", after_first)):
            out, _ = model.decoder.step(last, after, read)
            want = model.decoder(
                torch.stack(prefixes[key], 1), select(memory, torch.arange(B).repeat_interleave(width))
            )
            torch.testing.assert_close(out.logits, want.logits[:, -1])


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
        memory = model.encoder(source, mask)
        torch.testing.assert_close(model.encoder(longer, longer_mask).summary_BV, memory.summary_BV)

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


@pytest.mark.parametrize("chosen", SMOOTH, ids=name)
def test_gradients_of_every_weight(chosen: config.ModelConfig) -> None:
    """By finite differences, through every part together."""
    model = model_of(chosen)
    source, mask, inputs = sentences(3)
    parameters = dict(model.named_parameters())

    def logits(*values: Tensor) -> Tensor:
        got: Tensor = torch.func.functional_call(
            model, dict(zip(parameters, values, strict=True)), (source, mask, inputs)
        ).logits
        return got

    torch.autograd.gradcheck(logits, tuple(parameters.values()), fast_mode=True)


# One fused call, or each weight


@pytest.mark.parametrize(
    ("chosen", "training"),
    [(chosen, False) for chosen in SWEEP] + [(chosen, True) for chosen in FEW],
    ids=lambda x: str(x) if type(x) is bool else name(x),
)
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
@pytest.mark.parametrize("chosen", FUSED, ids=name)
def test_half_precision_is_close_fused_or_not(chosen: config.ModelConfig, precision: torch.dtype) -> None:
    """The same numbers to its accuracy, gradients in the weights' own type, and a search that runs."""
    model = model_of(chosen).float()
    with torch.no_grad():
        # as norms start: small gains would leave nothing to be near to
        for key, parameter in model.named_parameters():
            if "norm" in key:
                parameter.fill_(1.0 if key.endswith("weight") else 0.0)
            else:
                parameter.mul_(0.6)
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
        for t in range(T):
            out, state = model.decoder.step(inputs[:, t].repeat_interleave(2), state, read)
            assert (out.logits[::2].float() - exact[:, t]).abs().max() < 0.15 * scale


# Positions


def test_sinusoidal_positions_are_the_papers() -> None:
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


def test_learned_positions_share_the_last_beyond_what_they_have() -> None:
    positions = Positions("learned", 4, 3)
    assert positions.vectors is not None
    got = positions(1, 4, torch.zeros(1))
    assert got is not None
    torch.testing.assert_close(got, positions.vectors.weight[[1, 2, 2, 2]])
    got.sum().backward()
    assert positions.vectors.weight.grad is not None
    assert positions.vectors.weight.grad[:, 0].tolist() == [0, 1, 3]


@pytest.mark.parametrize("kind", ["rotary", "none"])
def test_other_positions_add_nothing(kind: str) -> None:
    positions = Positions(cast(Any, kind), 4, 3)
    assert positions(0, 3, torch.zeros(1)) is None
    assert not list(positions.parameters())


@pytest.mark.parametrize("kind", transformer_recipes.POSITIONS)
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


@pytest.mark.parametrize("kind", transformer_recipes.POSITIONS)
def test_an_order_is_seen_where_there_are_positions(kind: str) -> None:
    """Without them the encoder is a function of a set; rotary ones know distances alone."""
    encoder = model_of(made(encoder={"positions": kind})).encoder
    source, mask = torch.tensor([[4, 5, 6, 7]]), torch.ones(1, 4, dtype=torch.bool)
    with torch.no_grad():
        states = encoder(source, mask).values_BSV
        turned = encoder(source.flip(1), mask).values_BSV.flip(1)
        shifted = encoder(
            torch.tensor([[8, 4, 5, 6, 7]]), torch.tensor([[False, True, True, True, True]])
        ).values_BSV[:, 1:]
    assert torch.allclose(states, turned) == (kind == "none")
    assert torch.allclose(states, shifted) == (kind in ("none", "rotary"))


# Draws, layers, dropout


@pytest.mark.parametrize("layers", [1, 2])
def test_what_a_step_reads_changes_later_ones_where_the_decoder_says_so(layers: int) -> None:
    model = model_of(made(layers=layers))
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
        == (layers == 1)
    )


def test_layers_that_ask_alike_draw_by_themselves_outside_training_too() -> None:
    steps = 3000
    model = model_of(made({"normaliser": "hard-sample", "at_inference": "sample", "heads": 1}))
    for attention in attentions(model):
        nn.init.zeros_(cast(Any, attention.query).weight)
        nn.init.zeros_(cast(Any, attention.query).bias)
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


def test_dropout_is_on_embeddings_and_on_what_each_sublayer_adds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vaswani 2017, section 5.4."""
    model, dropped = model_of(made(dropout=0.3)), []

    def note(x: Tensor, p: float, training: bool) -> Tensor:
        dropped.append((tuple(x.shape), p, training))
        return x

    for module in (models.encoders.transformer, models.decoders.transformer, models.layers.transformer):
        monkeypatch.setattr(module, "dropout", note)
    source, mask, inputs = sentences()
    for training in (True, False):
        dropped.clear()
        model.train(training)(source, mask, inputs)
        assert [shape for shape, _, _ in dropped] == [(B, S, SIZE)] * (1 + 2 * 2) + [(B, T, SIZE)] * (
            1 + 2 * 3
        )
        assert {(p, flag) for _, p, flag in dropped} == {(0.3, training)}


@pytest.mark.parametrize("prenorm", [False, True])
def test_dropout_falls_on_what_a_sublayer_adds_and_not_on_what_it_adds_to(prenorm: bool) -> None:
    chosen = config.TransformerEncoderConfig(kind="transformer", size=SIZE, heads=2, prenorm=prenorm)
    layer, norm = TransformerLayer(chosen, 0.999999).train(), nn.LayerNorm(SIZE)
    x = torch.randn(2, 3, SIZE)
    got = layer.add(x, torch.ones_like(x), norm)
    torch.testing.assert_close(got, x if prenorm else norm(x))
    assert torch.equal(layer.before(x, norm), norm(x) if prenorm else x)


# First weights


def test_glorot_starts_as_documented() -> None:
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
    chosen = config.ModelConfig.model_validate(
        {
            "embedding": 64,
            "tied": "output",
            "encoder": side,
            "decoder": side | {"norm": "rms", "prenorm": True},
        }
    )
    model = build(chosen, 500, 400)
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
def test_norms_start_at_nothing_whatever_the_rest(init: str) -> None:
    model = build(made().model_copy(update={"init": init}), SOURCE, TARGET)
    norms = [module for module in model.modules() if type(module) is nn.LayerNorm]
    assert len(norms) == 2 * 2 + 2 * 3
    assert all((module.weight == 1).all() and not module.bias.any() for module in norms)


# Training


def batch(vocabulary: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    source, mask, targets = sentences()
    return source % vocabulary, mask, torch.cat([torch.full((B, 1), 2), targets[:, :-1]], 1), targets


def assert_it_trains(chosen: config.ModelConfig) -> None:
    """Three steps: no number is lost, and every parameter has a gradient, if perhaps of zeros where what is
    read does not hang on it.
    """
    torch.manual_seed(1)
    sizes = (TARGET, TARGET) if chosen.tied == "all" else (SOURCE, TARGET)
    model = build(chosen, *sizes).float().train()
    source, mask, inputs, targets = batch(sizes[0])
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


@settings(max_examples=40, deadline=None, derandomize=True)
@given(transformer_recipes.models())
def test_any_valid_transformer_trains(chosen: config.ModelConfig) -> None:
    assert_it_trains(chosen)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(transformer_recipes.anything())
def test_whatever_the_config_accepts_trains_and_what_it_refuses_it_names(
    drawn: tuple[config.ModelConfig, list[str]],
) -> None:
    chosen, refusals = drawn
    assert all(re.match(r"any: model\.[a-z_.]+", refusal) for refusal in refusals)
    assert_it_trains(chosen)


@pytest.mark.parametrize(
    "chosen", [chosen for chosen in SMOOTH if chosen.attention.normaliser == "softmax"] + [made()], ids=name
)
def test_one_batch_is_learnt(chosen: config.ModelConfig) -> None:
    torch.manual_seed(1)
    sizes = (TARGET, TARGET) if chosen.tied == "all" else (SOURCE, TARGET)
    model = build(chosen, *sizes)
    source, mask, inputs, targets = batch(sizes[0])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        loss = nn.functional.cross_entropy(
            model(source, mask, inputs).logits.flatten(0, 1), targets.flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_buffers_of_a_long_search_are_copied_a_few_times_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(made())
    assert type(model.decoder) is TransformerDecoder
    seen: set[int] = set()
    append = Cache.append

    def note(self: Cache, keys: Tensor, values: Tensor) -> Any:
        found = append(self, keys, values)
        seen.add(found[1].data_ptr())
        return found

    monkeypatch.setattr(Cache, "append", note)
    source, mask, _ = sentences()
    with torch.no_grad():
        memory = model.encoder(source, mask)
        read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, 3)
        held = []
        for _ in range(150):
            _, state = model.decoder.step(
                torch.full((3 * B,), 5), select(state, torch.tensor([1, 0, 0, 5, 4, 3, 6, 6, 6])), read
            )
            held.append(state)
    assert len(seen) <= 2 * 6  # two layers; room for 16 places, then 34, 74, ... of 450
