"""What the convolutional and the Transformer decoder have in common: they compute T tokens at once, and each
layer has an attention to the source.

The same layers serve training, where the queries are the T tokens of a sentence, and search, where they are
the last tokens of its W rows.
"""

import abc
from collections.abc import Sequence
from typing import Any, NamedTuple, cast

from torch import Tensor

from seq2attn.attention import Attention, AttentionOutput, History, OneLayer, Weights
from seq2attn.attention.attention import ProjectedMemory
from seq2attn.copying.pointer import SourceTokens
from seq2attn.models.interfaces import Decoder
from seq2attn.models.memory import DecoderOutput, HiddenStates, Memory, stack_weights


class ParallelSource(NamedTuple):
    """What every step reads of the sources."""

    memories: tuple[ProjectedMemory, ...]  # the memory as each layer projects it
    tokens: SourceTokens | None  # the sources' tokens, if the decoder copies them
    constants: Any = None  # what else the decoder computes once per batch


class ParallelState(NamedTuple):
    """What one step leaves to the next, of R rows."""

    past: Any  # what the layers need of earlier tokens; None: there are no earlier tokens
    history: History  # history of the attention to the source


class SourceReader:
    """Gives each layer, in order, its context of the source in one pass, and collects the outputs of the
    attentions.
    """

    def __init__(self, source: ParallelSource, history: History, weights: Weights) -> None:
        self.source, self.history, self.weights = source, history, weights
        self.outputs: list[AttentionOutput] = []

    def contexts(self, attention: Attention, query_BTQ: Tensor) -> Tensor:
        """The contexts (B, T, V) of the next layer, for T queries of each sentence."""
        memory = self.source.memories[len(self.outputs)]
        weights = self.weights in (True, OneLayer(len(self.outputs)))
        copies = self.source.tokens is not None and memory is self.source.memories[-1]
        self.outputs.append(attention(query_BTQ, memory, self.history, weights or copies))
        return cast(Tensor, self.outputs[-1].context)


class ParallelDecoder(Decoder):
    """A decoder of layers that each have an attention to the source."""

    @abc.abstractmethod
    def attentions(self) -> Sequence[Attention]:
        """The attention of each layer to the source."""

    def initial_past(self, memory: Memory, width: int) -> Any:
        """`ParallelState.past` before the first step, where each sentence has `width` rows."""
        return None

    @abc.abstractmethod
    def layers_forward(self, tokens_RT: Tensor, past: Any, reader: SourceReader) -> tuple[Tensor, Any]:
        """T more tokens of each row (R, T): their features, (R, T, D) or (B, W, D), which are in the order of
        the rows, and the past of the next step. Without a past there are no earlier tokens: T is a whole
        sentence, or the first step of a search.
        """

    def project_memory(self, memory: Memory) -> ParallelSource:
        parts = memory.keys_BSK, memory.values_BSV, memory.mask_BS
        memories = tuple(attention.project_memory(*parts) for attention in self.attentions())
        return ParallelSource(memories, self.source_tokens(memory.source_BS))

    def initial_state(self, memory: Memory, width: int = 1) -> ParallelState:
        history = self._initial_history(memory, len(memory.mask_BS) * width)
        return ParallelState(self.initial_past(memory, width), history)

    def step(
        self, token_R: Tensor, state: ParallelState, source: ParallelSource, weights: bool = True
    ) -> tuple[DecoderOutput, ParallelState]:
        sentences = len(source.memories[0].mask_BS)
        history = None if state.history is None else state.history.by_sentence(sentences)
        reader = SourceReader(source, history, weights)
        x, past = self.layers_forward(token_R[:, None], state.past, reader)
        weights_RLHS = cast(Tensor, stack_weights(reader.outputs)).flatten(0, 1) if weights else None
        history = self.attentions()[0].update_history(state.history, None)
        copies = self.copies(x, token_R[:, None], reader.outputs[-1].weights, source.tokens)
        return DecoderOutput(self.logits(x.flatten(0, 1), copies), weights_RLHS), ParallelState(past, history)

    def hidden_states(self, tokens_BT: Tensor, memory: Memory, weights: Weights = False) -> HiddenStates:
        reader = self.reader_of_steps(tokens_BT, memory, weights)
        x_BTD, _ = self.layers_forward(tokens_BT, None, reader)
        copies = self.copies(x_BTD, tokens_BT, reader.outputs[-1].weights, reader.source.tokens)
        return HiddenStates.of_layers(x_BTD, reader.outputs, weights)._replace(copies=copies)

    def reader_of_steps(self, tokens_BT: Tensor, memory: Memory, weights: Weights) -> SourceReader:
        """The reader for all T tokens of each sentence at once."""
        history = self._initial_history(memory, len(tokens_BT))
        history = None if history is None else history.for_all_steps(tokens_BT.size(1))
        return SourceReader(self.project_memory(memory), history, weights)

    def _initial_history(self, memory: Memory, rows: int) -> History:
        # no layer's history holds weights, so that one history serves all layers
        return self.attentions()[0].initial_history(rows, memory.mask_BS, memory.values_BSV, memory.stream_B)
