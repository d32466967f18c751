"""Any encoder with any decoder: training, search, runs on disk, and how a recurrent decoder starts."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
import toy
from models.families import ATTENTIONS, DECODERS, ENCODERS, pair, pair_tree
from models.laws import batch_of, equals_the_papers, random_model
from pairwise import pairwise
from torch import Tensor

import seq2attn
from seq2attn import config
from seq2attn.data.tokenizer import BOS, EOS
from seq2attn.errors import UsageError
from seq2attn.inference import Translation, Translator
from seq2attn.models.memory import mean_attention
from seq2attn.runs import directory
from seq2attn.training import resume, trainer
from seq2attn.training.events import Validation

KINDS = list(DECODERS)
# every encoder and every decoder once
mixed = pytest.mark.parametrize(("encoder", "decoder"), list(zip(KINDS, KINDS[1:] + KINDS[:1], strict=True)))


@pytest.fixture
def _in_float64(float64: None) -> None: ...


exact = pytest.mark.usefixtures("_in_float64")


# Training


def toy_settings(encoder: str, decoder: str, *changes: str) -> config.Config:
    sides = (("encoder", ENCODERS[encoder]), ("decoder", DECODERS[decoder]))
    kinds = [f"model.{side}.kind={one.get('kind', 'rnn')}" for side, one in sides]
    sizes = [
        f"model.{side}.{key}={value}" for side, one in sides for key, value in one.items() if key != "kind"
    ]
    return toy.settings("model.embedding=8", "model.attention.size=8", *kinds, *sizes, *changes)


@pytest.mark.slow
@mixed
def test_training_lowers_the_loss(encoder: str, decoder: str, tmp_path: Path) -> None:
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


@pytest.mark.slow
@mixed
def test_training_resumes_bit_for_bit(encoder: str, decoder: str, tmp_path: Path) -> None:
    """With dropout: ten steps and ten are twenty."""
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


# Search


TEXTS = [
    "the small dog",
    "rain",
    "she sings, and they listen to her songs in the old house of the town",
    "",
    "we do not eat red apples today",
]


def translator_of(encoder: str, decoder: str, attention: str = "additive") -> Translator:
    sides = pair_tree(encoder, decoder, attention)
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


@pytest.mark.slow
@exact
@pytest.mark.parametrize(
    ("encoder", "decoder", "attention"), pairwise(KINDS, KINDS, ("additive", "heads", "window"))
)
def test_search_scores_a_hypothesis_as_teacher_forcing_does(
    encoder: str, decoder: str, attention: str
) -> None:
    translator = translator_of(encoder, decoder, attention)
    compared = 0
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
                    compared += 1
    assert compared == 4 * (1 + 3)


@exact
@mixed
def test_search_of_a_sentence_ignores_its_batch(encoder: str, decoder: str) -> None:
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


@mixed
def test_run_on_disk_translates_as_its_model(encoder: str, decoder: str, tmp_path: Path) -> None:
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
def test_recurrent_decoder_starts_from_any_encoder(encoder: str, bridge: str, cell: str) -> None:
    settings = pair(encoder, "rnn", bridge=bridge, cell=cell, layers=2)
    equals_the_papers(settings, random_model(settings), batch_of(settings))


@exact
@pytest.mark.parametrize(
    "reads",
    [{"context_source": "summary", "context_to": ("input",)}, {"context_source": "none", "context_to": ()}],
    ids=str,
)
@pytest.mark.parametrize("encoder", ["conv", "transformer"])
def test_recurrent_decoder_without_attention_reads_any_encoder(encoder: str, reads: dict[str, Any]) -> None:
    settings = pair(encoder, "rnn", **reads)
    equals_the_papers(settings, random_model(settings), batch_of(settings))


@pytest.mark.parametrize("encoder", ["conv", "transformer"])
def test_last_state_of_an_encoder_that_has_none_is_refused(encoder: str) -> None:
    with pytest.raises(
        UsageError,
        match=f'model.decoder.bridge="last" copies a recurrent encoder\'s state: model.encoder.kind is '
        f'"{encoder}"; choose linear',
    ):
        config.validate({"model": pair_tree(encoder, "rnn", bridge="last")}, "test")
