"""Cross-entropy of the targets by teacher forcing, with what some settings add to it.

Label smoothing: train.label_smoothing. train.doubly_stochastic adds a penalty on attention (Xu 2015, section
4.2.1), REINFORCE terms train attention that samples what it reads (section 4.1), and train.guide teaches
attention by word links.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from seq2attn.attention import OneLayer, Weights
from seq2attn.config import TrainConfig
from seq2attn.kernels.copy_cross_entropy import copy_cross_entropies
from seq2attn.kernels.linear_cross_entropy import cross_entropies
from seq2attn.models.memory import HiddenStates, mean_attention
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.microbatches import Microbatch
from seq2attn.training.objectives.doubly_stochastic import doubly_stochastic
from seq2attn.training.objectives.guided_attention import guided_attention
from seq2attn.training.objectives.objective import Autocast, Sums, encode
from seq2attn.training.objectives.r_drop import consistent_cross_entropies, doubled
from seq2attn.training.objectives.reinforce import reinforce_loss


class Forward(NamedTuple):
    """What encoder and decoder compute of a batch."""

    output: HiddenStates
    mask_BS: Tensor  # of the memory: bool, True = a real position


ForwardPass = Callable[[Seq2Seq, Microbatch, Weights], Forward]


class TokenLosses(NamedTuple):
    """Cross-entropy of a batch, in nats."""

    total: Tensor  # over the M real target tokens, 0-dim; with R-Drop its divergences are in it
    each_M: Tensor  # without gradient
    forward: Forward


def teacher_forcing(model: Seq2Seq, batch: Microbatch, weights: Weights) -> Forward:
    """Encoder and decoder, all steps of each target; `weights` asks for those of attention too."""
    memory = encode(model, batch, batch.source_of_B)
    output = model.decoder.hidden_states(batch.inputs_BT, memory, weights=weights)
    return Forward(output, memory.mask_BS)


def token_losses(
    model: Seq2Seq,
    batch: Microbatch,
    smoothing: float,
    weights: Weights = False,
    forward_pass: ForwardPass = teacher_forcing,
    r_drop: float = 0.0,
) -> TokenLosses:
    """Encoder, decoder and cross-entropy of one batch; `weights` asks for those of attention too. With a
    weight of R-Drop the passes over the batch are two, and what encoder and decoder compute is of both.
    """
    passes = doubled(batch) if r_drop else batch
    forward = forward_pass(model, passes, weights)
    output = forward.output
    features_MD = output.features_BTD.flatten(0, 1)
    if passes.real_M is not None:
        features_MD = features_MD.index_select(0, passes.real_M)
    layer, targets_M = model.decoder.output, batch.targets_M
    if r_drop:
        total, each_M = consistent_cross_entropies(
            features_MD, layer, targets_M, smoothing, r_drop, batch.mask_M
        )
    elif output.copies is None:
        total, each_M = cross_entropies(features_MD, layer, targets_M, smoothing, batch.mask_M)
    else:
        copies = output.copies.rows(batch.real_M)
        total, each_M = copy_cross_entropies(features_MD, layer, copies, targets_M, smoothing, batch.mask_M)
    return TokenLosses(total, each_M, forward)


@dataclass(frozen=True)
class CrossEntropy:
    """The objective of one update. `baseline` is a reward per token, for attention that samples;
    `forward_pass` computes what `teacher_forcing` does.
    """

    model: Seq2Seq
    settings: TrainConfig
    autocast: Autocast
    baseline: float
    forward_pass: ForwardPass = teacher_forcing

    def __call__(self, batch: Microbatch, seed: int) -> Sums:
        penalty, guide, r_drop = self.settings.doubly_stochastic, self.settings.guide, self.settings.r_drop
        layer, head = ((number or 1) - 1 for number in (self.settings.guide_layer, self.settings.guide_head))
        weights: Weights = penalty > 0 or (guide > 0 and OneLayer(layer))
        with self.autocast():
            loss, each_M, (output, mask_BS) = token_losses(
                self.model, batch, self.settings.label_smoothing, weights, self.forward_pass, r_drop
            )
        objective = loss
        if r_drop:  # what follows is a mean over both passes
            loss, batch, penalty, guide = each_M.sum(), doubled(batch), penalty / 2, guide / 2
        if penalty and output.weights_BTLHS is not None:
            objective = objective + penalty * doubly_stochastic(
                mean_attention(output.weights_BTLHS), batch.real_M, mask_BS, batch.mask_M
            )
        if guide and batch.guide_BTS is not None and output.weights_BTLHS is not None:
            of_layer = output.weights_BTLHS[:, :, layer if penalty else 0]
            objective = objective + guide * guided_attention(of_layer[:, :, head], batch.guide_BTS)
        if output.log_p_BT is None or output.entropy_BT is None:
            return Sums(objective, loss)
        assert batch.real_M is not None
        added, entropy = reinforce_loss(
            each_M,
            output.log_p_BT,
            output.entropy_BT,
            batch.real_M,
            to_go=self.model.decoder.context_feeds_later_steps,
            baseline=self.baseline,
            settings=self.settings.reinforce,
        )
        return Sums(objective + added, loss, entropy)
