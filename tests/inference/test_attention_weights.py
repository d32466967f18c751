"""Attention of every head: equal to the decoder's own, with the mean as before, and selected by layer and
head.
"""

import math

import numpy as np
import pytest
import tiny
import torch
from torch import Tensor

from seq2attn.data.tokenizer import BOS
from seq2attn.errors import UsageError
from seq2attn.inference import Translation, Translator
from seq2attn.inference.attention_weights import select, select_attention
from seq2attn.inference.words import between_words

TEXTS = ["the small dog", "rain falls", ""]


def deep(seed: int = 1) -> Translator:
    """Two decoder layers with two heads each."""
    translator = tiny.translator(
        seed,
        kind="transformer",
        size=12,
        heads=2,
        layers=2,
        attention={"score": "scaled-dot", "size": None, "heads": 2},
    )
    translator.models[0].eval()
    return translator


def decoder_weights(translator: Translator, translation: Translation) -> Tensor:
    """(L, H, U+1, R+1) of one translation, from the decoder by itself."""
    model, source_tokenizer = translator.members[0]
    source = source_tokenizer.encode(translation.source)
    with torch.inference_mode():
        ids = torch.tensor([[*source, 3]])
        memory = model.encoder(ids, torch.ones_like(ids, dtype=torch.bool))
        output = model.decoder(torch.tensor([[BOS, *translation.tokens]]), memory, weights=True)
    assert output.weights is not None
    return output.weights[0].permute(1, 2, 0, 3)


@pytest.mark.parametrize("forced", [False, True])
def test_attention_all_gives_the_weights_of_the_decoder(forced: bool) -> None:
    translator = deep()
    results = (
        translator.score_targets(TEXTS[:2], ["le petit chien", "la pluie"], attention="all")
        if forced
        else [found[0] for found in translator.translate(TEXTS[:2], beam=3, attention="all")]
    )
    for translation in results:
        expected = decoder_weights(translator, translation)
        assert expected.shape[:2] == (2, 2)
        np.testing.assert_allclose(translation.subword_attention_heads, expected, atol=1e-5)
        np.testing.assert_allclose(translation.subword_attention, expected.mean((0, 1)), atol=1e-5)
        assert translation.attention_heads is not None
        assert translation.attention is not None
        assert translation.attention_heads.shape == (2, 2, *translation.attention.shape)
        np.testing.assert_allclose(translation.attention_heads.mean((0, 1)), translation.attention, atol=1e-6)


def test_attention_true_gives_the_mean_alone() -> None:
    translator = deep()
    for mean, every in zip(
        translator.translate(TEXTS), translator.translate(TEXTS, attention="all"), strict=True
    ):
        assert mean[0] == every[0]
        assert (mean[0].attention_heads, mean[0].subword_attention_heads) == (None, None)
        np.testing.assert_allclose(mean[0].attention, every[0].attention, atol=1e-6)


def test_attention_false_gives_none() -> None:
    (found,) = deep().translate(["rain"], attention=False)
    assert (found[0].attention, found[0].attention_heads) == (None, None)


def test_attention_of_another_value_is_refused() -> None:
    for act in (
        lambda: deep().translate(["rain"], attention="some"),  # type: ignore[arg-type]
        lambda: deep().score_targets(["rain"], ["pluie"], attention="mean"),  # type: ignore[arg-type]
    ):
        with pytest.raises(UsageError, match=r"attention is .*: choose"):
            act()


def test_ensemble_averages_heads_if_members_have_equally_many() -> None:
    one = deep()
    other = deep(seed=2)
    both = Translator(*one.members[0], one.target_tokenizer, one.config, others=other.members)
    (found,) = both.score_targets(TEXTS[:1], ["le petit chien"], attention="all")
    members = [decoder_weights(translator, found) for translator in (one, other)]
    np.testing.assert_allclose(found.subword_attention_heads, sum(members) / 2, atol=1e-5)


def test_ensemble_of_unequal_heads_has_the_mean_as_its_only_head() -> None:
    one, other = deep(), tiny.translator()
    other.models[0].eval()
    both = Translator(*one.members[0], one.target_tokenizer, one.config, others=other.members)
    (found,) = both.score_targets(TEXTS[:1], ["le petit chien"], attention="all")
    assert found.subword_attention_heads is not None
    assert found.subword_attention_heads.shape[:2] == (1, 1)
    members = [decoder_weights(translator, found).mean((0, 1)) for translator in (one, other)]
    np.testing.assert_allclose(found.subword_attention_heads[0, 0], sum(members) / 2, atol=1e-5)


def test_select_takes_one_layer_one_head_or_means() -> None:
    weights = np.random.default_rng(1).random((3, 2, 4, 5)).astype(np.float32)
    assert (select(weights, 3, 1) == weights[2, 0]).all()
    np.testing.assert_allclose(select(weights, 2), weights[1].mean(0), atol=1e-6)
    np.testing.assert_allclose(select(weights, head=2), weights[:, 1].mean(0), atol=1e-6)
    np.testing.assert_allclose(select(weights), weights.mean((0, 1)), atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "head", "message"),
    [
        (4, None, "layer 4: the attention has 3 layers"),
        (0, 1, "layer 0"),
        (1, 2, "head 2: the attention has one head"),
    ],
)
def test_select_refuses_numbers_beyond_what_there_are(
    layer: int | None, head: int | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        select(np.ones((3, 1, 2, 2)), layer, head)


def test_select_attention_changes_words_and_subwords() -> None:
    (found,) = deep().translate(["the small dog"], attention="all")[0]
    one = select_attention(found, layer=2, head=1)
    assert one == found
    assert found.subword_attention_heads is not None
    assert found.attention_heads is not None
    np.testing.assert_array_equal(one.subword_attention, found.subword_attention_heads[1, 0])
    np.testing.assert_array_equal(one.attention, found.attention_heads[1, 0])
    with pytest.raises(UsageError, match='"all"'):
        select_attention(deep().translate(["rain"])[0][0], 1, 1)


def test_between_words_of_all_heads_equals_that_of_each() -> None:
    weights = np.random.default_rng(1).random((2, 3, 4, 5)).astype(np.float32)
    numbers = [0, 0, 1, 2], [0, 1, 1, -1, 2], 3, 3
    every = between_words(weights, *numbers)
    for layer in range(2):
        for head in range(3):
            np.testing.assert_allclose(every[layer, head], between_words(weights[layer, head], *numbers))
    assert math.isclose(float(every[0, 0, 1, 0]), float(weights[0, 0, 2, 0]), abs_tol=1e-6)
