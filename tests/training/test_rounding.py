"""Batches of few shapes: what was added changes neither the loss nor a gradient."""

from typing import Any

import numpy as np
import pytest
import torch
import toy
from models.families import IMAGES, PAIRS, SIDE
from torch import Tensor

from seq2attn.config import ModelConfig
from seq2attn.data.batches import Batch, collate, collate_target
from seq2attn.models.seq2seq import build
from seq2attn.training.microbatches import Microbatch, microbatch
from seq2attn.training.objectives.cross_entropy import CrossEntropy
from seq2attn.training.rounding import LENGTHS, ROWS, round_up

CPU = torch.device("cpu")
SOURCES, TARGETS = [4, 1, 3], [2, 5, 1]  # lengths, without EOS


def sequences(lengths: list[int]) -> list[np.ndarray]:
    draw = np.random.default_rng(1)
    return [draw.integers(4, toy.SIZE, length) for length in lengths]


class One:
    """Data of one batch."""

    def __init__(self, batch: Batch) -> None:
        self.all = batch

    def batch(self, rows: np.ndarray, draw: int | None) -> Batch:
        return self.all


def texts() -> Batch:
    return collate(sequences(SOURCES), sequences(TARGETS))


def images(encoder: Any) -> Batch:
    """Two images with three captions."""
    frames = (encoder.max_frames,) if encoder.clips else ()
    source = torch.randint(0, 256, (2, *frames, 3, SIDE, SIDE), dtype=torch.uint8)
    mask = torch.ones(2, *(frames or (1,)), dtype=torch.bool)
    return Batch(source, mask, *collate_target(sequences(TARGETS)), torch.tensor([0, 1, 1]))


def sums(model: ModelConfig, batch: Microbatch, penalty: float) -> tuple[Tensor, list[Tensor | None]]:
    torch.manual_seed(1)
    net = build(model, 0 if model.modality.name == "images" else toy.SIZE, toy.SIZE).double()
    for parameter in net.parameters():
        torch.nn.init.uniform_(parameter, -0.4, 0.4)
    settings = toy.settings("train.label_smoothing=0.1").train
    settings = settings.model_copy(update={"doubly_stochastic": penalty})
    objective = CrossEntropy(net, settings, lambda: torch.autocast("cpu", enabled=False), 0.0)
    both = objective(batch, 1)
    both.objective.backward()
    return both.objective, [parameter.grad for parameter in net.parameters()]


def is_random(model: ModelConfig) -> bool:
    return model.attention.normaliser == "hard-sample"


MODELS = [case for case in PAIRS + IMAGES if not is_random(case.values[0])]


@pytest.mark.parametrize("penalty", [0.0, 1.5])
@pytest.mark.parametrize("model", MODELS)
def test_rounded_batch_has_the_loss_and_gradients_of_the_batch(model: ModelConfig, penalty: float) -> None:
    batch = images(model.encoder) if model.encoder.kind == "image" else texts()
    plain, rounded = (
        microbatch(One(batch), np.arange(3), None, CPU, of_few_shapes)  # type: ignore[arg-type]
        for of_few_shapes in (False, True)
    )
    assert rounded.inputs_BT.shape == (ROWS, LENGTHS)
    loss, gradients = sums(model, plain, penalty)
    other, others = sums(model, rounded, penalty)
    torch.testing.assert_close(other, loss)
    for gradient, same in zip(gradients, others, strict=True):
        torch.testing.assert_close(same, gradient)


@pytest.mark.parametrize(("rows", "rounded"), [(1, 16), (16, 16), (17, 32)])
def test_rows_and_lengths_are_rounded_up(rows: int, rounded: int) -> None:
    batch = round_up(collate(sequences([7] * rows), sequences([8] * rows)))
    assert batch.source.shape == batch.source_mask.shape == (rounded, 8)
    assert batch.inputs_BT.shape == batch.targets_BT.shape == batch.target_mask_BT.shape == (rounded, 16)
    assert int(batch.target_mask_BT.sum()) == rows * 9
    assert bool(batch.source_mask.any(1).all())


def test_images_stay_as_they_are_and_their_targets_are_rounded() -> None:
    source = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    mask, owner = torch.ones(2, 1, dtype=torch.bool), torch.tensor([0, 1, 1])
    batch = round_up(Batch(source, mask, *collate_target(sequences(TARGETS)), owner))
    assert len(batch.source) == 2
    assert batch.source_of_B is not None
    assert (len(batch.source_of_B), len(batch.inputs_BT)) == (ROWS, ROWS)
    alone = round_up(Batch(source, mask, *collate_target(sequences(TARGETS[:2]))))
    assert len(alone.inputs_BT) == 2
