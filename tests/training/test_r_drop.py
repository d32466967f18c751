"""R-Drop: its objective and gradient against the reference, one doubled batch against two passes, and what it
changes in a training.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import toy
from reference.r_drop import r_drop
from torch import Tensor, nn

from seq2attn.kernels import linear_cross_entropy
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.events import Update
from seq2attn.training.microbatches import Microbatch, microbatch
from seq2attn.training.objectives import r_drop as module
from seq2attn.training.objectives.cross_entropy import CrossEntropy, token_losses
from seq2attn.training.objectives.r_drop import consistent_cross_entropies, doubled

CPU = torch.device("cpu")


def of_rows(rows: int, rounded: bool = False) -> Microbatch:
    return microbatch(toy.TRAINING, np.arange(rows), None, CPU, rounded)


def slow(features: Tensor, output: nn.Linear, targets: Tensor, smoothing: float, weight: float) -> Tensor:
    """The objective by operations that torch derives."""
    first, second = output(features).log_softmax(-1).chunk(2)
    losses = nn.functional.cross_entropy(
        torch.cat([first, second]), targets.repeat(2), label_smoothing=smoothing, reduction="sum"
    )
    both = nn.functional.kl_div(second, first, reduction="sum", log_target=True)
    both = both + nn.functional.kl_div(first, second, reduction="sum", log_target=True)
    return losses / 2 + weight / 4 * both


@pytest.mark.parametrize("chunk", [40, 1 << 22])  # a row at a time, or all at once
@pytest.mark.parametrize(("smoothing", "weight"), [(0.0, 0.0), (0.1, 5.0), (0.3, 1.0)])
def test_objective_and_gradient_are_those_of_the_reference(
    chunk: int, smoothing: float, weight: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(linear_cross_entropy.CHUNK, "cpu", chunk)
    torch.manual_seed(1)
    output = nn.Linear(4, 9).double()
    features = torch.randn(14, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(9, (7,))
    objective, loss_M = consistent_cross_entropies(features, output, targets, smoothing, weight)
    first, second = output(features).chunk(2)
    want = r_drop(first.tolist(), second.tolist(), targets.tolist(), smoothing, weight)
    assert objective.item() == pytest.approx(want, rel=1e-9)
    rows = zip(first.tolist(), second.tolist(), targets.tolist(), strict=True)
    plain = [r_drop([a], [b], [target], smoothing, 0) for a, b, target in rows]
    assert loss_M.tolist() == pytest.approx(plain, rel=1e-9)
    inputs = [features, *output.parameters()]
    got = torch.autograd.grad(3 * objective, inputs)
    expected = torch.autograd.grad(3 * slow(features, output, targets, smoothing, weight), inputs)
    for a, b in zip(got, expected, strict=True):
        assert torch.allclose(a, b, rtol=1e-7, atol=1e-9)


def test_masked_tokens_count_for_nothing() -> None:
    torch.manual_seed(2)
    output, features, targets = (
        nn.Linear(4, 9),
        torch.randn(12, 4, requires_grad=True),
        torch.randint(9, (6,)),
    )
    mask = torch.tensor([True, False, True, True, False, True])
    real = torch.cat([mask, mask])
    inputs = [features, *output.parameters()]
    objective, loss_M = consistent_cross_entropies(features, output, targets, 0.1, 2.0, mask)
    got = torch.autograd.grad(objective, inputs)
    want, losses = consistent_cross_entropies(features[real], output, targets[mask], 0.1, 2.0)
    expected = torch.autograd.grad(want, inputs)
    assert objective.item() == pytest.approx(want.item(), rel=1e-5)
    assert torch.allclose(loss_M[mask], losses, atol=1e-6)
    assert not loss_M[~mask].any()
    for a, b in zip(got, expected, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def net_of(*changes: str) -> Seq2Seq:
    return toy.model(toy.settings(*changes)).train()


def test_doubled_batch_is_two_passes_over_the_batch() -> None:
    """Without dropout both halves are the pass over the batch itself."""
    batch, net = of_rows(9), net_of("model.dropout=0")
    twice = doubled(batch)
    memory = net.encoder(twice.source, twice.source_mask)
    features = net.decoder.hidden_states(twice.inputs_BT, memory).features_BTD
    assert twice.real_M is not None
    assert batch.real_M is not None
    first, second = features.flatten(0, 1)[twice.real_M].chunk(2)
    own = net.decoder.hidden_states(batch.inputs_BT, net.encoder(batch.source, batch.source_mask))
    want = own.features_BTD.flatten(0, 1)[batch.real_M]
    assert torch.allclose(first, want, atol=1e-6)
    assert torch.allclose(second, want, atol=1e-6)
    assert torch.equal(twice.targets_M, batch.targets_M.repeat(2))


def test_doubled_batch_of_images_repeats_them_and_their_captions() -> None:
    images = torch.arange(2.0)[:, None]
    batch = Microbatch(
        source=images,
        source_mask=torch.ones(2, 1, dtype=torch.bool),
        inputs_BT=torch.ones(3, 2, dtype=torch.long),
        real_M=torch.tensor([0, 1, 2, 5]),
        targets_M=torch.arange(4),
        source_of_B=torch.tensor([0, 0, 1]),
        number_I=torch.tensor([7, 8]),
    )
    twice = doubled(batch)
    assert twice.source_of_B is not None
    assert twice.real_M is not None
    assert twice.source_of_B.tolist() == [0, 0, 1, 2, 2, 3]
    assert twice.source[twice.source_of_B, 0].tolist() == [0, 0, 1, 0, 0, 1]
    assert twice.real_M.tolist() == [0, 1, 2, 5, 6, 7, 8, 11]


def test_without_dropout_the_gradient_is_that_of_plain_training() -> None:
    batch, net = of_rows(9), net_of("model.dropout=0")
    settings = toy.settings("train.r_drop=5").train
    sums = [
        CrossEntropy(net, one, torch.enable_grad, 0.0)(batch, 1) for one in (toy.settings().train, settings)
    ]
    assert sums[0].loss.item() == pytest.approx(sums[1].loss.item(), rel=1e-5)
    assert sums[0].objective.item() == pytest.approx(sums[1].objective.item(), rel=1e-5)
    grads = [torch.autograd.grad(one.objective, list(net.parameters())) for one in sums]
    for a, b in zip(*grads, strict=True):
        assert torch.allclose(a, b, atol=1e-4)


def test_passes_have_different_dropout_and_the_loss_is_the_cross_entropy_alone() -> None:
    batch, net = of_rows(40), net_of()
    torch.manual_seed(1)
    losses = [token_losses(net, batch, 0.1, r_drop=weight) for weight in (1e-9, 8.0)]
    assert losses[1].total.item() > losses[1].each_M.sum().item() + 1
    assert losses[0].total.item() == pytest.approx(losses[0].each_M.sum().item(), rel=1e-6)
    conf = toy.settings("train.r_drop=8").train
    torch.manual_seed(1)
    sums = CrossEntropy(net, conf, torch.enable_grad, 0.0)(batch, 1)
    assert sums.objective.item() > sums.loss.item() + 1


@pytest.mark.parametrize("rounded", [False, True])
def test_penalties_on_attention_are_means_over_both_passes(rounded: bool) -> None:
    batch, net = of_rows(9, rounded), net_of("model.dropout=0")
    plain = CrossEntropy(net, toy.settings("train.doubly_stochastic=1").train, torch.enable_grad, 0.0)(
        batch, 1
    )
    both = CrossEntropy(
        net, toy.settings("train.doubly_stochastic=1", "train.r_drop=2").train, torch.enable_grad, 0.0
    )(batch, 1)
    assert both.objective.item() == pytest.approx(plain.objective.item(), rel=1e-5)


def test_training_resumes_exactly(tmp_path: Path) -> None:
    changes = (
        "train.r_drop=2",
        "train.word_dropout=0.2",
        "train.attention_dropout=0.2",
        "train.max_steps=10",
    )
    toy.resumes_exactly(tmp_path, *changes)


def test_training_with_r_drop_learns_and_its_passes_come_closer(tmp_path: Path) -> None:
    """The divergence of the passes, which training without R-Drop lets grow."""
    gaps = []
    for weight in (0, 4):
        conf = toy.settings(f"train.r_drop={weight}", "train.max_steps=60", "train.validate_every=60")
        net = toy.model(conf)
        events = toy.fit(tmp_path / str(weight), conf, net)
        updates = toy.of(Update, events)
        assert updates[-1].loss < updates[0].loss
        torch.manual_seed(3)
        total, each_M, _ = token_losses(net.train(), of_rows(100), 0.1, r_drop=4.0)
        gaps.append(total.item() - each_M.sum().item())
    assert gaps[1] < 0.8 * gaps[0]


def test_kernel_keeps_few_logits() -> None:
    assert module.CHUNK is linear_cross_entropy.CHUNK
