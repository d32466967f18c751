"""Muon: the step of one matrix against the paper's in plain operations, what it trains and what Adam trains,
and exact resume.
"""

from pathlib import Path

import pytest
import torch
import toy
from torch import Tensor, nn

from seq2attn.config import TrainConfig
from seq2attn.errors import UserError
from seq2attn.runs import directory
from seq2attn.training import resume
from seq2attn.training.events import Update
from seq2attn.training.muon import MOMENTUM, MuonAndAdam, hidden_matrices
from seq2attn.training.optimizers import build_optimizer

MUON = "train.optimizer=muon"
LAYERED = (
    "model.encoder.kind=transformer",
    "model.decoder.kind=transformer",
    "model.encoder.size=12",
    "model.decoder.size=12",
    "model.encoder.heads=2",
    "model.decoder.heads=2",
    "model.attention.score=scaled-dot",
)


def orthogonal(matrix: Tensor) -> Tensor:
    """U V^T of its singular value decomposition, which the iteration of Muon comes near to."""
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    return u @ v


def test_update_of_a_matrix_is_nearly_orthogonal_and_as_large_as_one_of_adam() -> None:
    torch.manual_seed(1)
    matrix = nn.Parameter(torch.randn(24, 16))
    before, lr = matrix.detach().clone(), 0.1
    optimizer = build_optimizer([matrix], [], TrainConfig(optimizer="muon", lr=lr), [matrix])
    gradient = torch.randn(24, 16)
    matrix.grad = gradient.clone()
    optimizer.step()
    moved = before - matrix.detach()
    want = orthogonal(gradient) * lr * 0.2 * 24**0.5
    assert torch.nn.functional.cosine_similarity(moved.flatten(), want.flatten(), 0) > 0.95
    singular = torch.linalg.svdvals(moved / (lr * 0.2 * 24**0.5))
    assert singular.min() > 0.5
    assert singular.max() < 1.3
    assert moved.square().mean().sqrt().item() == pytest.approx(0.2 * lr, rel=0.2)
    second = torch.randn(24, 16)  # the momentum is a mean, and looks one step ahead (Nesterov)
    before = matrix.detach().clone()
    matrix.grad = second.clone()
    optimizer.step()
    mean = (1 - MOMENTUM) * (MOMENTUM * gradient + second)
    ahead = orthogonal((1 - MOMENTUM) * second + MOMENTUM * mean)
    moved = before - matrix.detach()
    assert torch.nn.functional.cosine_similarity(moved.flatten(), ahead.flatten(), 0) > 0.95


@pytest.mark.parametrize("changes", [(), LAYERED])
def test_hidden_matrices_are_those_between_embeddings_and_output(changes: tuple[str, ...]) -> None:
    net = toy.model(toy.settings(*changes, "model.tied=none"))
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    own = {names[id(parameter)] for parameter in hidden_matrices(net)}
    others = set(names.values()) - own
    assert not [name for name in own if "embedding" in name or "output" in name or "norm" in name]
    assert {"encoder.embedding.weight", "decoder.target_embedding.weight", "decoder.output.weight"} <= others
    assert all(net.get_parameter(name).dim() == 2 for name in own)
    rest = [name for name in others if net.get_parameter(name).dim() == 2]
    assert all("embedding" in name or "output" in name or 1 in net.get_parameter(name).shape for name in rest)
    assert len(own) > 4


def test_each_parameter_is_in_one_group_and_adam_has_the_rest() -> None:
    net = toy.model(toy.settings(*LAYERED))
    hidden = hidden_matrices(net)
    settings = TrainConfig(optimizer="muon", weight_decay=0.1)
    optimizer = build_optimizer(list(net.parameters()), [], settings, hidden)
    assert isinstance(optimizer, MuonAndAdam)
    every = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert sorted(map(id, every)) == sorted(map(id, net.parameters()))
    for parameter in every:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    for parameter in every:
        muon = any(parameter is one for one in hidden)
        assert set(optimizer.state[parameter]) == (
            {"momentum_buffer"} if muon else {"step", "exp_avg", "exp_avg_sq"}
        )


def test_rest_moves_as_adamw_moves_it() -> None:
    torch.manual_seed(2)
    bias, matrix = nn.Parameter(torch.randn(5)), nn.Parameter(torch.randn(5, 4))
    twin = nn.Parameter(bias.detach().clone())
    settings = TrainConfig(optimizer="muon", lr=0.01)
    optimizer = build_optimizer([bias, matrix], [], settings, [matrix])
    adam = torch.optim.AdamW([twin], lr=0.01, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.0)
    for _ in range(3):
        gradient = torch.randn(5)
        bias.grad, twin.grad, matrix.grad = gradient.clone(), gradient.clone(), torch.randn(5, 4)
        optimizer.step()
        adam.step()
    assert torch.allclose(bias, twin, atol=1e-6)


@pytest.mark.parametrize("changes", [(), ("train.accumulate=2", "train.average=3", "train.weight_decay=0.1")])
def test_training_resumes_exactly(tmp_path: Path, changes: tuple[str, ...]) -> None:
    toy.resumes_exactly(tmp_path, MUON, "train.max_steps=10", *changes)


def test_training_learns(tmp_path: Path) -> None:
    updates = toy.of(Update, toy.fit(tmp_path / "run", toy.settings(MUON, "train.max_steps=40")))
    assert updates[-1].loss < updates[0].loss - 0.3


def test_resume_names_a_moment_of_another_optimizer(tmp_path: Path) -> None:
    """A state of Adam does not fit, and neither does one of Muon fit Adam."""
    conf = toy.settings(MUON, "train.max_steps=2")
    toy.fit(tmp_path / "run", conf)
    other = toy.settings("train.max_steps=4")
    run = directory.Run(tmp_path / "run", other, toy.SIZE, toy.SIZE, ("en", "fr"), "toy")
    from seq2attn.training import trainer

    with pytest.raises(UserError, match="optimizer/"):
        list(trainer.train(toy.model(other), run, toy.TRAINING, toy.VALIDATION, world=toy.ALONE))
    assert resume.last_step(run) == 2


def test_shards_are_refused_by_name() -> None:
    from seq2attn.errors import UsageError
    from seq2attn.training.sharding import refuse_shards

    with pytest.raises(UsageError, match=r'train\.optimizer="muon"'):
        refuse_shards(TrainConfig(optimizer="muon", shard=True), "fp32")
