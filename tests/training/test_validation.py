"""The loss of a validation, and what random numbers have to do with it."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from toy import VALIDATION, new_trainer, settings

from seq2attn.attention.normalisers import AttentionWeights, HardSample
from seq2attn.training.distributed import World
from seq2attn.training.microbatches import mix


class Draws(HardSample):
    """One of a user that draws outside training, too."""

    def forward(self, scores: Tensor, mask: Tensor, history: object = None) -> AttentionWeights:
        return self._sample(scores, mask, None)._replace(log_prob=None, entropy=None)


@dataclass(frozen=True)
class Alone(World):
    """One process of several, which hears of no other."""

    own: list[float] = field(default_factory=list)

    def sum(self, values):
        self.own.extend(values)
        return list(values)


def test_validation_draws_the_same_in_whichever_process_and_after_whatever(tmp_path) -> None:
    conf = settings("train.batch_tokens=60")
    validator = new_trainer(tmp_path / "run", conf).validator
    validator.model.eval()
    validator.model.decoder.attention.normalise = Draws(1, "argmax")
    losses = []
    for rank, size in ((0, 1), (0, 2), (1, 2)):
        torch.rand(rank + size)  # where torch's generator stands is of no account
        validator.world = Alone(torch.device("cpu"), rank, size)
        validator._loss()
        losses.append(validator.world.own[:-2])
    one, first, second = losses
    assert len(one) == len(VALIDATION.plan(60, 0, 0)) > 3
    assert [a + b for a, b in zip(first, second, strict=True)] == one
    validator.settings = validator.settings.model_copy(update={"seed": mix(1, 2)})
    validator.world = Alone(torch.device("cpu"))
    validator._loss()
    assert validator.world.own[:-2] != one  # it does draw
