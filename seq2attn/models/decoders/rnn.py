"""The recurrent decoder: every recipe of Sutskever 2014, Cho 2014, Bahdanau 2015 and Luong 2015 is a choice
of settings.

At step i, with the last token's embedding e_i = E y_{i-1}:

    c_i  = the context: attention over the memory, with the query s_{i-1} ("previous") or s_i ("current");
           or the fixed summary; or nothing
    s_i  = cell([e_i; context, where it goes to the input; r_{i-1}, with input feeding], s_{i-1}),
           layer by layer
    r_i  = readout of s_i, and of c_i and e_i where they go there
    y_i  ~ softmax(W_o r_i + b_o)

The context at the cell's input is c_i where the query is s_{i-1}, which is known before the step, and c_{i-1}
where it is s_i. Only recipes in which a step waits for the context of an earlier one loop over the steps; the
others run the recurrence at once.
"""

from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from seq2attn.attention import Attention, AttentionHistory, AttentionOutput
from seq2attn.attention.attention import ProjectedMemory
from seq2attn.config import AttentionConfig, RNNDecoderConfig
from seq2attn.kernels.deferred_gradients import Linear, unrolled
from seq2attn.kernels.dropout import dropout
from seq2attn.models.interfaces import Decoder, Sizes
from seq2attn.models.layers.cells import CELLS, Cell, CellState
from seq2attn.models.layers.stack import Stack
from seq2attn.models.memory import DecoderOutput, HiddenStates, Memory, mean_over


class RNNSource(NamedTuple):
    """What every step reads; dim 0 is the sentence."""

    projected: ProjectedMemory | None  # None without attention
    mask_BS: Tensor
    summary_BV: Tensor


class RNNState(NamedTuple):
    layers: tuple[CellState, ...]
    context: Tensor | None  # (R, V), where the next step's cell takes it
    readout: Tensor | None  # (R, D), with input feeding
    history: AttentionHistory | None


class RNNDecoder(Decoder):
    supports_half_weights = False  # a cell sums over all steps

    def __init__(
        self,
        config: RNNDecoderConfig,
        attention: AttentionConfig,
        vocabulary: int,
        sizes: Sizes,
        *,
        tied: bool,
        dropout: float,
    ) -> None:
        """With `tied` the output layer's matrix is the target embedding."""
        super().__init__()
        embedding, size, values = sizes.embedding, config.size, sizes.values
        self.config, self.query_input, self.dropout = config, attention.query_input, dropout
        attends = config.context_source == "attention"
        context_size = 0 if config.context_source == "none" else values
        self.target_embedding = nn.Embedding(vocabulary, embedding)
        self.attention = None
        if attends:
            self.attention = Attention(attention, sizes.query, sizes.keys, values, sizes.attention)
        self.gate = None
        if config.gate == "scalar":
            self.gate = Linear(size, 1)
        elif config.gate == "context":
            self.gate = Linear(embedding + size + values, values)

        inputs = size + (embedding if config.readout_embedding else 0)
        inputs += context_size if "readout" in config.context_to else 0
        direct = config.readout == "linear" and config.readout_size is None
        self.readout_size = inputs if direct else config.readout_size or size
        units = self.readout_size * (2 if config.readout == "maxout" else 1)
        self.readout = None if direct else Linear(inputs, units)

        feedback = context_size if "input" in config.context_to else 0
        feedback += self.readout_size if config.input_feeding else 0
        upper = context_size if "layer" in config.context_to else 0
        self.cells = Stack[Cell](
            CELLS[config.cell](size if index else embedding, size, upper if index else feedback)
            for index in range(config.layers)
        )

        bridged = {"linear": sizes.states, "mean": values}.get(config.bridge)
        self.bridge = None
        if bridged:
            vectors = config.layers * self.cells.first.vectors
            self.bridge = Stack[nn.Linear](nn.Linear(bridged, size) for _ in range(vectors))
        self.output_proj = None
        if tied and self.readout_size != embedding:
            self.output_proj = nn.Linear(self.readout_size, embedding, bias=False)
        self.output = nn.Linear(embedding if tied else self.readout_size, vocabulary)
        if tied:
            self.output.weight = self.target_embedding.weight

        self.query_is_previous = config.query_state == "previous"
        self.context_recurs = attends and bool({"input", "layer"} & set(config.context_to))
        needs_history = self.attention is not None and self.attention.needs_history
        self.context_feeds_later_steps = self.context_recurs or config.input_feeding or needs_history

    def project_memory(self, memory: Memory) -> RNNSource:
        projected = None
        if self.attention is not None:
            projected = self.attention.project_memory(memory.keys_BSK, memory.values_BSV, memory.mask_BS)
        return RNNSource(projected, memory.mask_BS, memory.summary_BV)

    def initial_state(self, memory: Memory, width: int = 1) -> RNNState:
        layers = tuple(
            CellState(*(part.repeat_interleave(width, 0) for part in layer if part is not None))
            for layer in self._initial_cells(memory)
        )
        values = memory.values_BSV
        rows = len(values) * width
        context = readout = history = None
        if self.context_recurs and not self.query_is_previous:
            context = values.new_zeros(rows, values.size(-1))
        if self.config.input_feeding:
            readout = values.new_zeros(rows, self.readout_size)
        if self.attention is not None:
            history = self.attention.initial_history(rows, memory.mask_BS, values, memory.stream_B)
        return RNNState(layers, context, readout, history)

    def step(
        self, token_R: Tensor, state: RNNState, source: RNNSource, weights: bool = True
    ) -> tuple[DecoderOutput, RNNState]:
        embedded = self._embed(token_R)
        gates = self.cells.first.input_to_gates(embedded)
        read, readout, state = self._step(embedded, gates, state, source)
        if readout is None:
            readout = self._readout(state.layers[-1].h, read.context, embedded)
        weights_RLHS = read.weights[:, None] if weights and read.weights is not None else None
        return DecoderOutput(self.output(self._before_output(readout)), weights_RLHS), state

    def hidden_states(self, tokens_BT: Tensor, memory: Memory, weights: bool = False) -> HiddenStates:
        run = self._unroll if self.context_feeds_later_steps else self._parallel
        embedded_BTE = self._embed(tokens_BT)
        readout_BTD, read = run(embedded_BTE, self.project_memory(memory), self.initial_state(memory))
        return HiddenStates.of_layers(self._before_output(readout_BTD), [read], weights)

    def _unroll(
        self, embedded_BTE: Tensor, source: RNNSource, state: RNNState
    ) -> tuple[Tensor, AttentionOutput]:
        """Readouts and attention of all steps, step by step."""
        states, outputs, readouts = [], [], []
        gates_BTG = self.cells.first.input_to_gates(embedded_BTE)
        with unrolled():
            for embedded, gates in zip(embedded_BTE.unbind(1), gates_BTG.unbind(1), strict=True):
                output, readout, state = self._step(embedded, gates, state, source)
                states.append(state.layers[-1].h)
                outputs.append(output)
                readouts.append(readout)
        read = AttentionOutput(*(_stack_steps(parts) for parts in zip(*outputs, strict=True)))
        readout_BTD = _stack_steps(readouts)
        if readout_BTD is None:
            readout_BTD = self._readout(torch.stack(states, 1), read.context, embedded_BTE)
        return readout_BTD, read

    def _parallel(
        self, embedded_BTE: Tensor, source: RNNSource, state: RNNState
    ) -> tuple[Tensor, AttentionOutput]:
        """Where no step waits for the context of an earlier one: all states, then all contexts, then all
        readouts.
        """
        x = embedded_BTE
        summary = source.summary_BV if self.config.context_source == "summary" else None
        for index, (cell, start) in enumerate(zip(self.cells, state.layers, strict=True)):
            x = cell.run(self._between(x) if index else x, None if cell.feedback is None else summary, start)
        query = x
        if self.query_is_previous:
            query = torch.cat([state.layers[-1].h[:, None].to(x.dtype), x[:, :-1]], 1)
        history = None if state.history is None else state.history.for_all_steps(x.size(1))
        read = self._attend(query, embedded_BTE, source, history)
        return self._readout(x, read.context, embedded_BTE), read

    def _step(
        self, embedded: Tensor, gates: Tensor, state: RNNState, source: RNNSource
    ) -> tuple[AttentionOutput, Tensor | None, RNNState]:
        """One step from the embedding's part of the first layer's gates: the context, the readout where it is
        fed back, the next state.
        """
        config = self.config
        read = AttentionOutput(state.context)
        if self.query_is_previous or self.attention is None:
            read = self._attend_rows(state.layers[-1].h, embedded, source, state.history)
        feedback = []
        if "input" in config.context_to and read.context is not None:
            feedback.append(read.context)
        if config.input_feeding and state.readout is not None:
            feedback.append(state.readout)
        lowest, *upper = self.cells
        layers = [lowest.step(gates, torch.cat(feedback, -1) if feedback else None, state.layers[0])]
        context = read.context if "layer" in config.context_to else None
        for cell, before in zip(upper, state.layers[1:], strict=True):
            layers.append(cell.step(cell.input_to_gates(self._between(layers[-1].h)), context, before))
        if not self.query_is_previous and self.attention is not None:
            read = self._attend_rows(layers[-1].h, embedded, source, state.history)
        readout = self._readout(layers[-1].h, read.context, embedded) if config.input_feeding else None
        history = None
        if self.attention is not None:
            history = self.attention.update_history(state.history, read.weights)
        context = read.context if state.context is not None else None
        return read, readout, RNNState(tuple(layers), context, readout, history)

    def _attend_rows(
        self, state_RH: Tensor, embedded_RE: Tensor, source: RNNSource, history: AttentionHistory | None
    ) -> AttentionOutput:
        """Each row of a beam is one more query: the rows of a sentence read the same keys and values."""
        sentences = len(source.mask_BS)
        by_sentence = (sentences, -1)
        read = self._attend(
            state_RH.unflatten(0, by_sentence),
            embedded_RE.unflatten(0, by_sentence),
            source,
            None if history is None else history.by_sentence(sentences),
        )
        return AttentionOutput(*(None if part is None else part.flatten(0, 1) for part in read))

    def _attend(
        self, state_BTH: Tensor, embedded_BTE: Tensor, source: RNNSource, history: AttentionHistory | None
    ) -> AttentionOutput:
        """The contexts of T states of each sentence, each with the embedding of its step."""
        if self.attention is None or source.projected is None:
            summary = source.summary_BV[:, None].expand(-1, state_BTH.size(1), -1)
            return AttentionOutput(summary if self.config.context_source == "summary" else None)
        query = {"state": (state_BTH,), "embedding": (embedded_BTE,), "both": (embedded_BTE, state_BTH)}[
            self.query_input
        ]
        query_BTQ = query[0] if len(query) == 1 else torch.cat(query, -1)
        read: AttentionOutput = self.attention(query_BTQ, source.projected, history)
        if self.gate is None:
            return read
        context = cast(Tensor, read.context)
        scalar = self.config.gate == "scalar"
        opening = self.gate(state_BTH if scalar else torch.cat([embedded_BTE, state_BTH, context], -1))
        # one number a row, torch's loop would take some of them together and the rest one by one, by how many
        # rows there are
        if not torch.is_grad_enabled():
            opening = opening.expand_as(context)
        return read._replace(context=opening.sigmoid() * context)

    def _readout(self, state: Tensor, context: Tensor | None, embedded: Tensor) -> Tensor:
        parts = [state]
        if context is not None and "readout" in self.config.context_to:
            parts.append(context)
        if self.config.readout_embedding:
            parts.append(embedded)
        x = torch.cat(parts, -1)
        if self.readout is None:
            return x
        y: Tensor = self.readout(x)
        if self.config.readout == "tanh":
            return y.tanh()
        return y.unflatten(-1, (-1, 2)).amax(-1) if self.config.readout == "maxout" else y

    def _initial_cells(self, memory: Memory) -> tuple[CellState, ...]:
        """The state of each layer before the first step, of each sentence."""
        if self.config.bridge == "last":
            final = cast(tuple[tuple[Tensor, ...], ...], memory.final)
            return tuple(cell.convert(CellState(*one)) for cell, one in zip(self.cells, final, strict=True))
        if self.bridge is None:
            return tuple(cell.zero(len(memory.mask_BS), memory.summary_BV) for cell in self.cells)
        vector = memory.summary_BV
        if self.config.bridge == "mean":
            vector = mean_over(memory.mask_BS, memory.values_BSV)
        vectors = iter([layer(vector).tanh() for layer in self.bridge])
        return tuple(CellState(*(next(vectors) for _ in range(cell.vectors))) for cell in self.cells)

    def _embed(self, tokens: Tensor) -> Tensor:
        return dropout(self.target_embedding(tokens), self.dropout, self.training)

    def _between(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)

    def _before_output(self, readout: Tensor) -> Tensor:
        readout = dropout(readout, self.dropout, self.training)
        return readout if self.output_proj is None else self.output_proj(readout)


def _stack_steps(parts: Iterable[Tensor | None]) -> Tensor | None:
    """One tensor (B, T, ...) of the steps' (B, ...); None where the steps have none."""
    real = [part for part in parts if part is not None]
    return torch.stack(real, 1) if real else None
