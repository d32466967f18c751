"""Training on a score of whole outputs: REINFORCE against the model's own other outputs (Rennie 2017).

The gradient of the expected reward of a sampled output is that of the expected (r - b) log p, for every b
that does not depend on that output: the reward of the greedy output (Rennie 2017, section 4.2), or the mean
reward of the other samples of the same source (Luo 2020). A `RewardFunction` samples and scores.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.microbatches import Microbatch
from seq2attn.training.objectives.objective import Autocast, Sums, encode


class SampledTargets(NamedTuple):
    """R targets of T tokens that a model sampled for I sources, and their rewards."""

    source_of_R: Tensor  # index of each one's source among the I
    inputs_RT: Tensor  # from BOS on
    targets_RT: Tensor
    mask_RT: Tensor  # bool, True = real
    advantage_R: Tensor  # reward minus baseline
    reward: float  # mean over all
    banned: tuple[int, ...] = ()  # tokens that are never sampled


# the model, its sources and their mask, their numbers in the data, a seed
RewardFunction = Callable[[Seq2Seq, Tensor, Tensor, Tensor, int], SampledTargets]


def expected_loss(features_RTD: Tensor, output: nn.Linear, sampled: SampledTargets) -> Tensor:
    """The sum over all samples of -(r - b) log p, 0-dim.

    Divided by the number of samples per source, its gradient is minus that of the sources' expected reward.
    Probabilities are over the tokens that can be sampled, and of real tokens alone. It is no mean over
    tokens: that would depend on what was sampled, and reward length.
    """
    real_M = sampled.mask_RT.flatten().nonzero()[:, 0]
    logits_MN = output(features_RTD.flatten(0, 1).index_select(0, real_M))
    wide = torch.promote_types(logits_MN.dtype, torch.float32)
    allowed_MN = logits_MN.to(wide).index_fill(1, real_M.new_tensor(sampled.banned), -torch.inf)
    nll_M = F.cross_entropy(allowed_MN, sampled.targets_RT.flatten()[real_M], reduction="none")
    return (nll_M * sampled.advantage_R[real_M // sampled.targets_RT.size(1)]).sum()


@dataclass(frozen=True)
class SelfCritical:
    """The objective of one update: samples of the sources take the place of the targets in the data."""

    model: Seq2Seq
    reward_function: RewardFunction
    autocast: Autocast

    def __call__(self, batch: Microbatch, seed: int) -> Sums:
        assert batch.number_I is not None
        assert batch.real_M is not None
        sampled = self.reward_function(self.model, batch.source, batch.source_mask, batch.number_I, seed)
        with self.autocast():
            memory = encode(self.model, batch, sampled.source_of_R)
            features_RTD = self.model.decoder.hidden_states(sampled.inputs_RT, memory).features_BTD
            objective = expected_loss(features_RTD, self.model.decoder.output, sampled)
        sources, samples = len(batch.source), len(sampled.inputs_RT)
        # Trainer divides by the target tokens of the data, so the reported loss is minus the mean reward.
        loss = torch.tensor(-sampled.reward * len(batch.real_M))
        return Sums(objective * (sources / samples), loss)
