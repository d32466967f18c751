"""Guided attention: the loss and its gradient, the mean over linked steps however an update is divided, and
what a guided training learns.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import toy
from reference.guided import guided_loss
from torch import Tensor

from seq2attn import config
from seq2attn.attention import OneLayer
from seq2attn.data.batches import Batch
from seq2attn.data.text.guided import guide
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.training.effective import effective_settings
from seq2attn.training.events import Update
from seq2attn.training.microbatches import microbatch, update_batches
from seq2attn.training.objectives.cross_entropy import CrossEntropy
from seq2attn.training.objectives.guided_attention import guided_attention
from seq2attn.training.rounding import round_up

LAYERED = (
    "model.decoder.kind=transformer",
    "model.decoder.size=12",
    "model.decoder.layers=3",
    "model.decoder.heads=2",
    "model.attention.heads=2",
    "model.attention.size=12",
    "model.attention.score=scaled-dot",
    "model.encoder.size=6",
    "model.dropout=0",
)


class Guided(toy.Pairs):
    """Reversed sequences; every other token of the target is linked to its place in the source."""

    def __init__(self, count: int, seed: int, shift: int = 0) -> None:
        super().__init__(count, seed)
        self.shift = shift
        self.links = [
            np.array([(t, len(ids) - 1 - t, 1) for t in range(0, len(ids), 2)], np.int32).reshape(-1, 3)
            for ids in self.sources
        ]
        self.guided_tokens = np.array([len(links) for links in self.links])

    def content(self) -> Iterator[np.ndarray]:
        yield from super().content()
        yield from self.links

    def batch(self, rows: np.ndarray, draw: int | None) -> Batch:
        batch = super().batch(rows, draw)
        shape = (*batch.targets_BT.shape, batch.source.size(1))
        return batch._replace(guide_BTS=guide([self.links[row] for row in rows], shape, self.shift))


def random_weights() -> tuple[Tensor, Tensor, list[dict[tuple[int, int], float]]]:
    """Weights (B, T, S), a guide, and the shares of each sentence."""
    torch.manual_seed(3)
    weights = torch.randn(2, 4, 5, dtype=torch.float64).softmax(-1)
    shares = [{(0, 1): 1.0, (1, 0): 0.25, (1, 2): 0.25, (1, 4): 0.5}, {(2, 3): 0.5, (2, 0): 0.5}]
    return weights, torch.zeros(2, 4, 5), shares


@pytest.mark.parametrize("shift", [0, 1])
def test_guided_attention_is_the_cross_entropy_of_the_paper(shift: int) -> None:
    weights, _, shares = random_weights()
    triples = [np.array([(t, s, round(1 / p)) for (t, s), p in one.items()]) for one in shares]
    guide_BTS = guide(triples, (2, 4, 5), shift)
    want = sum(guided_loss(weights[b].tolist(), one, shift) for b, one in enumerate(shares))
    assert guided_attention(weights, guide_BTS).item() == pytest.approx(want, abs=1e-12)
    assert guide_BTS.sum((1, 2)).tolist() == [2.0, 1.0]


def test_guided_attention_has_the_gradient_of_finite_differences() -> None:
    weights, guide_BTS, _ = random_weights()
    guide_BTS[0, 1, :2], guide_BTS[1, 3, 4] = 0.5, 2.0
    assert torch.autograd.gradcheck(lambda w: guided_attention(w, guide_BTS), weights.requires_grad_())


def test_guided_attention_is_finite_where_weights_underflow() -> None:
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        scores = torch.tensor([[[-200.0, 0.0, 3.0]]], dtype=dtype, requires_grad=True)
        weights = scores.softmax(-1)
        loss = guided_attention(weights, torch.tensor([[[1.0, 0.0, 0.0]]]))
        assert loss.dtype == torch.float32
        assert math.isfinite(loss.item())
        (loss * 65536).backward()
        assert scores.grad is not None
        assert scores.grad.isfinite().all()


@pytest.mark.parametrize("kind", ["rnn", "conv", "transformer"])
@pytest.mark.parametrize(("layer", "head"), [(1, 1), (2, 2)])
def test_objective_adds_the_loss_of_the_guided_head_alone(kind: str, layer: int, head: int) -> None:
    changes = [*LAYERED[1:]] if kind != "rnn" else ["model.attention.heads=2", "model.attention.size=16"]
    if kind == "conv":
        changes = [change for change in changes if "decoder.heads" not in change]
    layer = 1 if kind == "rnn" else layer
    conf = toy.settings(
        f"model.decoder.kind={kind}",
        *changes,
        "train.guide=0.5",
        f"train.guide_layer={layer}",
        f"train.guide_head={head}",
        "model.dropout=0",
    )
    net = toy.model(conf).train()
    pairs = Guided(20, 4)
    batch = microbatch(pairs, np.arange(12), None, torch.device("cpu"), guide_factor=3.0)
    assert batch.guide_BTS is not None
    plain = CrossEntropy(net, conf.train.model_copy(update={"guide": 0.0}), torch.enable_grad, 0.0)(batch, 1)
    guided = CrossEntropy(net, conf.train, torch.enable_grad, 0.0)(batch, 1)
    memory = net.encoder(batch.source, batch.source_mask)
    every = net.decoder.hidden_states(batch.inputs_BT, memory, True).weights_BTLHS
    assert every is not None
    weights = every[:, :, layer - 1, head - 1].tolist()
    want = 0.0
    for row in range(12):
        shares = {(int(t), int(s)): 1 / int(n) for t, s, n in pairs.links[row]}
        want += guided_loss(weights[row], shares, 0)
    assert guided.loss.item() == pytest.approx(plain.loss.item(), rel=1e-6)  # what is shown is without it
    added = guided.objective.item() - guided.loss.item()
    assert added == pytest.approx(0.5 * 3.0 * want, rel=1e-4)
    one = net.decoder.hidden_states(batch.inputs_BT, memory, OneLayer(layer - 1)).weights_BTLHS
    assert one is not None
    assert one.size(2) == 1
    assert torch.allclose(one[:, :, 0], every[:, :, layer - 1], atol=1e-6)


def test_guided_layer_alone_computes_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    from seq2attn.attention import Attention

    conf = toy.settings(*LAYERED, "train.guide=0.1")
    net = toy.model(conf).train()
    requests = []
    forward = Attention.forward

    def note(self: Attention, query: Tensor, memory: object, history: object, weights: bool = True) -> object:
        requests.append(weights)
        return forward(self, query, memory, history, weights)  # type: ignore[arg-type]

    monkeypatch.setattr(Attention, "forward", note)
    batch = microbatch(Guided(9, 5), np.arange(9), None, torch.device("cpu"))
    CrossEntropy(net, effective_settings(conf, toy.ALONE), torch.enable_grad, 0.0)(batch, 1)
    assert requests == [False, True, False]  # the last but one of three layers


def gradients(net: Seq2Seq, conf: config.Config, pairs: Guided) -> list[Tensor]:
    """The gradient of the first update."""
    net.zero_grad()
    settings = effective_settings(conf, toy.ALONE)
    update = next(update_batches(pairs, settings, toy.ALONE, 0, 0))
    objective = CrossEntropy(net, settings, torch.enable_grad, 0.0)
    for _, batch in update.batches:
        (objective(batch, 1).objective / update.tokens).backward()
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


def test_loss_is_the_mean_over_linked_steps_of_the_whole_update() -> None:
    """The same gradient in one batch and in several, whose shares of linked steps differ."""
    pairs = Guided(24, 6)
    for links in pairs.links[:6]:
        links[:] = links[:1]
    pairs.guided_tokens[:6] = 1
    one = toy.settings("train.guide=2", "model.dropout=0", "train.batch_tokens=100000")
    net = toy.model(one)
    whole = gradients(net, one, pairs)
    small = pairs.plan(40, 1, 0)
    several = toy.settings(
        "train.guide=2", "model.dropout=0", "train.batch_tokens=40", f"train.accumulate={len(small)}"
    )
    parts = gradients(net, several, pairs)
    for a, b in zip(whole, parts, strict=True):
        assert torch.allclose(a, b, atol=1e-6)
    settings = effective_settings(one, toy.ALONE)
    update = next(update_batches(pairs, settings, toy.ALONE, 0, 0))
    [(_, batch)] = update.batches
    assert batch.guide_BTS is not None
    assert batch.guide_BTS.sum().item() == pytest.approx(update.tokens, rel=1e-5)


def test_processes_divide_by_the_linked_steps_of_all() -> None:
    """The gradients of two processes add up to that of one with twice the batches."""
    pairs = Guided(24, 6)
    changes = ("train.guide=2", "model.dropout=0", "train.batch_tokens=40")
    twice = toy.settings(*changes, "train.accumulate=2")
    net = toy.model(twice)
    want = gradients(net, twice, pairs)
    net.zero_grad()
    settings = effective_settings(toy.settings(*changes), toy.ALONE)
    for rank in (0, 1):
        world = SimpleNamespace(rank=rank, size=2, device=torch.device("cpu"))
        update = next(update_batches(pairs, settings, world, 0, 0))  # type: ignore[arg-type]
        for _, batch in update.batches:
            sums = CrossEntropy(net, settings, torch.enable_grad, 0.0)(batch, 1)
            (sums.objective / update.tokens).backward()
    for a, b in zip(want, [p.grad for p in net.parameters() if p.grad is not None], strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_rounded_batches_keep_their_guide() -> None:
    batch = Guided(20, 7, shift=1).batch(np.arange(5), None)
    rounded = round_up(batch)
    assert batch.guide_BTS is not None
    assert rounded.guide_BTS is not None
    rows, steps, positions = batch.guide_BTS.shape
    assert rounded.guide_BTS.shape == (*rounded.targets_BT.shape, rounded.source.size(1))
    assert torch.equal(rounded.guide_BTS[:rows, :steps, :positions], batch.guide_BTS)
    assert rounded.guide_BTS.sum() == batch.guide_BTS.sum()


def sharpness(net: Seq2Seq, layer: int, shift: int) -> float:
    """The mean weight of the place in the source that a target token was reversed from."""
    net.eval()
    pairs = Guided(60, 8)
    batch = pairs.batch(np.arange(60), None)
    with torch.no_grad():
        memory = net.encoder(batch.source, batch.source_mask)
        weights = net.decoder.hidden_states(batch.inputs_BT, memory, True).weights_BTLHS
    assert weights is not None
    weights_of_links = [
        float(weights[row, t + shift, layer - 1, 0, s]) for row in range(60) for t, s, _ in pairs.links[row]
    ]
    return sum(weights_of_links) / len(weights_of_links)


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0, 1])
@pytest.mark.parametrize("kind", ["rnn", "transformer"])
def test_guided_training_learns_where_to_read(kind: str, shift: int, tmp_path: Path) -> None:
    results = {}
    for weight in (0.0, 1.0):
        changes = LAYERED if kind == "transformer" else ()
        guided = [f"train.guide={weight}", f"train.guide_shift={shift}"]
        conf = toy.settings(*changes, *guided, "train.max_steps=120", "train.validate_every=120")
        net = toy.model(conf)
        toy.fit(tmp_path / f"{weight}", conf, net, training=Guided(300, 1, shift))
        results[weight] = sharpness(net, 2 if kind == "transformer" else 1, shift)
    assert results[1.0] > results[0.0] + 0.15


def test_guided_training_resumes_exactly(tmp_path: Path) -> None:
    settings = ("train.guide=0.5", "train.max_steps=12", "train.validate_every=3")
    whole, parts = toy.model(toy.settings(*settings)), toy.model(toy.settings(*settings))
    toy.fit(tmp_path / "whole", toy.settings(*settings), whole, training=Guided(300, 1))
    conf, calls = toy.settings(*settings), iter(range(1000))
    events = toy.fit(tmp_path / "parts", conf, parts, training=Guided(300, 1), stop=lambda: next(calls) >= 12)
    assert 3 < len(toy.of(Update, events)) < 10
    again = toy.model(conf)
    toy.fit(tmp_path / "parts", conf, again, training=Guided(300, 1))
    for a, b in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)


def test_training_without_a_guide_has_the_same_bits(tmp_path: Path) -> None:
    """Links of the data change nothing while train.guide is 0."""
    nets = []
    for number, pairs in enumerate((toy.TRAINING, Guided(300, 1))):
        conf = toy.settings("train.max_steps=6")
        nets.append(toy.model(conf))
        toy.fit(tmp_path / str(number), conf, nets[-1], training=pairs)
    for a, b in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("changes", "head"),
    [
        ((), (1, 1, 0)),
        (LAYERED, (2, 1, 1)),
        ((*LAYERED, "train.guide_layer=3", "train.guide_head=2", "train.guide_shift=0"), (3, 2, 0)),
        ((*LAYERED[:2], "model.decoder.layers=1", *LAYERED[3:]), (1, 1, 1)),
    ],
)
def test_guided_head_by_default(changes: tuple[str, ...], head: tuple[int, int, int]) -> None:
    conf = toy.settings(*changes, "train.guide=0.1")
    assert config.guided_head(conf.model, conf.train) == head
    settings = effective_settings(conf, toy.ALONE)
    assert (settings.guide_layer, settings.guide_head, settings.guide_shift) == head


def test_build_is_not_changed_by_the_guide() -> None:
    conf = toy.settings("train.guide=0.1")
    torch.manual_seed(1)
    a = build(conf.model, toy.SIZE, toy.SIZE)
    torch.manual_seed(1)
    b = build(toy.settings().model, toy.SIZE, toy.SIZE)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
