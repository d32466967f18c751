"""Any encoder with any decoder: the laws that every pair keeps, and the equations of both papers at once."""

import copy
import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference
import tiny
import torch
import toy
from named_weights import recipe, weights
from torch import Tensor, nn

import seq2attn
from seq2attn import config
from seq2attn.data.tokenizer import BOS, EOS
from seq2attn.errors import UsageError
from seq2attn.inference import Translation, Translator
from seq2attn.models.memory import mean_attention
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.models.state import select
from seq2attn.runs import directory
from seq2attn.training import resume, trainer
from seq2attn.training.events import Validation

SOURCE, TARGET = 9, 8  # vocabularies
LENGTHS = [4, 1, 3]  # of the sources
B, S, T = 3, 4, 5
SIZE = 8  # of embeddings and of every encoder's states
STACK = {"heads": 2, "feedforward": 12, "layers": 2}
ENCODERS: dict[str, dict[str, Any]] = {
    "rnn": {"size": SIZE // 2},
    "conv": {"kind": "conv", "size": 5, "layers": 2},
    "transformer": {"kind": "transformer", "size": SIZE, **STACK},
}
DECODERS: dict[str, dict[str, Any]] = {
    "rnn": {"size": 6},
    "conv": {"kind": "conv", "size": 5, "layers": 2},
    "transformer": {"kind": "transformer", "size": SIZE, **STACK},
}
ATTENTIONS: dict[str, dict[str, Any]] = {
    "additive": {"score": "additive", "size": 8},
    "heads": {"score": "scaled-dot", "heads": 2, "size": 8, "values": "sum"},
    "sparse": {"score": "general", "size": 8, "keys": "sum", "normaliser": "sparsemax"},
    "window": {"score": "additive", "size": 8, "window": "local-m", "half_width": 1},
    "hard": {"score": "general", "size": 8, "normaliser": "hard-sample", "at_inference": "sample"},
}
# a recurrent decoder whose steps wait for what was read
LOOP = {"query_state": "previous", "context_to": ("input", "readout"), "input_feeding": True}
PAIRS = list(itertools.product(ENCODERS, DECODERS))
both = pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
every_attention = pytest.mark.parametrize("attention", ATTENTIONS)


@pytest.fixture
def _in_float64(float64: None) -> None: ...


exact = pytest.mark.usefixtures("_in_float64")


def tree(encoder: str, decoder: str, attention: str, **changed: Any) -> dict[str, Any]:
    chosen = {
        "embedding": SIZE,
        "dropout": 0.0,
        "encoder": ENCODERS[encoder],
        "decoder": DECODERS[decoder] | changed,
        "attention": ATTENTIONS[attention],
    }
    if decoder == "rnn" and attention in ("heads", "window"):
        chosen["decoder"] = chosen["decoder"] | LOOP
    return copy.deepcopy(chosen)


def settings(encoder: str, decoder: str, attention: str = "additive", **changed: Any) -> config.ModelConfig:
    return config.ModelConfig.model_validate(tree(encoder, decoder, attention, **changed))


def model_of(chosen: config.ModelConfig) -> Seq2Seq:
    """With weights large enough for every part to matter, biases included."""
    model = build(chosen, SOURCE, TARGET).eval()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.8, 0.8)
    return model


def sentences(targets: int = T) -> tuple[Tensor, Tensor, Tensor]:
    """Source ids, none twice in a row, for hard weights between equal keys would hang on rounding; their
    mask; target inputs. Padding holds any id.
    """
    source = 4 + torch.rand(B, SOURCE - 4).argsort(1)[:, :S]
    return source, torch.arange(S) < torch.tensor(LENGTHS)[:, None], torch.randint(4, TARGET, (B, targets))


@exact
@both
# draws are held to the papers in the tests of each decoder
@pytest.mark.parametrize("attention", [name for name in ATTENTIONS if name != "hard"])
def test_every_pair_is_the_papers(encoder: str, decoder: str, attention: str) -> None:
    chosen = settings(encoder, decoder, attention)
    model = model_of(chosen)
    source, mask, inputs = sentences()
    with torch.no_grad():
        got = model(source, mask, inputs, weights=True)
    named = weights(model, chosen)
    assert got.weights is not None
    for b, length in enumerate(LENGTHS):
        want = reference.run(recipe(chosen), named, source[b, :length].tolist(), inputs[b].tolist())
        np.testing.assert_allclose(got.logits[b], np.stack(want.logits), atol=1e-9)
        np.testing.assert_allclose(
            mean_attention(got.weights)[b, :, :length], np.stack(want.attention), atol=1e-9
        )


@exact
@pytest.mark.parametrize("width", [1, 3])
@both
@every_attention
def test_steps_are_the_whole_sequence_wherever_their_rows_go(
    encoder: str, decoder: str, attention: str, width: int
) -> None:
    model = model_of(settings(encoder, decoder, attention))
    source, mask, _ = sentences()
    tokens = torch.zeros(B * width, 0, dtype=torch.long)
    with torch.no_grad():
        memory = model.encoder(source, mask)
        rows = select(memory, torch.arange(B).repeat_interleave(width))
        read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, width)
        for _ in range(T):
            token = torch.randint(4, TARGET, (B * width,))
            tokens = torch.cat([tokens, token[:, None]], 1)
            out, state = model.decoder.step(token, state, read)
            want = model.decoder(tokens, rows, weights=True)
            torch.testing.assert_close(out.logits, want.logits[:, -1])
            torch.testing.assert_close(out.weights, want.weights[:, -1])
            chosen_R = (torch.arange(B)[:, None] * width + torch.randint(0, width, (B, width))).flatten()
            state, tokens = select(state, chosen_R), tokens[chosen_R]


@exact
@both
@every_attention
def test_padding_and_the_future_change_nothing(encoder: str, decoder: str, attention: str) -> None:
    model = model_of(settings(encoder, decoder, attention))
    source, mask, inputs = sentences()
    with torch.no_grad():
        got = model(source, mask, inputs, weights=True)
        other = torch.where(mask, source, 3 + (source - 2) % (SOURCE - 4))
        assert not torch.equal(other, source)
        torch.testing.assert_close(model(other, mask, inputs).logits, got.logits)
        longer, longer_mask = (
            torch.cat([source, torch.randint(0, SOURCE, (B, 3))], 1),
            nn.functional.pad(mask, (0, 3)),
        )
        padded = model(longer, longer_mask, inputs, weights=True)
        torch.testing.assert_close(padded.logits, got.logits)
        torch.testing.assert_close(padded.weights[..., :S], got.weights)
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
        assert not torch.allclose(
            model(torch.where(mask, 3 + (source - 2) % (SOURCE - 4), source), mask, inputs).logits, got.logits
        )


@exact
@both
@every_attention
def test_weights_are_of_the_real_positions_and_asking_for_them_changes_nothing(
    encoder: str, decoder: str, attention: str
) -> None:
    model = model_of(settings(encoder, decoder, attention))
    source, mask, inputs = sentences()
    with torch.no_grad():
        got, fused = model(source, mask, inputs, weights=True), model(source, mask, inputs)
        assert got.weights is not None
        torch.testing.assert_close(got.weights.sum(-1), torch.ones(got.weights.shape[:-1]))
        assert (got.weights.masked_select(~mask[:, None, None, None].expand_as(got.weights)) == 0).all()
        assert fused.weights is None
        torch.testing.assert_close(fused.logits, got.logits)
        memory = model.encoder(source, mask)
        read, state = model.decoder.project_memory(memory), model.decoder.initial_state(memory, 2)
        (a, _), (b, _) = (
            model.decoder.step(torch.full((2 * B,), 5), state, read, weights=asked) for asked in (False, True)
        )
        assert a.weights is None
        torch.testing.assert_close(a.logits, b.logits)


# Training


def toy_settings(encoder: str, decoder: str, *changes: str) -> config.Config:
    sides = (("encoder", ENCODERS[encoder]), ("decoder", DECODERS[decoder]))
    kinds = [f"model.{side}.kind={one.get('kind', 'rnn')}" for side, one in sides]
    sizes = [
        f"model.{side}.{key}={value}" for side, one in sides for key, value in one.items() if key != "kind"
    ]
    return toy.settings("model.embedding=8", "model.attention.size=8", *kinds, *sizes, *changes)


@both
def test_every_pair_learns(encoder: str, decoder: str, tmp_path: Path) -> None:
    """Sequences turned around, by the training loop itself: the validation loss is well below that of its
    first look.
    """
    events = toy.fit(
        tmp_path / "run",
        toy_settings(encoder, decoder, "model.dropout=0.0", "train.max_steps=40", "train.validate_every=2"),
    )
    losses = [event.loss for event in toy.of(Validation, events)]
    assert len(losses) == 20
    assert all(map(math.isfinite, losses))
    assert losses[-1] < losses[0] - 0.3


@both
def test_ten_and_ten_steps_are_bit_for_bit_twenty(encoder: str, decoder: str, tmp_path: Path) -> None:
    """With dropout."""
    conf = toy_settings(encoder, decoder)
    toy.fit(tmp_path / "whole", conf)
    stop = toy.After(10)
    stop.watch(
        trainer.train(
            toy.model(conf),
            toy.new_run(tmp_path / "cut", conf),
            toy.TRAINING,
            toy.VALIDATION,
            world=toy.ALONE,
            stop=stop,
        )
    )
    torch.manual_seed(999)
    toy.fit(tmp_path / "cut", conf)
    whole, cut = (resume.load_state(directory.open_run(tmp_path / name)) for name in ("whole", "cut"))
    assert whole is not None
    assert cut is not None
    assert whole[0].step == cut[0].step == 20
    assert whole[1].keys() == cut[1].keys()
    assert all(torch.equal(tensor, cut[1][name]) for name, tensor in whole[1].items())


@both
def test_every_weight_has_a_gradient(encoder: str, decoder: str) -> None:
    chosen = settings(encoder, decoder)
    model = build(chosen, SOURCE, TARGET).train()
    source, mask, inputs = sentences()
    model(source, mask, inputs).logits.square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
        assert parameter.grad.any() or key.endswith(("score.query.bias", "key.bias")), key


# Search


TEXTS = [
    "the small dog",
    "rain",
    "she sings, and they listen to her songs in the old house of the town",
    "",
    "we do not eat red apples today",
]


def translator_of(encoder: str, decoder: str, attention: str = "additive") -> Translator:
    sides = tree(encoder, decoder, attention)
    for one in ("encoder", "decoder"):
        if sides[one].get("kind") == "transformer":
            sides[one]["size"] = 12
    encoder_side, decoder_side = sides["encoder"], sides["decoder"]
    if encoder_side.get("kind", "rnn") == "rnn":
        encoder_side["size"] = 6  # each way: states as long as the embedding
    return tiny.translator(encoder=encoder_side, attention=ATTENTIONS[attention], **decoder_side)


@torch.no_grad()
def forced(translator: Translator, translation: Translation) -> tuple[float, Tensor]:
    """log p of the translation's tokens and end token, and the weights, by one pass over the whole target,
    one sentence, no padding.
    """
    model = translator.members[0].model.eval()
    source = torch.tensor([[*translator.source_tokenizer.encode(translation.source), EOS]])
    output = model(
        source,
        torch.ones_like(source, dtype=torch.bool),
        torch.tensor([[BOS, *translation.tokens]]),
        weights=True,
    )
    log_p = output.logits.log_softmax(-1)[0]
    assert output.weights is not None
    return sum(float(log_p[i, token]) for i, token in enumerate([*translation.tokens, EOS])), mean_attention(
        output.weights
    )[0]


@exact
@both
@pytest.mark.parametrize("attention", ["additive", "heads", "window"])
def test_every_hypothesis_scores_what_teacher_forcing_gives_it(
    encoder: str, decoder: str, attention: str
) -> None:
    translator = translator_of(encoder, decoder, attention)
    seen = 0
    for beam in (1, 3):
        for translations in translator.translate(TEXTS, beam=beam, n_best=beam):
            for translation in translations:
                if translation.source:
                    log_p, weights = forced(translator, translation)
                    # float32 in the search
                    assert translation.log_probability == pytest.approx(log_p, rel=1e-6, abs=1e-5)
                    assert translation.score == pytest.approx(
                        log_p / (len(translation.tokens) + 1), rel=1e-6, abs=1e-5
                    )
                    np.testing.assert_allclose(translation.subword_attention, weights, rtol=0, atol=1e-6)
                    seen += 1
    assert seen == 4 * (1 + 3)


@exact
@both
def test_translations_hang_neither_on_company_nor_on_order(encoder: str, decoder: str) -> None:
    translator = translator_of(encoder, decoder)
    together = translator.translate(TEXTS, beam=3)
    alone = [translator.translate([text], beam=3)[0] for text in reversed(TEXTS)]
    assert [[(t.text, pytest.approx(t.score, rel=1e-6, abs=1e-5)) for t in ts] for ts in together] == [
        [(t.text, t.score) for t in ts] for ts in reversed(alone)
    ]
    forced_again = translator.score_targets(TEXTS, [ts[0].text for ts in together])
    for again, (best, *_) in zip(forced_again, together, strict=True):
        assert again.text == best.text
        if best.source and again.tokens == best.tokens:
            assert again.score == pytest.approx(best.score, rel=1e-6, abs=1e-5)


@both
def test_a_run_on_disk_translates_as_its_model_did(encoder: str, decoder: str, tmp_path: Path) -> None:
    translator = translator_of(encoder, decoder)
    model = translator.config.model
    run = tiny.save_run(
        tmp_path / "run",
        encoder=model.encoder.model_dump(),
        attention=ATTENTIONS["additive"],
        **model.decoder.model_dump(),
    )
    loaded = seq2attn.load(run)
    assert loaded.config.model == model
    assert [t[0].text for t in loaded.translate(TEXTS)] == [t[0].text for t in translator.translate(TEXTS)]


# Bridges: how a recurrent decoder starts from an encoder that has no last state


@exact
@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("bridge", ["linear", "mean", "zero"])
@pytest.mark.parametrize("encoder", ["conv", "transformer"])
def test_a_recurrent_decoder_starts_from_what_any_encoder_says(encoder: str, bridge: str, cell: str) -> None:
    chosen = settings(encoder, "rnn", bridge=bridge, cell=cell, layers=2)
    model = model_of(chosen)
    source, mask, inputs = sentences()
    with torch.no_grad():
        got = model(source, mask, inputs)
    for b, length in enumerate(LENGTHS):
        want = reference.run(
            recipe(chosen), weights(model, chosen), source[b, :length].tolist(), inputs[b].tolist()
        )
        np.testing.assert_allclose(got.logits[b], np.stack(want.logits), atol=1e-9)


@exact
@pytest.mark.parametrize(
    "reads",
    [{"context_source": "summary", "context_to": ("input",)}, {"context_source": "none", "context_to": ()}],
    ids=str,
)
@pytest.mark.parametrize("encoder", ["conv", "transformer"])
def test_a_recurrent_decoder_without_attention_reads_the_summary_of_any_encoder(
    encoder: str, reads: dict[str, Any]
) -> None:
    chosen = settings(encoder, "rnn", **reads)
    model = model_of(chosen)
    source, mask, inputs = sentences()
    with torch.no_grad():
        got = model(source, mask, inputs)
    assert got.weights is None
    for b, length in enumerate(LENGTHS):
        want = reference.run(
            recipe(chosen), weights(model, chosen), source[b, :length].tolist(), inputs[b].tolist()
        )
        np.testing.assert_allclose(got.logits[b], np.stack(want.logits), atol=1e-9)


@pytest.mark.parametrize("encoder", ["conv", "transformer"])
def test_a_last_state_is_refused_where_the_encoder_has_none(encoder: str) -> None:
    with pytest.raises(
        UsageError,
        match=f'model.decoder.bridge="last" copies a recurrent encoder\'s state: model.encoder.kind is '
        f'"{encoder}"; choose linear',
    ):
        config.validate({"model": tree(encoder, "rnn", "additive", bridge="last")}, "test")
