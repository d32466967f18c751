"""What every encoder, decoder and backbone is to those who train, search and translate. Nobody else asks of
which kind they are.

Shapes: B sentences, S source positions, T target tokens, R = B x width rows of a search, N entries of the
target vocabulary, L layers with attention, H heads.
"""

import abc
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from seq2attn.models.memory import DecoderOutput, HiddenStates, Memory


class Encoder(nn.Module, abc.ABC):
    """Sources to a memory."""

    # outside training all of it may be in half precision, weights and sums; else matrix products alone
    supports_half_weights: bool = True

    @abc.abstractmethod
    def forward(self, source_BS: Tensor, mask_BS: Tensor) -> Memory:
        """Sources and their mask, True = real, to a memory. Text: ids (B, S). Every row needs a real
        position.
        """

    def self_attention(self, source_BS: Tensor, mask_BS: Tensor) -> list[Tensor] | None:
        """The weights of self-attention, (B, H, S, S) of each layer; None where there is none. A second, slow
        pass: `forward` never holds them.
        """
        return None

    def backbone_parameters(self) -> Iterable[nn.Parameter]:
        """Parameters that a published network brought; training may start them later, or at another rate."""
        return ()


class TextEncoder(Encoder):
    """An encoder of token ids; `embedding` is theirs, (N, E)."""

    embedding: nn.Embedding


class Backbone(nn.Module, abc.ABC):
    """Pixels (B, 3, Y, X), shifted and scaled, to a map of features (B, C, h, w)."""

    @abc.abstractmethod
    def draw(self) -> None:
        """Redraw the parameters, where a scheme of its own says how. `model.init` does not change them."""

    def self_attention_weights(self, x_BCYX: Tensor) -> Tensor | None:
        """The weights (B, 1, S, S) of self-attention over the S cells of its map; None without one."""
        return None


class Decoder(nn.Module, abc.ABC):
    """A memory and target tokens to logits.

        source = decoder.project_memory(memory)             once per batch
        state = decoder.initial_state(memory, width)        a value: no step changes it
        output, state = decoder.step(token_R, state, source)

    `output` makes logits of the features; `target_embedding` is that of the input tokens.
    """

    target_embedding: nn.Embedding
    output: nn.Linear
    context_feeds_later_steps: bool  # the context of one step changes later ones
    supports_half_weights: bool = True  # as an encoder's

    @abc.abstractmethod
    def project_memory(self, memory: Memory) -> Any:
        """What every step reads of B sources. Dim 0 is the sentence, and it is never copied for rows."""

    @abc.abstractmethod
    def initial_state(self, memory: Memory, width: int = 1) -> Any:
        """The state before the first step, of `width` rows a sentence: a nested tuple for `state.select`."""

    @abc.abstractmethod
    def step(
        self, token_R: Tensor, state: Any, source: Any, weights: bool = True
    ) -> tuple[DecoderOutput, Any]:
        """One more token of each row: logits (R, N), and weights (R, L, H, S) where they are asked for and
        there is attention. Row r belongs to sentence r // width.
        """

    @abc.abstractmethod
    def hidden_states(self, tokens_BT: Tensor, memory: Memory, weights: bool = False) -> HiddenStates:
        """Teacher forcing: the input of `output` after each token, and weights where they are asked for."""

    def forward(self, tokens_BT: Tensor, memory: Memory, weights: bool = False) -> DecoderOutput:
        """Teacher forcing: logits (B, T, N) after each token, and weights (B, T, L, H, S) where they are
        asked for.
        """
        hidden = self.hidden_states(tokens_BT, memory, weights)
        return DecoderOutput(self.output(hidden.features_BTD), hidden.weights_BTLHS)

    def self_attention(self, tokens_BT: Tensor, memory: Memory) -> Tensor | None:
        """The weights of self-attention, (B, L, H, T, T), by teacher forcing; None where there is none. A
        second, slow pass.
        """
        return None
