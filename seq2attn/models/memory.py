"""What encoder, decoder and loss exchange: a memory, hidden states, and the output of a decoder."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

from seq2attn.attention import AttentionOutput, OneLayer, Weights
from seq2attn.config import Part
from seq2attn.copying.pointer import Copies
from seq2attn.models.state import select


class Memory(NamedTuple):
    """An encoder's output for B sources of S positions."""

    keys_BSK: Tensor
    values_BSV: Tensor
    mask_BS: Tensor  # bool, True = real
    summary_BV: Tensor  # the source in one vector
    grid: tuple[int, int] | None = None  # (h, w) if the positions are an image's
    # int64: its lowest 20 bits are the random stream of a sentence's draws outside training; None: stream 0
    stream_B: Tensor | None = None
    # a recurrent encoder's last states, layer by layer: (h,) or (h, c), each (B, V)
    final: tuple[tuple[Tensor, ...], ...] | None = None
    source_BS: Tensor | None = None  # the ids of a text, for a decoder that copies them

    def repeat_for(self, source_R: Tensor) -> Self:
        """The memory of R targets, where target r belongs to source `source_R[r]`."""
        parts = self._asdict().items()
        return type(self)(*(part if name == "grid" else select(part, source_R) for name, part in parts))


def part_of(part: Part, states_BSV: Tensor, embedded_BSV: Tensor) -> Tensor:
    """Keys or values: the encoder's states, its input embeddings, or their sum (Gehring 2017, 3.3)."""
    one = states_BSV if part == "states" else embedded_BSV
    return states_BSV + embedded_BSV if part == "sum" else one


def mean_over(mask_BS: Tensor, x_BSV: Tensor) -> Tensor:
    """The mean (B, V) of x over the real positions."""
    real_BS1 = mask_BS[..., None].to(x_BSV.dtype)
    return (x_BSV * real_BS1).sum(1) / real_BS1.sum(1)


class DecoderOutput(NamedTuple):
    """Logits (R, N) of one step, or (B, T, N) of all; attention weights by layer and head, (R, L, H, S) or
    (B, T, L, H, S), where they are asked for and there is attention.
    """

    logits: Tensor
    weights: Tensor | None


class HiddenStates(NamedTuple):
    """What T steps of a decoder give the output layer and the loss."""

    features_BTD: Tensor  # input of the output layer
    weights_BTLHS: Tensor | None = None  # if they are requested
    # log-probability of the positions that hard attention sampled, differentiable; None: no samples
    log_p_BT: Tensor | None = None
    entropy_BT: Tensor | None = None  # entropy of the distributions they were sampled from, nats
    copies: Copies | None = None  # what the softmax is mixed with, if the decoder copies

    @classmethod
    def of_layers(cls, x_BTD: Tensor, outputs: Sequence[AttentionOutput], weights: Weights) -> Self:
        """From the features and the output of each layer's attention; `weights`: with attention weights."""
        log_p, entropy = _sum([each.log_prob for each in outputs]), _sum([each.entropy for each in outputs])
        own = outputs[weights.place :][:1] if isinstance(weights, OneLayer) else outputs
        return cls(x_BTD, stack_weights(own) if weights else None, log_p, entropy)


def stack_weights(outputs: Iterable[AttentionOutput]) -> Tensor | None:
    """The weights (B, T, L, H, S) of the attentions of L layers, each (B, T, H, S)."""
    return stack_present([output.weights for output in outputs], 2)


def mean_attention(weights_LHS: Tensor) -> Tensor:
    """The mean of weights (..., L, H, S) over the heads of each layer, then over the layers: (..., S)."""
    return torch.stack([weights_HS.mean(-2) for weights_HS in weights_LHS.unbind(-3)]).mean(0)


def present(parts: Iterable[Tensor | None]) -> list[Tensor]:
    """The parts that are not None."""
    return [part for part in parts if part is not None]


def stack_present(parts: Iterable[Tensor | None], dim: int) -> Tensor | None:
    """The parts that are not None, stacked along a new dimension; None if there are none."""
    tensors = present(parts)
    return torch.stack(tensors, dim) if tensors else None


def _sum(parts: Iterable[Tensor | None]) -> Tensor | None:
    stacked = stack_present(parts, 0)
    return None if stacked is None else stacked.sum(0)
