"""REINFORCE for attention that samples the positions it reads (Xu 2015, section 4.1).

The gradient of an expected loss has two parts: that of the loss itself, through what was read, and that of
the probability of what was sampled, weighted by the reward that followed. With a target token's reward
r_t = -(its loss, label smoothing included) and a baseline b, the sum over tokens

    -r_t - weight * (R_t - b n_t) * log p_t - entropy_weight * H_t

has both. R_t is the sum of the n_t rewards that the sample of step t can change: its own reward alone, or
those to the end of the sentence where later steps depend on what step t read. Other rewards, and b, leave
the expected gradient unchanged: the first would add variance, the second reduces it. The entropy H_t keeps
the distribution from collapsing early; the effect of a sample on the entropy of later steps is ignored.

Losses and log-probabilities are arguments: this module knows no model.
"""

import math

from torch import Tensor

from seq2attn.config import ReinforceConfig


def reinforce_loss(
    losses_M: Tensor,
    log_p_BT: Tensor,
    entropy_BT: Tensor,
    real_M: Tensor,
    *,
    to_go: bool,
    baseline: float,
    settings: ReinforceConfig,
) -> tuple[Tensor, Tensor]:
    """The terms to add to the cross-entropy, and the entropy: sums over the M real target tokens, 0-dim.

    `losses_M` (nats, without gradient) are the losses at the positions `real_M` among the B*T. With `to_go`
    the reward of a sample is that of its own and all later steps of the sentence, else of its own step.
    `baseline` is a reward per token.
    """
    gain_BT = losses_M.new_zeros(log_p_BT.shape)
    # The sums to the end are then R_t - b n_t; padding adds nothing.
    gain_BT.view(-1)[real_M] = -losses_M - baseline
    if to_go:
        gain_BT = gain_BT.flip(1).cumsum(1).flip(1)
    log_p_M, gain_M, entropy_M = (
        x_BT.flatten().index_select(0, real_M) for x_BT in (log_p_BT, gain_BT, entropy_BT)
    )
    entropy = entropy_M.sum()
    return -settings.weight * (gain_M * log_p_M).sum() - settings.entropy_weight * entropy, entropy.detach()


def first_baseline(settings: ReinforceConfig, vocabulary: int) -> float:
    """The reward per token of a model that knows nothing yet: all tokens are equally probable."""
    return -math.log(vocabulary) if settings.baseline_decay else 0.0


def next_baseline(settings: ReinforceConfig, baseline: float, reward: float) -> float:
    """The moving average after an update with this mean reward per token (Xu 2015, equation 12)."""
    if not settings.baseline_decay:
        return 0.0
    return settings.baseline_decay * baseline + (1 - settings.baseline_decay) * reward
