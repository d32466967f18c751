"""Dropout of words and of attention weights: what is dropped, how often, and that validation and use are as
without it.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from torch import Tensor

from seq2attn.attention import Attention
from seq2attn.attention.self_attention import SelfAttention
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.microbatches import microbatch
from seq2attn.training.objectives.cross_entropy import teacher_forcing
from seq2attn.training.regularisation import kept_words, regularised, word_embeddings

CPU = torch.device("cpu")
LAYERED = (
    "model.encoder.kind=transformer",
    "model.decoder.kind=transformer",
    "model.encoder.size=12",
    "model.decoder.size=12",
    "model.encoder.heads=2",
    "model.decoder.heads=2",
    "model.decoder.kv_heads=1",
    "model.attention.score=scaled-dot",
    "model.attention.heads=2",
)
KINDS = [(), LAYERED]


def features(net: Seq2Seq) -> Tensor:
    return teacher_forcing(net, microbatch(toy.TRAINING, np.arange(20), None, CPU), False).output.features_BTD


def test_words_are_dropped_at_all_their_places_of_a_sentence_and_others_are_scaled() -> None:
    torch.manual_seed(1)
    ids = torch.tensor([[5, 6, 5, 7, 5, 6], [5, 6, 5, 7, 5, 6]]).repeat(4000, 1)
    factors = kept_words(ids, 0.25, torch.float32)
    assert sorted(factors.unique().tolist()) == pytest.approx([0.0, 1 / 0.75])
    assert torch.equal(factors[:, 0], factors[:, 2])
    assert torch.equal(factors[:, 0], factors[:, 4])
    assert torch.equal(factors[:, 1], factors[:, 5])
    assert not torch.equal(factors[:, 0], factors[:, 1])  # another word
    assert not torch.equal(factors[::2, 0], factors[1::2, 0])  # another sentence
    assert factors.mean().item() == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("changes", KINDS)
def test_dropped_words_have_zero_embeddings_on_both_sides(changes: tuple[str, ...]) -> None:
    conf = toy.settings(*changes, "train.word_dropout=0.5", "model.dropout=0")
    net = toy.model(conf).train()
    assert len(word_embeddings(net)) == 2
    ids = torch.arange(4, 14).repeat(30, 1)
    with regularised(net, conf.train):
        for embedding in word_embeddings(net):
            whole, own = embedding.weight[ids], embedding(ids)
            dropped = (own == 0).all(-1)
            assert 0.3 < dropped.float().mean() < 0.7
            assert torch.allclose(own[~dropped], 2 * whole[~dropped])


@pytest.mark.parametrize("changes", KINDS)
@pytest.mark.parametrize("setting", ["word_dropout", "attention_dropout"])
def test_model_drops_in_training_alone_and_is_as_before_at_the_end(
    changes: tuple[str, ...], setting: str
) -> None:
    conf = toy.settings(*changes, f"train.{setting}=0.4", "model.dropout=0")
    net = toy.model(conf)
    want = features(net.eval())
    with regularised(net, conf.train):
        assert not torch.allclose(features(net.train()), features(net), atol=1e-4)
        assert torch.equal(features(net.eval()), want)
    assert torch.allclose(features(net.train()), want, atol=1e-5)
    assert torch.equal(features(net.eval()), want)


@pytest.mark.parametrize("changes", KINDS)
def test_attention_dropout_of_zero_draws_nothing(changes: tuple[str, ...]) -> None:
    conf = toy.settings(*changes, "model.dropout=0")
    net = toy.model(conf).train()
    with regularised(net, conf.train):
        assert torch.equal(features(net), features(net))
        assert not any(one.dropout for one in net.modules() if isinstance(one, Attention | SelfAttention))


def test_weights_of_self_attention_are_dropped_with_their_probability() -> None:
    """The mean over many draws is the context without dropout, and the variance that of dropout."""
    torch.manual_seed(1)
    attention = SelfAttention(4, 1, None, False, False).double().train()
    torch.nn.init.eye_(attention.out.weight)
    x = torch.randn(1, 3, 4, dtype=torch.float64)
    p, mask = 0.3, torch.ones(1, 3, dtype=torch.bool)
    want = attention(x, mask)
    weights, value = attention.weights(x, mask)[0, 0], attention.project(x, None)[2][0, 0]
    attention.dropout = p
    draws = attention(x.expand(20_000, 3, 4), mask.expand(20_000, 3))
    assert torch.allclose(draws.mean(0), want[0], atol=0.02)
    variance = weights.square() @ value.square() * p / (1 - p)
    assert torch.allclose(draws.var(0), variance, rtol=0.1, atol=1e-3)


def test_causal_self_attention_with_dropout_reads_nothing_later() -> None:
    attention = SelfAttention(4, 2, 1, False, False).train()
    attention.dropout = 0.5
    x = torch.randn(3, 5, 4)
    changed = x.clone()
    changed[:, 3:] += 1
    torch.manual_seed(1)
    first = attention(x, None)
    torch.manual_seed(1)
    second = attention(changed, None)
    assert torch.equal(first[:, :3], second[:, :3])
    assert not torch.equal(first[:, 3:], second[:, 3:])


def test_weights_that_attention_returns_are_not_dropped() -> None:
    conf = toy.settings("train.attention_dropout=0.5", "model.dropout=0")
    net = toy.model(conf).train()
    batch = microbatch(toy.TRAINING, np.arange(20), None, CPU)
    with regularised(net, conf.train):
        weights = teacher_forcing(net, batch, True).output.weights_BTLHS
    assert weights is not None
    assert torch.allclose(weights.sum(-1), torch.ones(()), atol=1e-5)


@pytest.mark.parametrize("changes", KINDS)
def test_training_resumes_exactly(changes: tuple[str, ...], tmp_path: Path) -> None:
    net = toy.resumes_exactly(
        *(tmp_path, *changes, "train.word_dropout=0.2", "train.attention_dropout=0.2", "train.max_steps=8")
    )
    other = toy.settings(*changes, "train.max_steps=8")
    plain = toy.model(other)
    toy.fit(tmp_path / "plain", other, plain)
    assert not torch.equal(next(iter(net.parameters())), next(iter(plain.parameters())))
