"""The recurrent decoder: every recipe of Sutskever 2014, Cho 2014, Bahdanau 2015 and Luong 2015 is a choice
of settings.

At step i, with the last token's embedding e_i = E y_{i-1}:

    c_i  = the context: attention over the memory, with the query s_{i-1} ("previous") or s_i ("current");
           or the fixed summary; or nothing
    s_i  = cell([e_i; context, where it goes to the input; r_{i-1}, with input feeding], s_{i-1}),
           layer by layer
    r_i  = readout of s_i, and of c_i and e_i where they go there
    y_i  ~ softmax(W_o r_i + b_o)

The cell's input takes c_i where the query is s_{i-1}, because that query is known before the step. Where the
query is s_i, it takes c_{i-1}. Training loops over the steps only in recipes in which a step needs the
context of an earlier one. In the others the cells run over all steps, and then the contexts are computed.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from seq2attn.attention import Attention, AttentionOutput, History, Weights
from seq2attn.attention.attention import ProjectedMemory
from seq2attn.config import RNNDecoderConfig
from seq2attn.config.sizes import SharedSettings
from seq2attn.copying.pointer import SourceTokens
from seq2attn.kernels.deferred_gradients import Linear, unrolled
from seq2attn.kernels.dropout import dropout
from seq2attn.models.interfaces import Decoder
from seq2attn.models.layers.cells import CELLS, Cell, CellState
from seq2attn.models.layers.stack import Stack
from seq2attn.models.memory import DecoderOutput, HiddenStates, Memory, mean_over, present, stack_present
from seq2attn.models.state import select

# the result of T steps: states (B, T, H), readouts (B, T, D) with input feeding, and the attention's output
Steps = tuple[Tensor, Tensor | None, AttentionOutput]


class RNNSource(NamedTuple):
    """What every step reads of the sources; dim 0 is the sentence."""

    projected: ProjectedMemory | None  # None without attention
    summary_BV: Tensor
    tokens: SourceTokens | None  # their tokens, if the decoder copies them


class RNNState(NamedTuple):
    """What one step leaves to the next, of R rows."""

    layers: tuple[CellState, ...]
    context: Tensor | None  # (R, V): c_i, if the next step's cell takes it
    readout: Tensor | None  # (R, D), with input feeding
    history: History


class RNNDecoder(Decoder):
    supports_half_weights = False  # a cell sums over all steps

    def __init__(self, config: RNNDecoderConfig, shared: SharedSettings, vocabulary: int) -> None:
        """If `shared.tied`, the matrix of the output layer is the target embedding."""
        super().__init__()
        self.config, self.query_input, self.dropout = config, shared.attention.query_input, shared.dropout
        embedding, size, tied, values = shared.embedding, config.size, shared.tied, shared.sizes.values
        attends = config.context_source == "attention"
        context_size = 0 if config.context_source == "none" else values
        self.gate = self.readout = self.bridge = None
        self.target_embedding = nn.Embedding(vocabulary, embedding)
        self.attention = Attention(shared.attention, *shared.sizes) if attends else None
        if config.gate == "scalar":
            self.gate = Linear(size, 1)
        elif config.gate == "context":
            self.gate = Linear(embedding + size + values, values)

        inputs = size + (embedding if config.readout_embedding else 0)
        inputs += context_size if "readout" in config.context_to else 0
        self.readout_size = config.readout_size or (inputs if config.readout == "linear" else size)
        if config.readout != "linear" or config.readout_size:
            self.readout = Linear(inputs, self.readout_size * (2 if config.readout == "maxout" else 1))

        feedback = context_size if "input" in config.context_to else 0
        feedback += self.readout_size if config.input_feeding else 0
        upper = context_size if "layer" in config.context_to else 0
        cell = CELLS[config.cell]
        upper_cells = [cell(size, size, upper) for _ in range(config.layers - 1)]
        self.cells = Stack[Cell]([cell(embedding, size, feedback), *upper_cells])

        if config.bridge in ("linear", "mean"):
            bridge_inputs = values if config.bridge == "mean" else shared.states
            vectors = config.layers * self.cells.first.vectors
            self.bridge = Stack[nn.Linear](nn.Linear(bridge_inputs, size) for _ in range(vectors))
        projects = tied and self.readout_size != embedding
        self.output_proj = nn.Linear(self.readout_size, embedding, bias=False) if projects else None
        self.output = self.output_layer(embedding if tied else self.readout_size, vocabulary, tied)

        self.query_is_previous = config.query_state == "previous"
        self.context_recurs = attends and not {"input", "layer"}.isdisjoint(config.context_to)
        needs_history = self.attention is not None and self.attention.needs_history
        self.context_feeds_later_steps = self.context_recurs or config.input_feeding or needs_history

    def project_memory(self, memory: Memory) -> RNNSource:
        projected = None
        if self.attention is not None:
            projected = self.attention.project_memory(memory.keys_BSK, memory.values_BSV, memory.mask_BS)
        return RNNSource(projected, memory.summary_BV, self.source_tokens(memory.source_BS))

    def initial_state(self, memory: Memory, width: int = 1) -> RNNState:
        values = memory.values_BSV
        sentence_R = torch.arange(len(values), device=values.device).repeat_interleave(width)
        layers, rows = select(self._initial_cells(memory), sentence_R), len(sentence_R)
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
        e_RE = self._drop(self.target_embedding(token_R))
        gates = self.cells.first.input_to_gates(e_RE)
        output, state = self._step(e_RE, gates, state, source)
        readout = state.readout
        if readout is None:
            readout = self._readout(state.layers[-1].h, output.context, e_RE)
        weights_RLHS = output.weights[:, None] if weights and output.weights is not None else None
        readout = self._before_output(readout)
        copies = self.copies(readout, token_R, output.weights, source.tokens)
        return DecoderOutput(self.logits(readout, copies), weights_RLHS), state

    def hidden_states(self, tokens_BT: Tensor, memory: Memory, weights: Weights = False) -> HiddenStates:
        run = self._unroll if self.context_feeds_later_steps else self._parallel
        e_BTE = self._drop(self.target_embedding(tokens_BT))
        source, state = self.project_memory(memory), self.initial_state(memory)
        s_BTH, readout_BTD, output = run(e_BTE, source, state)
        if readout_BTD is None:
            readout_BTD = self._readout(s_BTH, output.context, e_BTE)
        readout_BTD = self._before_output(readout_BTD)
        copies = self.copies(readout_BTD, tokens_BT, output.weights, source.tokens)
        return HiddenStates.of_layers(readout_BTD, [output], weights)._replace(copies=copies)

    def _unroll(self, e_BTE: Tensor, source: RNNSource, state: RNNState) -> Steps:
        """One step after another, for a decoder whose steps need the context of an earlier one."""
        steps = []
        gates_BTG = self.cells.first.input_to_gates(e_BTE)
        with unrolled():
            for e_BE, gates in zip(e_BTE.unbind(1), gates_BTG.unbind(1), strict=True):
                output, state = self._step(e_BE, gates, state, source)
                steps.append((state.layers[-1].h, state.readout, *output))
        s_BTH, readout_BTD, *outputs = (stack_present(parts, 1) for parts in zip(*steps, strict=True))
        return cast(Tensor, s_BTH), readout_BTD, AttentionOutput(*outputs)

    def _parallel(self, e_BTE: Tensor, source: RNNSource, state: RNNState) -> Steps:
        """All states, then all contexts, for a decoder whose steps need no context of an earlier one."""
        x = e_BTE
        summary = source.summary_BV if self.config.context_source == "summary" else None
        for index, (cell, start) in enumerate(zip(self.cells, state.layers, strict=True)):
            x = cell.run(self._drop(x) if index else x, None if cell.feedback is None else summary, start)
        query = x
        if self.query_is_previous:
            query = torch.cat([state.layers[-1].h[:, None].to(x.dtype), x[:, :-1]], 1)
        history = None if state.history is None else state.history.for_all_steps(x.size(1))
        return x, None, self._attend(query, e_BTE, source, history)

    def _step(
        self, e_RE: Tensor, gates: Tensor, state: RNNState, source: RNNSource
    ) -> tuple[AttentionOutput, RNNState]:
        """One step. `gates` is the part of the first layer's gates that comes from the embedding."""
        config = self.config
        output = AttentionOutput(state.context)  # the cells read c_{i-1}, or c_i if its query is s_{i-1}
        if self.query_is_previous or self.attention is None:
            output = self._attend_rows(state.layers[-1].h, e_RE, source, state.history)
        feedback = present((output.context if "input" in config.context_to else None, state.readout))
        lowest, *upper = self.cells
        layers = [lowest.step(gates, torch.cat(feedback, -1) if feedback else None, state.layers[0])]
        context = output.context if "layer" in config.context_to else None
        for cell, last in zip(upper, state.layers[1:], strict=True):
            layers.append(cell.step(cell.input_to_gates(self._drop(layers[-1].h)), context, last))
        readout = history = None
        if self.attention is not None:
            if not self.query_is_previous:
                output = self._attend_rows(layers[-1].h, e_RE, source, state.history)
            history = self.attention.update_history(state.history, output.weights)
        if config.input_feeding:
            readout = self._readout(layers[-1].h, output.context, e_RE)
        context = output.context if state.context is not None else None
        return output, RNNState(tuple(layers), context, readout, history)

    def _attend_rows(
        self, s_RH: Tensor, e_RE: Tensor, source: RNNSource, history: History
    ) -> AttentionOutput:
        """Each row of a beam is one more query: the rows of a sentence read the same keys and values."""
        sentences = len(source.summary_BV)
        s_BWH, e_BWE = (x.unflatten(0, (sentences, -1)) for x in (s_RH, e_RE))
        history = None if history is None else history.by_sentence(sentences)
        output = self._attend(s_BWH, e_BWE, source, history)
        return AttentionOutput(*(None if part is None else part.flatten(0, 1) for part in output))

    def _attend(self, s_BTH: Tensor, e_BTE: Tensor, source: RNNSource, history: History) -> AttentionOutput:
        """The contexts of T states of each sentence, each with the embedding of its step."""
        if self.attention is None or source.projected is None:
            summary = source.summary_BV[:, None].expand(-1, s_BTH.size(1), -1)
            return AttentionOutput(summary if self.config.context_source == "summary" else None)
        query_BTQ = e_BTE if self.query_input == "embedding" else s_BTH
        if self.query_input == "both":
            query_BTQ = torch.cat([e_BTE, s_BTH], -1)
        output: AttentionOutput = self.attention(query_BTQ, source.projected, history)
        if self.gate is None:
            return output
        context = cast(Tensor, output.context)
        scalar = self.config.gate == "scalar"
        logit = self.gate(s_BTH if scalar else torch.cat([e_BTE, s_BTH, context], -1))
        # Of one number a row, torch computes the sigmoid of some rows in vectors and of the rest one by one,
        # with another last digit. Expanded, a sentence's result does not depend on the size of its batch.
        if not torch.is_grad_enabled():
            logit = logit.expand_as(context)
        return output._replace(context=logit.sigmoid() * context)

    def _readout(self, state: Tensor, context: Tensor | None, embedded: Tensor) -> Tensor:
        """r of states s, contexts c and embeddings e, each (..., any)."""
        context = context if "readout" in self.config.context_to else None
        x = torch.cat(present((state, context, embedded if self.config.readout_embedding else None)), -1)
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

    def _drop(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)

    def _before_output(self, readout: Tensor) -> Tensor:
        """The output layer's input: the readout, projected to a tied embedding's size if it differs."""
        readout = self._drop(readout)
        return readout if self.output_proj is None else self.output_proj(readout)
