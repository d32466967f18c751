"""What every encoder and every decoder is to those who train, search and translate: nobody asks which kind it
has.
"""

import abc
from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from seq2attn.models.memory import Features, Memory, Output


class Encoder(nn.Module, abc.ABC):
    """Reads sources."""

    # whether outside training all of it may be in half precision, weights and sums; else products alone
    supports_half_weights: bool = True

    @abc.abstractmethod
    def forward(self, source_BS: Tensor, mask_BS: Tensor) -> Memory:
        """Sources and their mask -> a memory. Of text: ids (B, S), and as many positions. Every row needs a
        real position.
        """

    def backbone_parameters(self) -> Iterable[nn.Parameter]:
        """Those that training may leave for later, or change at another rate: what came from elsewhere,
        trained.
        """
        return ()


class TextEncoder(Encoder):
    """Reads tokens; `embedding` is theirs, (N, E)."""

    embedding: nn.Embedding


class Decoder(nn.Module, abc.ABC):
    """Writes targets; `output` makes logits (.., N) of its features, `target_embedding` is that of the tokens
    it reads.
    """

    target_embedding: nn.Embedding
    output: nn.Linear
    context_feeds_later_steps: bool  # whether what one step reads changes later ones
    supports_half_weights: bool = True  # as an encoder's

    @abc.abstractmethod
    def project_memory(self, memory: Memory) -> Any:
        """What every step reads of B sources: fixed, dim 0 the sentence, never copied for the rows of a beam."""

    @abc.abstractmethod
    def initial_state(self, memory: Memory, width: int = 1) -> Any:
        """The state before the first step, of `width` rows a sentence: a nested tuple that `select`
        understands.
        """

    @abc.abstractmethod
    def step(self, token_R: Tensor, state: Any, source: Any, weights: bool = True) -> tuple[Output, Any]:
        """One token a row on: logits (R, N), and weights (R, L, H, S) where there is attention and they
        are asked for. Row r belongs to sentence r // width.
        """

    @abc.abstractmethod
    def hidden_states(self, tokens_BT: Tensor, memory: Memory, weights: bool = False) -> Features:
        """Teacher forcing: what the output layer reads after each of the tokens; attention weights (B, T, L, H,
        S) when asked for.
        """

    def forward(self, tokens_BT: Tensor, memory: Memory, weights: bool = False) -> Output:
        """Teacher forcing: logits (B, T, N) after each of the tokens, and weights (B, T, L, H, S) when
        asked for.
        """
        found = self.hidden_states(tokens_BT, memory, weights)
        return Output(self.output(found.features_BTD), found.weights_BTLHS)
