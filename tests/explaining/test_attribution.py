"""Attributions against captum's, on the model itself and its own layer of embeddings."""

from typing import Any

import numpy as np
import pytest
import torch
from explained_models import COPYING, FAMILIES, SOURCES, TARGETS, translator

from seq2attn.data.tokenizer import BOS, EOS, PAD, UNK
from seq2attn.explaining.attribution import input_x_gradient, integrated_gradients, word_gradients
from seq2attn.explaining.forced import ForcedModel
from seq2attn.explaining.pairs import ForcedPair, of_texts
from seq2attn.models.seq2seq import Seq2Seq


def forward(model: Seq2Seq, pair: ForcedPair, word: int) -> Any:
    """log p of a word as a function of the ids of the source, by the model's own forward."""
    tokens = [t for t, of in enumerate(pair.word_of) if of == word]

    def log_p(ids_BS: torch.Tensor) -> torch.Tensor:
        inputs = torch.tensor([[BOS, *pair.target]]).expand(len(ids_BS), -1)
        output = model(ids_BS, ids_BS != PAD, inputs).logits.log_softmax(-1)
        targets = torch.tensor([*pair.target, EOS])
        return output[:, tokens, targets[tokens]].sum(1)

    return log_p


def by_units(pair: ForcedPair, parts_S: torch.Tensor) -> list[float]:
    return [
        float(sum(parts_S[s] for s, of in enumerate(pair.unit_of) if of == unit))
        for unit in range(len(pair.units))
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_attributions_are_those_of_captum(family: str) -> None:
    captum = pytest.importorskip("captum.attr", reason="captum is a dependency of tests alone")
    model = translator(family)
    pairs = of_texts(model, SOURCES[:2], TARGETS[:2])
    own = ForcedModel(model)
    net = own.model
    by_input = input_x_gradient(own, pairs).matrices
    on_line = integrated_gradients(own, pairs, 8).matrices
    embedding = net.encoder.embedding
    for pair, of_input, of_line in zip(pairs, by_input, on_line, strict=True):
        ids = torch.tensor([[*pair.source, EOS]])
        blank = torch.tensor([[UNK] * len(pair.source) + [EOS]])
        for word in range(len(pair.words)):
            log_p = forward(net, pair, word)
            theirs = captum.LayerGradientXActivation(log_p, embedding).attribute(ids)
            expected = by_units(pair, theirs[0].detach().sum(-1))
            np.testing.assert_allclose(of_input[word], expected, atol=1e-4)
            method = captum.LayerIntegratedGradients(log_p, embedding)
            theirs = method.attribute(ids, baselines=blank, n_steps=8, method="gausslegendre")
            expected = by_units(pair, theirs[0].detach().sum(-1))
            np.testing.assert_allclose(of_line[word], expected, atol=1e-4)


@pytest.mark.parametrize("family", [*FAMILIES, *COPYING])
def test_integrated_gradients_are_complete(family: str) -> None:
    model = translator(family, sharpness=1.0)
    result = integrated_gradients(ForcedModel(model), of_texts(model, SOURCES[:2], TARGETS[:2]), 32)
    assert result.gap < 0.01


@pytest.mark.parametrize("family", COPYING)
def test_gradient_of_a_word_is_its_difference_where_a_pointer_copies(family: str, float64: None) -> None:
    """Along a random direction of all numbers of the vectors, the share of a known text among them."""
    own = ForcedModel(translator(family, sharpness=1.0))
    own.model.double()
    batch = own.batch(of_texts(translator(family), SOURCES[:2], TARGETS[:2]))
    # not at the vectors themselves: there nothing is hidden, and a pointer has a kink
    x = batch.vectors.x_BPE.lerp(batch.vectors.blank, 0.3)
    direction = torch.randn(x.shape)
    own.logits = lambda hidden: own.model.decoder.logits(hidden.features_BTD, hidden.copies)  # type: ignore
    sides = [own.log_probs(batch, x + step * direction) for step in (1e-6, -1e-6)]
    gradients = word_gradients(own, batch, x)
    expected = (sides[0] - sides[1]) / 2e-6
    torch.testing.assert_close((gradients * direction).sum((2, 3)).T, expected, rtol=1e-4, atol=1e-5)
    assert gradients[..., -1].abs().max() > 1e-3


def test_attributions_of_a_pair_do_not_depend_on_its_batch() -> None:
    model = translator("rnn")
    pairs = of_texts(model, SOURCES[:3], TARGETS[:3])
    together = input_x_gradient(ForcedModel(model), pairs).matrices
    for pair, matrix in zip(pairs, together, strict=True):
        np.testing.assert_allclose(
            matrix, input_x_gradient(ForcedModel(model), [pair]).matrices[0], atol=1e-5
        )
