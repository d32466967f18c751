"""Every recipe of the recurrent decoder: held to the papers' equations, and the laws that any decoder must
keep.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import recipes
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from named_weights import recipe, weights
from recipes import FEW, NAMES, SMOOTH, SOURCE, SWEEP, TARGET
from torch import Tensor, nn

from seq2attn import config, models
from seq2attn.models.memory import DecoderOutput, mean_attention
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.models.state import select

ATTENDING = [chosen for chosen in SWEEP if chosen.decoder.context_source == "attention"]
DRAWING = [chosen for chosen in ATTENDING if chosen.attention.normaliser == "hard-sample"]
LENGTHS = [4, 1, 3]  # of the sources
B, S, T = 3, 4, 5


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


def model_of(chosen: config.ModelConfig) -> Seq2Seq:
    """With weights large enough for every part to matter, biases included."""
    model = build(chosen, TARGET if chosen.tied == "all" else SOURCE, TARGET).eval()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return model


def words(count: int, length: int) -> Tensor:
    """Source ids (count, length), no word twice in a row: hard weights between equal keys would hang on
    rounding.
    """
    return 4 + torch.rand(count, TARGET - 4).argsort(1)[:, :length]


def sentences() -> tuple[Tensor, Tensor, Tensor]:
    """Source ids, their mask, and target inputs. Padding holds any id: what stands there must not matter."""
    source = words(B, S)
    return source, torch.arange(S) < torch.tensor(LENGTHS)[:, None], torch.randint(4, TARGET, (B, T))


def read_by_head(
    model: Seq2Seq, source: Tensor, mask: Tensor, inputs: Tensor
) -> tuple[DecoderOutput, Tensor]:
    """Teacher forcing, and beside it the weights of each head, (B, T, H, S)."""
    seen: list[Tensor] = []
    assert model.decoder.attention is not None
    hook = model.decoder.attention.register_forward_hook(lambda _, __, reading: seen.append(reading.weights))
    with torch.no_grad():
        got = model(source, mask, inputs, weights=True)
    hook.remove()
    return got, torch.cat(seen, 1)


def draws(chosen: config.ModelConfig) -> bool:
    return chosen.decoder.context_source == "attention" and chosen.attention.at_inference == "sample"


def assert_is_the_papers(chosen: config.ModelConfig) -> None:
    model = model_of(chosen)
    source, mask, inputs = sentences()
    drawn = None
    if draws(chosen):  # the draws are the model's own: what is made of them must be the papers'
        got, drawn = read_by_head(model, source, mask, inputs)
    with torch.no_grad():
        got = model(source, mask, inputs, weights=True)
    assert got.logits.shape == (B, T, TARGET)
    named = weights(model, chosen)
    for b, length in enumerate(LENGTHS):
        ones = None if drawn is None else drawn[b, :, :, :length].numpy()
        want = reference.run(recipe(chosen), named, source[b, :length].tolist(), inputs[b].tolist(), ones)
        np.testing.assert_allclose(got.logits[b], np.stack(want.logits), atol=1e-9)
        if chosen.decoder.context_source == "attention":
            np.testing.assert_allclose(
                mean_attention(got.weights)[b, :, :length], np.stack(want.attention), atol=1e-9
            )
            assert (got.weights[b, ..., length:] == 0).all()
        else:
            assert got.weights is None


@pytest.mark.parametrize("chosen", SWEEP, ids=NAMES)
def test_forward_is_the_papers(chosen: config.ModelConfig) -> None:
    assert_is_the_papers(chosen)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(recipes.models())
def test_any_valid_recipe_is_the_papers(chosen: config.ModelConfig) -> None:
    assert_is_the_papers(chosen)


def test_show_attend_and_tell_is_the_papers() -> None:
    """The decoder of `xu15-soft`, small, asked and fed as the paper has it: gate, first state of the mean
    annotation, and a readout of word, state and context.
    """
    preset = config.load("xu15-soft").model.decoder
    assert preset.kind == "rnn"
    parts = preset.model_dump(include={"cell", "gate", "bridge", "readout", "readout_embedding"})
    chosen = recipes.make(
        {"cell": "gru"}, parts | {"query_state": "previous", "context_to": ("input", "readout")}
    )
    model = model_of(chosen)
    source, mask, inputs = sentences()
    with torch.no_grad():
        got = model(source, mask, inputs, weights=True)
        annotations = model.encoder(source, mask).values_BSV.numpy()
    named = weights(model, chosen)
    own = {
        "embedding": named["target_embedding"],
        "init_h": named["bridge"][0]["h"],
        "init_c": named["bridge"][0]["c"],
        "score": named["attention"]["score"],
        "beta": named["gate"],
        "lstm": named["decoder"][0],
        "readout": named["readout"],
        "output": named["output"],
    }
    for b, length in enumerate(LENGTHS):
        logits, read = reference.show_attend_and_tell(own, list(annotations[b, :length]), inputs[b].tolist())
        np.testing.assert_allclose(got.logits[b], np.stack(logits), atol=1e-9)
        np.testing.assert_allclose(mean_attention(got.weights)[b, :, :length], np.stack(read), atol=1e-9)


def test_the_sweep_has_every_choice_somewhere() -> None:
    """What is drawn must not leave a choice out, neither in the sweep nor in the parts of it that the longer
    tests take.
    """
    assert {(chosen.attention.score, chosen.attention.normaliser) for chosen in ATTENDING} == set(
        itertools.product(recipes.SCORES, recipes.NORMALISERS)
    )
    for part in (SWEEP, FEW, SMOOTH):
        attending = [chosen for chosen in part if chosen.decoder.context_source == "attention"]
        for name, kinds in {
            "score": recipes.SCORES,
            "query_map": recipes.MAPS,
            "key_map": recipes.MAPS,
            "query_input": ("state", "embedding", "both"),
            "keys": recipes.PARTS,
            "values": recipes.PARTS,
            "value_map": recipes.MAPS,
            "heads": (1, 2),
            "history": recipes.PASTS,
            "window": recipes.WINDOWS,
            "temperature": (1.0, 0.7),
        }.items():
            assert {getattr(chosen.attention, name) for chosen in attending} == set(kinds), name
        soft = set(recipes.NORMALISERS) - (set(config.HARD) if part is SMOOTH else set())
        assert {chosen.attention.normaliser for chosen in attending} == soft
        assert {chosen.decoder.gate for chosen in attending} == set(recipes.GATES)
        assert {chosen.decoder.bridge for chosen in part} == set(recipes.BRIDGES)
        assert {(chosen.decoder.readout, chosen.decoder.readout_size) for chosen in part} == set(
            recipes.READOUTS
        )
        assert {chosen.tied for chosen in part} == {"none", "output", "all"}
        assert {chosen.encoder.cell for chosen in part} == set(recipes.CELLS)
        assert {(chosen.encoder.bidirectional, chosen.encoder.reverse) for chosen in part} == {
            (True, False),
            (False, False),
            (False, True),
        }
        for choice in ("readout_embedding", "input_feeding", "query_state", "cell", "context_source"):
            assert len({getattr(chosen.decoder, choice) for chosen in part}) == (
                3 if choice in ("cell", "context_source") else 2
            ), choice
    assert {chosen.attention.at_inference for chosen in DRAWING} == {"argmax", "expected", "sample"}
    assert {chosen.attention.k for chosen in DRAWING} == {1, 2}
    assert any(chosen.attention.heads > 1 for chosen in DRAWING)


@pytest.mark.parametrize("chosen", DRAWING, ids=recipes.name)
def test_what_is_drawn_in_training_is_read_and_costs_what_the_papers_say(chosen: config.ModelConfig) -> None:
    """Xu 2015, section 4.1: what follows from the draws, their log-probability and the entropy of what they
    were drawn from; some sentences read the mean.
    """
    model = model_of(chosen).train()
    source, mask, inputs = sentences()
    memory = model.encoder(source, mask)
    for seed in range(4):
        torch.manual_seed(seed)
        with torch.no_grad():
            got, drawn = read_by_head(model, source, mask, inputs)
        torch.manual_seed(seed)
        found = model.decoder.hidden_states(inputs, memory)
        assert found.log_p_BT is not None
        assert found.entropy_BT is not None
        named = weights(model, chosen)
        for b, length in enumerate(LENGTHS):
            by_head = drawn[b, :, :, :length].numpy()
            mean = not np.isin(by_head, (0, 1)).all()
            assert chosen.attention.expectation_prob > 0 or not mean
            how = replace(recipe(chosen), at_inference="expected" if mean else "argmax")
            want = reference.run(
                how, named, source[b, :length].tolist(), inputs[b].tolist(), None if mean else by_head
            )
            np.testing.assert_allclose(got.logits[b], np.stack(want.logits), atol=1e-9)
            np.testing.assert_allclose(found.entropy_BT[b].detach(), want.entropy, atol=1e-9)
            if mean:
                assert (found.log_p_BT[b] == 0).all()
            elif chosen.attention.k == 1:  # the order of several is not known here
                np.testing.assert_allclose(found.log_p_BT[b].detach(), want.log_p, atol=1e-9)


def test_a_decoder_that_would_never_see_the_source_is_refused() -> None:
    with pytest.raises(ValueError, match="never sees the source"):
        config.RNNDecoderConfig(context_source="none", context_to=(), bridge="zero")


@pytest.mark.parametrize("chosen", ATTENDING, ids=recipes.name)
@pytest.mark.parametrize("training", [False, True])
def test_weights_are_what_their_normaliser_promises(chosen: config.ModelConfig, training: bool) -> None:
    """Exactly 0 on padding and outside a fixed window; one in all, or one for each position that is chosen; a
    predicted window takes away from it.
    """
    model = model_of(chosen).train(training)
    source, mask, inputs = sentences()
    _, weights_BTHS = read_by_head(model, source, mask, inputs)
    a, time, position, lengths = chosen.attention, torch.arange(T), torch.arange(S), torch.tensor(LENGTHS)
    if "location" in a.score:
        lengths = lengths.clamp(max=a.max_positions)  # the others are as padding
        mask = mask & (position < a.max_positions)
    readable_BTS = mask[:, None].expand(-1, T, -1)
    if a.window == "local-m":
        centre_BT = torch.minimum(time, lengths[:, None] - 1)
        readable_BTS = readable_BTS & ((position - centre_BT[..., None]).abs() <= a.half_width)
    assert (weights_BTHS.transpose(1, 2)[~readable_BTS[:, None].expand(-1, a.heads, -1, -1)] == 0).all()
    assert (weights_BTHS >= 0).all()
    got_BTH, count_BT1 = weights_BTHS.sum(-1), readable_BTS.sum(-1)[..., None]
    if a.normaliser == "sigmoid":
        assert (weights_BTHS <= 1).all()
        assert (got_BTH > 0).all()
    elif a.window == "local-p":
        assert (got_BTH < 1).all()
        assert (got_BTH > 0).all()
    else:
        torch.testing.assert_close(got_BTH, count_BT1.clamp(max=a.k).expand(-1, -1, a.heads).to(got_BTH))
    if a.normaliser in ("hard-topk", "gumbel") or (
        a.normaliser == "hard-sample"
        and (a.expectation_prob == 0 if training else a.at_inference != "expected")
    ):
        assert ((weights_BTHS == 0) | (weights_BTHS == 1)).all()


@pytest.mark.parametrize("chosen", SWEEP, ids=NAMES)
def test_steps_are_the_whole_sequence_and_a_beam_is_one_more_query(chosen: config.ModelConfig) -> None:
    """Two rows a sentence, fed with different targets and one memory, do step by step what each does alone
    and at once.
    """
    model = model_of(chosen)
    source, mask, inputs = sentences()
    inputs_BWT = torch.stack([inputs, torch.randint(4, TARGET, (B, T))], 1)
    with torch.no_grad():
        memory = model.encoder(source, mask)
        whole = [model.decoder(inputs_BWT[:, w], memory, weights=True) for w in range(2)]
        read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, 2)
        for t in range(T):
            out, state = model.decoder.step(inputs_BWT[:, :, t].flatten(), state, read)
            torch.testing.assert_close(
                out.logits.view(B, 2, -1), torch.stack([w.logits[:, t] for w in whole], 1)
            )
            if out.weights is not None:
                torch.testing.assert_close(
                    out.weights.unflatten(0, (B, 2)), torch.stack([w.weights[:, t] for w in whole], 1)
                )


@pytest.mark.parametrize("chosen", FEW, ids=recipes.name)
def test_rows_change_places_with_their_state(chosen: config.ModelConfig) -> None:
    """After `select`, each row goes on as the row it was taken from."""
    model = model_of(chosen)
    source, mask, _ = sentences()
    with torch.no_grad():
        memory = model.encoder(source, mask)
        read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, 2)
        _, state = model.decoder.step(torch.randint(4, TARGET, (2 * B,)), state, read)
        swap = torch.tensor([1, 0, 3, 3, 4, 5])  # within each sentence, as a beam does
        token = torch.randint(4, TARGET, (2 * B,))
        before, next_before = model.decoder.step(token, state, read)
        after, next_after = model.decoder.step(token[swap], select(state, swap), read)
        torch.testing.assert_close(after.logits, before.logits[swap])
        again, _ = model.decoder.step(token[swap], next_after, read)
        want, _ = model.decoder.step(token[swap], select(next_before, swap), read)
        torch.testing.assert_close(again.logits, want.logits)


@pytest.mark.parametrize("chosen", FEW, ids=recipes.name)
def test_a_state_is_a_value(chosen: config.ModelConfig) -> None:
    """A step changes neither the state that it is given nor the source that it reads: the same step again
    gives the same.
    """
    model = model_of(chosen)
    source, mask, _ = sentences()
    with torch.no_grad():
        memory = model.encoder(source, mask)
        read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, 1)
        first, _ = model.decoder.step(torch.tensor([4, 5, 6]), state, read)
        model.decoder.step(torch.tensor([7, 7, 7]), state, read)
        again, _ = model.decoder.step(torch.tensor([4, 5, 6]), state, read)
    assert torch.equal(first.logits, again.logits)


@pytest.mark.parametrize("chosen", SWEEP, ids=NAMES)
def test_padding_future_and_neighbours_change_nothing(chosen: config.ModelConfig) -> None:
    model = model_of(chosen)
    source, mask, inputs = sentences()
    with torch.no_grad():
        got = model(source, mask, inputs, weights=True)
        longer = torch.cat([source, torch.randint(4, TARGET, (B, 3))], 1)
        longer.masked_fill_(~torch.nn.functional.pad(mask, (0, 3)), 5)
        padded = model(longer, torch.nn.functional.pad(mask, (0, 3)), inputs, weights=True)
        torch.testing.assert_close(padded.logits, got.logits)
        if got.weights is not None:
            torch.testing.assert_close(padded.weights[..., :S], got.weights)
            assert (padded.weights[..., S:] == 0).all()

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


@pytest.mark.parametrize("chosen", SMOOTH, ids=recipes.name)
def test_gradients_of_every_weight(chosen: config.ModelConfig) -> None:
    """By finite differences, through encoder, bridge, attention, cells and readout together; hard weights
    have an estimate in place of a gradient.
    """
    model = model_of(chosen)
    source, mask, inputs = sentences()
    parameters = dict(model.named_parameters())

    def logits(*values: Tensor) -> Tensor:
        got: Tensor = torch.func.functional_call(
            model, dict(zip(parameters, values, strict=True)), (source, mask, inputs)
        ).logits
        return got

    torch.autograd.gradcheck(logits, tuple(parameters.values()), fast_mode=True)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(recipes.models(), st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 4))
def test_gradients_of_every_weight_are_those_of_single_steps(
    chosen: config.ModelConfig, lengths: list[int], steps: int
) -> None:
    """The whole sequence with its shared matrix gradients, against a plain chain of steps: weight by weight,
    for any shape.
    """
    model = model_of(chosen)
    source = words(len(lengths), max(lengths))
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    inputs, weight = torch.randint(4, TARGET, (len(lengths), steps)), torch.randn(len(lengths), steps, TARGET)
    parameters = tuple(model.parameters())
    loss = (model(source, mask, inputs).logits * weight).sum()
    # one step alone may not read what the next one would
    fast = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    memory = model.encoder(source, mask)
    read, state, logits = model.decoder.project_memory(memory), model.decoder.initial_state(memory, 1), []
    for t in range(steps):
        out, state = model.decoder.step(inputs[:, t], state, read)
        logits.append(out.logits)
    slow = torch.autograd.grad(
        (torch.stack(logits, 1) * weight).sum(), parameters, allow_unused=True, materialize_grads=True
    )
    for (name, _), a, b in zip(model.named_parameters(), fast, slow, strict=True):
        torch.testing.assert_close(a, b, msg=lambda said, name=name: f"{name}: {said}")


@pytest.mark.parametrize("chosen", FEW, ids=recipes.name)
def test_features_are_what_the_output_layer_reads(chosen: config.ModelConfig) -> None:
    model = model_of(chosen)
    source, mask, inputs = sentences()
    with torch.no_grad():
        memory = model.encoder(source, mask)
        found = model.decoder.hidden_states(inputs, memory)
        whole = model.decoder(inputs, memory)
    assert found.weights_BTLHS is None
    assert found.log_p_BT is None
    assert found.entropy_BT is None
    assert whole.weights is None
    torch.testing.assert_close(model.decoder.output(found.features_BTD), whole.logits)


@pytest.mark.parametrize("precision", [torch.bfloat16])
@pytest.mark.parametrize("chosen", SMOOTH, ids=recipes.name)
def test_autocast_gives_nearly_the_same(chosen: config.ModelConfig, precision: torch.dtype) -> None:
    """Forward and backward in low precision: the same numbers to its accuracy, gradients in the weights' own
    type.
    """
    model = model_of(chosen).float()
    source, mask, inputs = sentences()
    exact = model(source, mask, inputs).logits
    with torch.autocast("cpu", precision):
        low = model(source, mask, inputs).logits
    assert (low.float() - exact).abs().max() < 0.1
    want = torch.autograd.grad(exact.square().mean(), tuple(model.parameters()))
    got = torch.autograd.grad(low.float().square().mean(), tuple(model.parameters()))
    for a, b in zip(got, want, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() < 0.15 * b.norm() + 0.03


@pytest.mark.parametrize("feeding", [False, True])
def test_dropout_is_on_embeddings_between_layers_and_on_readouts(
    feeding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipes.make(
        {"layers": 2}, {"layers": 2, "readout_size": 6, "input_feeding": feeding}, dropout=0.3
    )
    model, dropped = model_of(chosen), []

    def note(x: Tensor, p: float, training: bool) -> Tensor:
        dropped.append((tuple(x.shape), p, training))
        return x

    for module in (models.encoders.rnn, models.decoders.rnn):
        monkeypatch.setattr(module, "dropout", note)
    source, mask, inputs = sentences()
    between = [(B, 3)] * T if feeding else [(B, T, 3)]
    for training in (True, False):
        dropped.clear()
        model.train(training)(source, mask, inputs)
        assert [shape for shape, _, _ in dropped] == [(B, S, 5), (B, S, 4), (B, T, 5), *between, (B, T, 6)]
        assert {(p, flag) for _, p, flag in dropped} == {(0.3, training)}
