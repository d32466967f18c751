"""One model or several as one step of a search: the mean of their probabilities and of their attention.

This module knows models by the interface of their decoders. Shape suffixes are those of `search.step`.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2attn.inference.options import AttentionOption
from seq2attn.models.memory import Memory, mean_attention
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.models.state import PerSentence

LOGITS = 2**24  # numbers in one block of logits of `score_targets`: 64 MiB


class EnsembleState(NamedTuple):
    """What a step needs of each member."""

    decoders: tuple[Any, ...]  # the state of its decoder, by rows
    sources: PerSentence[tuple[Any, ...]]  # its projected memory, by sentences


class Ensemble:
    """Models that share the target vocabulary.

    Attention is the mean over the members with the source positions of the first. It is by layer and head if
    they have equally many, otherwise over all layers and heads.
    """

    def __init__(self, models: Sequence[Seq2Seq], same_positions: Sequence[bool]) -> None:
        """`same_positions`: whether the source positions of a member are those of the first one."""
        self.models = models
        self.same_positions = same_positions

    def initial_state(self, memories: Sequence[Memory], width: int) -> EnsembleState:
        """The state for `width` rows of each sentence."""
        members = [(model.decoder, m) for model, m in zip(self.models, memories, strict=True)]
        sources = tuple(decoder.project_memory(m) for decoder, m in members)
        return EnsembleState(
            tuple(decoder.initial_state(m, width) for decoder, m in members),
            PerSentence(sources, len(memories[0].mask_BS), width),
        )

    def step(
        self, token_R: Tensor, state: EnsembleState, attention: AttentionOption
    ) -> tuple[Tensor, EnsembleState, Tensor | None]:
        """A `search.step.Step` with one more argument, `attention`.

        Weights are (R, L, H, S); the mean has L = H = 1.
        """
        logits, states, weights = [], [], []
        members = zip(self.models, state.decoders, state.sources.parts, strict=True)
        for model, decoder_state, source in members:
            output, next_state = model.decoder.step(token_R, decoder_state, source, bool(attention))
            logits.append(output.logits if len(self.models) == 1 else output.logits.float().log_softmax(-1))
            states.append(next_state)
            weights.append(output.weights)
        next_states = state._replace(decoders=tuple(states))
        return _mean_log_prob(logits), next_states, self._mean_weights(weights, attention)

    def score_targets(
        self, memories: Sequence[Memory], inputs_BT: Tensor, targets_BT: Tensor, attention: AttentionOption
    ) -> tuple[Tensor, Tensor | None]:
        """Teacher forcing: log p of each target token (B, T), and weights (B, T, L, H, S), on the CPU.

        Logits are computed in blocks, so that memory stays bounded.
        """
        log_probs, weights = [], []
        for model, of_member in zip(self.models, memories, strict=True):
            decoder = model.decoder
            hidden = decoder.hidden_states(inputs_BT, of_member, bool(attention))
            block = max(1, LOGITS // (len(inputs_BT) * decoder.output.weight.shape[0]))
            blocks = []
            for start in range(0, inputs_BT.shape[1], block):
                steps = slice(start, start + block)
                copies = None if hidden.copies is None else hidden.copies.steps(steps)
                log_p = decoder.logits(hidden.features_BTD[:, steps], copies).float().log_softmax(-1)
                blocks.append(log_p.gather(2, targets_BT[:, steps, None])[:, :, 0])
            log_probs.append(torch.cat(blocks, 1))
            weights.append(hidden.weights_BTLHS)
        mean_weights = self._mean_weights(weights, attention)
        return _mean_log_prob(log_probs).cpu(), None if mean_weights is None else mean_weights.float().cpu()

    def _mean_weights(
        self, weights_LHS: Sequence[Tensor | None], attention: AttentionOption
    ) -> Tensor | None:
        members = [
            w for w, same in zip(weights_LHS, self.same_positions, strict=True) if same and w is not None
        ]
        if not members:
            return None
        if attention != "all" or len({w.shape[-3:-1] for w in members}) > 1:
            members = [
                w if w.shape[-3:-1] == (1, 1) else mean_attention(w)[..., None, None, :] for w in members
            ]
        return members[0] if len(members) == 1 else torch.stack(members).mean(0)


def _mean_log_prob(log_probs: list[Tensor]) -> Tensor:
    """The log of the mean probability."""
    if len(log_probs) == 1:
        return log_probs[0]
    return torch.stack(log_probs).logsumexp(0) - math.log(len(log_probs))
