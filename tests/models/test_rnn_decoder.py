"""The recurrent decoder: that of Xu 2015, what the sweep of its settings holds, and where dropout falls."""

import itertools

import numpy as np
import pytest
import recipes
import reference
import torch
from models.laws import LENGTHS, B, S, T, random_model, text_batch
from named_weights import weights
from recipes import FEW, SMOOTH, SWEEP
from torch import Tensor

from seq2attn import config, models
from seq2attn.models.memory import mean_attention

ATTENDING = [settings for settings in SWEEP if settings.decoder.context_source == "attention"]
DRAWING = [settings for settings in ATTENDING if settings.attention.normaliser == "hard-sample"]


@pytest.fixture(autouse=True)
def _in_float64(float64: None) -> None: ...


def test_decoder_of_show_attend_and_tell_equals_the_papers() -> None:
    """The decoder of `xu15-soft`, small, queried and fed as the paper has it: gate, first state of the mean
    annotation, and a readout of word, state and context.
    """
    preset = config.load("xu15-soft").model.decoder
    assert preset.kind == "rnn"
    parts = preset.model_dump(include={"cell", "gate", "bridge", "readout", "readout_embedding"})
    settings = recipes.make(
        {"cell": "gru"}, parts | {"query_state": "previous", "context_to": ("input", "readout")}
    )
    model = random_model(settings)
    source, mask, inputs = text_batch()
    with torch.no_grad():
        got = model(source, mask, inputs, weights=True)
        annotations = model.encoder(source, mask).values_BSV.numpy()
    named = weights(model, settings)
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


def test_sweep_has_every_value_of_every_setting() -> None:
    """And so have the parts of it that longer tests take."""
    assert {(settings.attention.score, settings.attention.normaliser) for settings in ATTENDING} == set(
        itertools.product(recipes.SCORES, recipes.NORMALISERS)
    )
    for part in (SWEEP, FEW, SMOOTH):
        attending = [settings for settings in part if settings.decoder.context_source == "attention"]
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
            assert {getattr(settings.attention, name) for settings in attending} == set(kinds), name
        soft = set(recipes.NORMALISERS) - (set(config.HARD) if part is SMOOTH else set())
        assert {settings.attention.normaliser for settings in attending} == soft
        assert {settings.decoder.gate for settings in attending} == set(recipes.GATES)
        assert {settings.decoder.bridge for settings in part} == set(recipes.BRIDGES)
        assert {(settings.decoder.readout, settings.decoder.readout_size) for settings in part} == set(
            recipes.READOUTS
        )
        assert {settings.tied for settings in part} == {"none", "output", "all"}
        assert {settings.encoder.cell for settings in part} == set(recipes.CELLS)
        assert {(settings.encoder.bidirectional, settings.encoder.reverse) for settings in part} == {
            (True, False),
            (False, False),
            (False, True),
        }
        for choice in ("readout_embedding", "input_feeding", "query_state", "cell", "context_source"):
            assert len({getattr(settings.decoder, choice) for settings in part}) == (
                3 if choice in ("cell", "context_source") else 2
            ), choice
    assert {settings.attention.at_inference for settings in DRAWING} == {"argmax", "expected", "sample"}
    assert {settings.attention.k for settings in DRAWING} == {1, 2}
    assert any(settings.attention.heads > 1 for settings in DRAWING)


def test_decoder_that_never_sees_the_source_is_refused() -> None:
    with pytest.raises(ValueError, match="never sees the source"):
        config.RNNDecoderConfig(context_source="none", context_to=(), bridge="zero")


@pytest.mark.parametrize("feeding", [False, True])
def test_decoder_drops_embeddings_inputs_of_layers_and_readouts(
    feeding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipes.make(
        {"layers": 2}, {"layers": 2, "readout_size": 6, "input_feeding": feeding}, dropout=0.3
    )
    model, dropped = random_model(settings), []

    def note(x: Tensor, p: float, training: bool) -> Tensor:
        dropped.append((tuple(x.shape), p, training))
        return x

    for module in (models.encoders.rnn, models.decoders.rnn):
        monkeypatch.setattr(module, "dropout", note)
    source, mask, inputs = text_batch()
    between = [(B, 3)] * T if feeding else [(B, T, 3)]
    for training in (True, False):
        dropped.clear()
        model.train(training)(source, mask, inputs)
        assert [shape for shape, _, _ in dropped] == [(B, S, 5), (B, S, 4), (B, T, 5), *between, (B, T, 6)]
        assert {(p, flag) for _, p, flag in dropped} == {(0.3, training)}
