"""The nouns that encoders, decoders and search share: a memory to read, an output, and a state whose rows can
be chosen.
"""

import abc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, NamedTuple, Self, TypeVar

import torch
from torch import Tensor

from seq2attn.attention import AttentionOutput
from seq2attn.config import Part

Parts = TypeVar("Parts")
State = TypeVar("State")


class Memory(NamedTuple):
    """What an encoder makes of B sources and a decoder reads: S positions each."""

    keys_BSK: Tensor
    values_BSV: Tensor
    mask_BS: Tensor  # bool, True = real
    summary_BV: Tensor  # the source in one vector
    grid: tuple[int, int] | None = None  # (h, w) where the positions are an image's
    # int64, below 2^20: the random numbers that a sentence's draws outside training take; None: the first
    stream_B: Tensor | None = None
    # a recurrent encoder's last states, layer by layer: (h,) or (h, c), each (B, V)
    final: tuple[tuple[Tensor, ...], ...] | None = None

    def of(self, source_R: Tensor) -> Self:
        """The memory of R targets, of which each belongs to the source that `source_R` says."""
        return type(self)(
            *(part if name == "grid" else select(part, source_R) for name, part in self._asdict().items())
        )


def part_of(part: Part, states_BSV: Tensor, embedded_BSV: Tensor) -> Tensor:
    """What keys or values are made of: the encoder's states, its input embeddings, or their sum (Gehring
    2017, section 3.3).
    """
    if part == "sum":
        return states_BSV + embedded_BSV
    return states_BSV if part == "states" else embedded_BSV


def mean_over(mask_BS: Tensor, x_BSV: Tensor) -> Tensor:
    """The mean (B, V) of the real positions."""
    real_BS1 = mask_BS[..., None].to(x_BSV.dtype)
    return (x_BSV * real_BS1).sum(1) / real_BS1.sum(1)


class Output(NamedTuple):
    """Logits (R, N) of one step, or (B, T, N) of all; attention weights by layer and head, (R, L, H, S) or
    (B, T, L, H, S), where they are asked for and there is attention.
    """

    logits: Tensor
    weights: Tensor | None


class Features(NamedTuple):
    """What T steps of a decoder leave for the vocabulary and the loss."""

    features_BTD: Tensor  # what the output layer reads
    weights_BTLHS: Tensor | None = None  # where they were asked for
    # of what hard attention drew, with its gradient; None where nothing is drawn
    log_p_BT: Tensor | None = None
    entropy_BT: Tensor | None = None  # of what it was drawn from, nats


def stack_layers(outputs: Sequence[AttentionOutput]) -> Tensor | None:
    """The weights (B, T, L, H, S) of the attentions of L layers, each (B, T, H, S)."""
    weights = [output.weights for output in outputs if output.weights is not None]
    return torch.stack(weights, 2) if weights else None


def sum_layers(parts: Sequence[Tensor | None]) -> Tensor | None:
    """The sum of what each layer has; None where none has any."""
    tensors = [part for part in parts if part is not None]
    return torch.stack(tensors).sum(0) if tensors else None


def mean_attention(weights_LHS: Tensor) -> Tensor:
    """Weights (..., L, H, S) -> their mean over the heads of each layer, then over layers: (..., S)."""
    return torch.stack([weights_HS.mean(-2) for weights_HS in weights_LHS.unbind(-3)]).mean(0)


class Chosen(abc.ABC):
    """A part of a state that knows by itself which of its rows stay."""

    @abc.abstractmethod
    def choose(self, index: Tensor) -> Self:
        """The rows `index`, in that order."""


@dataclass(frozen=True)
class Shared(Chosen, Generic[Parts]):
    """What the `width` rows of a sentence have in common; dim 0 of its parts is the sentence. Reordering the
    rows of a sentence leaves it as it is.
    """

    parts: Parts
    sentences: int
    width: int

    def choose(self, index: Tensor) -> Self:
        """The sentences of the rows `index`: all of them stay, each in its place, or some leave."""
        sentences = len(index) // self.width
        if sentences == self.sentences:
            return self
        return replace(
            self, parts=select(self.parts, index[:: self.width] // self.width), sentences=sentences
        )


@dataclass(frozen=True)
class Fixed(Chosen, Generic[Parts]):
    """What no row has of its own: it stays, whichever of them do."""

    parts: Parts

    def choose(self, index: Tensor) -> Self:
        return self


def select(state: State, index_R: Tensor) -> State:
    """The rows `index_R` of every tensor in a nested tuple (named or plain), None kept: how search reorders
    any state.
    """
    value: Any = state
    if value is None:
        return state
    if isinstance(value, Tensor):
        return value.index_select(0, index_R)  # type: ignore[return-value]
    if isinstance(value, Chosen):
        return value.choose(index_R)  # type: ignore[return-value]
    parts = (select(part, index_R) for part in value)
    chosen: State = type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return chosen
