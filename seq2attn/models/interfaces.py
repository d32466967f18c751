"""The interfaces of encoders, decoders and backbones. Training, search and translation use these alone, and
do not depend on the kind of a model.

Shapes: B sentences, S source positions, T target tokens, R = B x width rows of a search, N entries of the
target vocabulary, L layers with attention, H heads.
"""

import abc
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from seq2attn.attention import Weights
from seq2attn.copying.output import OutputSide
from seq2attn.models.memory import DecoderOutput, HiddenStates, Memory


class Encoder(nn.Module, abc.ABC):
    """Turns sources into a memory."""

    # True: outside training all weights and sums may be in half precision. False: matrix products alone.
    supports_half_weights: bool = True

    @abc.abstractmethod
    def forward(self, source_BS: Tensor, mask_BS: Tensor) -> Memory:
        """The memory of sources, which for text are ids (B, S). The mask is True at real positions; every
        source needs one.
        """

    def self_attention(self, source_BS: Tensor, mask_BS: Tensor) -> list[Tensor] | None:
        """The attention weights (B, H, S, S) of each layer's self-attention; None if there is no
        self-attention. This is a second, slower pass, because `forward` never has these weights in memory.
        """
        return None

    def backbone_parameters(self) -> Iterable[nn.Parameter]:
        """The parameters of a backbone; training may start them later, or at another rate."""
        return ()


class TextEncoder(Encoder):
    """An encoder of token ids; `embedding` is theirs, (N, E)."""

    embedding: nn.Embedding


class Backbone(nn.Module, abc.ABC):
    """Turns normalised pixels (B, 3, Y, X) into a map of features (B, C, h, w)."""

    @abc.abstractmethod
    def draw(self) -> None:
        """Draw first weights by the backbone's own scheme, if any; `model.init` does not apply to it."""

    def self_attention_weights(self, x_BCYX: Tensor) -> Tensor | None:
        """The attention weights (B, 1, S, S) over the S cells of its map; None without self-attention."""
        return None


class Decoder(OutputSide, abc.ABC):
    """Turns a memory and target tokens into logits.

        source = decoder.project_memory(memory)             once per batch
        state = decoder.initial_state(memory, width)
        output, state = decoder.step(token_R, state, source)

    A step returns a new state and does not change the old one. `output` is the output layer, from features to
    logits; `target_embedding` embeds the input tokens. With a pointer (see `OutputSide`), logits are
    log-probabilities.
    """

    context_feeds_later_steps: bool  # the context of one step changes later steps
    supports_half_weights: bool = True  # see `Encoder`

    @abc.abstractmethod
    def project_memory(self, memory: Memory) -> Any:
        """What every step reads of B sources. Dim 0 is the sentence; rows of a sentence share it."""

    @abc.abstractmethod
    def initial_state(self, memory: Memory, width: int = 1) -> Any:
        """The state before the first step, where each sentence has `width` rows: a nested tuple, from which
        `models.state.select` takes rows.
        """

    @abc.abstractmethod
    def step(
        self, token_R: Tensor, state: Any, source: Any, weights: bool = True
    ) -> tuple[DecoderOutput, Any]:
        """One more token of each row: logits (R, N), and attention weights (R, L, H, S) if `weights` is True
        and there is attention. Row r belongs to sentence r // width. Without weights a decoder may use a
        faster call, which never computes them.
        """

    @abc.abstractmethod
    def hidden_states(self, tokens_BT: Tensor, memory: Memory, weights: Weights = False) -> HiddenStates:
        """Teacher forcing: the input of `output` after each token, and attention weights if `weights` is
        True. With `OneLayer` they are those of that layer (B, T, 1, H, S), and no other layer computes any.
        """

    def forward(self, tokens_BT: Tensor, memory: Memory, weights: bool = False) -> DecoderOutput:
        """Teacher forcing: logits (B, T, N) after each token, and attention weights (B, T, L, H, S) if
        `weights` is True.
        """
        hidden = self.hidden_states(tokens_BT, memory, weights)
        return DecoderOutput(self.logits(hidden.features_BTD, hidden.copies), hidden.weights_BTLHS)

    def self_attention(self, tokens_BT: Tensor, memory: Memory) -> Tensor | None:
        """The attention weights (B, L, H, T, T) of the layers' self-attention, by teacher forcing; None if
        there is no self-attention. This is a second, slower pass.
        """
        return None
