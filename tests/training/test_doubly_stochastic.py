"""The penalty on what attention leaves unread or reads too often: the equation, its gradient, and its part in
training.
"""

from pathlib import Path

import pytest
import reference
import torch
import toy
from torch import Tensor

from seq2attn.models.memory import mean_attention
from seq2attn.models.seq2seq import build
from seq2attn.training.events import Update, Validation
from seq2attn.training.objectives.doubly_stochastic import doubly_stochastic

LENGTHS, POSITIONS = [4, 1, 3], [5, 2, 3]


def parts(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Weights (B, T, S), the places of the real steps, and the mask of the sources."""
    mask_BS = torch.arange(max(POSITIONS)) < torch.tensor(POSITIONS)[:, None]
    weights_BTS = (
        torch.randn(3, max(LENGTHS), max(POSITIONS), dtype=dtype)
        .masked_fill(~mask_BS[:, None], -torch.inf)
        .softmax(-1)
    )
    real_M = (torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]).flatten().nonzero()[:, 0]
    return weights_BTS, real_M, mask_BS


def test_penalty_equation() -> None:
    weights_BTS, real_M, mask_BS = parts()
    want = reference.doubly_stochastic(weights_BTS.tolist(), LENGTHS, POSITIONS)
    assert doubly_stochastic(weights_BTS, real_M, mask_BS).item() == pytest.approx(want, abs=1e-12)
    wide = doubly_stochastic(weights_BTS.to(torch.bfloat16), real_M, mask_BS)
    assert wide.dtype == torch.float32
    assert wide.item() == pytest.approx(want, rel=0.02)


def test_penalty_ignores_padding_of_steps_and_positions() -> None:
    weights_BTS, real_M, mask_BS = parts()
    before = doubly_stochastic(weights_BTS, real_M, mask_BS)
    weights_BTS[1, 1:] = 7.0
    weights_BTS[2, :, 3:] = 7.0
    assert torch.equal(doubly_stochastic(weights_BTS, real_M, mask_BS), before)


def test_penalty_gradients_are_finite_differences() -> None:
    weights_BTS, real_M, mask_BS = parts()
    assert torch.autograd.gradcheck(
        lambda w: doubly_stochastic(w, real_M, mask_BS), weights_BTS.requires_grad_()
    )


@pytest.mark.parametrize("kind", ["rnn", "conv", "transformer"])
@pytest.mark.parametrize("heads", [1, 2])
def test_penalty_has_gradients_in_every_decoder(kind: str, heads: int) -> None:
    """Its gradient reaches what makes the weights, and nothing is detached on the way."""
    shared = [
        f"model.decoder.kind={kind}",
        f"model.attention.heads={heads}",
        "model.attention.size=12",
        "model.encoder.size=6",
    ]
    more = {
        "transformer": ["model.decoder.size=12", "model.decoder.layers=2", "model.decoder.heads=2"],
        "rnn": ["model.decoder.size=16"],
    }.get(kind, [])
    conf = (
        toy.settings(*shared[:1], *more, *shared[1:]) if kind != "rnn" else toy.settings(*more, *shared[1:])
    )
    torch.manual_seed(1)
    model = build(conf.model, toy.SIZE, toy.SIZE).train()
    source, inputs = torch.randint(4, toy.SIZE, (3, 6)), torch.randint(4, toy.SIZE, (3, 4))
    memory = model.encoder(source, torch.ones(3, 6, dtype=torch.bool))
    states = model.decoder.hidden_states(inputs, memory, weights=True)
    assert states.weights_BTLHS is not None
    doubly_stochastic(mean_attention(states.weights_BTLHS), torch.arange(12), memory.mask_BS).backward()
    reached = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and parameter.grad.any()
    ]
    assert any("attention" in name or "attn" in name for name in reached), reached
    assert any(name.startswith("encoder.") for name in reached)


def penalty(model: torch.nn.Module) -> float:
    rows = toy.VALIDATION.plan(10**6, 0, 0)[0]
    batch = toy.VALIDATION.batch(rows, None)
    with torch.no_grad():
        memory = model.eval().encoder(batch.source, batch.source_mask)
        states = model.decoder.hidden_states(batch.inputs_BT, memory, weights=True)
    return doubly_stochastic(
        mean_attention(states.weights_BTLHS),
        batch.target_mask_BT.flatten().nonzero()[:, 0],
        batch.source_mask,
    ).item() / len(rows)


@pytest.mark.slow
def test_penalty_gets_smaller_in_training(tmp_path: Path) -> None:
    penalties = {}
    for weight in (0.0, 5.0):
        conf = toy.settings(
            f"train.doubly_stochastic={weight}",
            "train.max_steps=60",
            "model.attention.size=8",
            "train.validate_every=60",
        )
        net = toy.model(conf)
        events = toy.fit(tmp_path / str(weight), conf, net)
        penalties[weight] = penalty(net)
        losses = [event.loss for event in events if isinstance(event, Update)]
        assert losses[-1] < losses[0]  # what is shown is the cross-entropy alone
        assert max(losses) < 5
    assert penalties[5.0] < 0.8 * penalties[0.0]


def test_validation_loss_has_no_penalty(tmp_path: Path) -> None:
    """Before a step that changes nothing, the loss of validation is the cross-entropy, whatever the penalty
    weighs.
    """
    losses = []
    for weight in (0.0, 100.0):
        conf = toy.settings(f"train.doubly_stochastic={weight}", "train.max_steps=1", "train.lr=1e-30")
        events = toy.fit(tmp_path / str(weight), conf)
        losses.append(next(event.loss for event in events if isinstance(event, Validation)))
    assert losses[0] == losses[1]
