"""What is minimised beside the cross-entropy where attention draws what it reads (Xu 2015, section 4.1).

The gradient of an expected loss has two parts: that of the loss itself, through what was read, and that of
the probability of
what was drawn, weighted by the reward it led to. With a target token's reward r_t = -(its loss, label
smoothing included) and a baseline b, the sum over tokens

    -r_t - reinforce * (R_t - b n_t) * log p_t - entropy * H_t

has both: R_t are the n_t rewards that the draw of step t could change, its own alone or, where later steps
depend on what it read,
those to the end of the sentence. Terms of rewards that it could not change, and b, leave the expected
gradient as it is and would add or take
noise. The entropy H_t keeps draws from settling early; what a draw does to the entropy of later steps is not
paid.
It knows no model: losses and log-probabilities are handed in.
"""

import math

from torch import Tensor

from seq2attn.config import ReinforceConfig


def drawn(
    losses_M: Tensor,
    log_p_BT: Tensor,
    entropy_BT: Tensor,
    real_M: Tensor,
    *,
    to_go: bool,
    baseline: float,
    settings: ReinforceConfig,
) -> tuple[Tensor, Tensor]:
    """What is added to the cross-entropy, and the entropy, both summed over the M real target tokens, 0-dim.

    `losses_M` (nats, without gradient) are those at the places `real_M` of the B*T; `to_go` pays a draw with
    all later rewards of
    its sentence, else with its own step's. `baseline` is a reward per token.
    """
    gain_BT = losses_M.new_zeros(log_p_BT.shape)
    # so the sums to the end hold R_t - b n_t; a place that is not real adds nothing
    gain_BT.view(-1)[real_M] = -losses_M - baseline
    if to_go:
        gain_BT = gain_BT.flip(1).cumsum(1).flip(1)
    log_p_M, gain_M, entropy_M = (
        x_BT.flatten().index_select(0, real_M) for x_BT in (log_p_BT, gain_BT, entropy_BT)
    )
    entropy = entropy_M.sum()
    return -settings.weight * (gain_M * log_p_M).sum() - settings.entropy_weight * entropy, entropy.detach()


def first_baseline(settings: ReinforceConfig, vocabulary: int) -> float:
    """The reward per token of a model that knows nothing yet."""
    return -math.log(vocabulary) if settings.baseline_decay else 0.0


def next_baseline(settings: ReinforceConfig, baseline: float, reward: float) -> float:
    """The moving average once an update had this mean reward per token (Xu 2015, equation 12)."""
    return (
        settings.baseline_decay * baseline + (1 - settings.baseline_decay) * reward
        if settings.baseline_decay
        else 0.0
    )
