"""Training on a score of whole outputs, by REINFORCE against the model's own other outputs (Rennie 2017).

The gradient of the expected reward of what a model draws is that of the expected (r - b) log p, whatever b is
that does not depend on what was drawn: the reward
of the greedy output (Rennie 2017, section 4.2), or the mean reward of the other draws of the same source (Luo
2020). Who draws, and what a reward is, is handed in.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.models.seq2seq import Seq2Seq


class SampledTargets(NamedTuple):
    """Targets (R, T) that a model drew of I sources itself, and what they are worth."""

    source_of_R: Tensor  # the place of each one's source among the I
    inputs_RT: Tensor  # from BOS on
    targets_RT: Tensor
    mask_RT: Tensor  # bool, True = real
    advantage_R: Tensor  # reward above what a target is compared with
    reward: float  # the mean of all
    banned: tuple[int, ...] = ()  # tokens that are never drawn


# the model, its sources and their mask, their numbers in the data, a seed
RewardFunction = Callable[[Seq2Seq, Tensor, Tensor, Tensor, int], SampledTargets]


def expected_loss(features_RTD: Tensor, output: nn.Linear, drawn: SampledTargets) -> Tensor:
    """The sum over all that was drawn of -(r - b) log p, 0-dim: over the number of draws a source its
    gradient is that of the sources' expected reward, turned around.

    Of the real tokens alone, each out of those that could be drawn. No mean over tokens: it would depend on
    what was drawn, and pay for length.
    """
    real = drawn.mask_RT.flatten().nonzero()[:, 0]
    logits_MN = output(features_RTD.flatten(0, 1).index_select(0, real))
    wide = torch.promote_types(logits_MN.dtype, torch.float32)
    drawable_MN = logits_MN.to(wide).index_fill(1, real.new_tensor(drawn.banned), -torch.inf)
    nll_M = F.cross_entropy(drawable_MN, drawn.targets_RT.flatten()[real], reduction="none")
    return (nll_M * drawn.advantage_R[real // drawn.targets_RT.size(1)]).sum()
