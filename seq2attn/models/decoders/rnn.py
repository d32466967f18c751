"""The recurrent decoder: every recipe of Sutskever 2014, Cho 2014, Bahdanau 2015 and Luong 2015 is a choice
of settings.

At step i, with the last token's embedding e_i = E y_{i-1}:

    c_i  = what is read: attention over the memory, asked with s_{i-1} ("previous") or s_i ("current"); the
    fixed summary; or nothing
    s_i  = cell([e_i; context where it goes to the input; r_{i-1} with input feeding], s_{i-1}), layer by
    layer
    r_i  = readout of s_i, and of c_i and e_i where they go there
    y_i  ~ softmax(W_o r_i + b_o)

The context at the cell's input is c_i when the query is s_{i-1}, which is known before the step, and c_{i-1}
when it is s_i.
Only recipes in which a step waits for what an earlier one read loop over the steps; the others run the
recurrence at once.
"""

from collections.abc import Iterable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from seq2attn.attention import Attention, AttentionHistory, AttentionOutput
from seq2attn.attention.attention import ProjectedMemory
from seq2attn.config import ModelConfig
from seq2attn.kernels.deferred_gradients import Linear, unrolled
from seq2attn.kernels.dropout import dropout
from seq2attn.models.interfaces import Decoder
from seq2attn.models.layers.cells import Cell, CellState
from seq2attn.models.memory import Features, Memory, Output, mean_over


class Source(NamedTuple):
    """What every step reads and none changes; dim 0 is the sentence."""

    to_compute_dtype: ProjectedMemory | None  # None without attention
    mask_BS: Tensor
    summary_BV: Tensor


class State(NamedTuple):
    """What one step leaves to the next; dim 0 is the row."""

    layers: tuple[CellState, ...]
    context: Tensor | None  # (R, V), where the next step's cell takes it
    readout: Tensor | None  # (R, D), with input feeding
    past: AttentionHistory | None  # what the attention keeps of earlier steps


class RNNDecoder(Decoder):
    supports_half_weights = False  # a cell sums over all steps

    def __init__(self, model: ModelConfig, vocabulary: int) -> None:
        """The decoder of `model.decoder`, over a target vocabulary of this size."""
        super().__init__()
        assert model.decoder.kind == "rnn"
        settings, embedding, size = model.decoder, model.embedding, model.decoder.size
        self.settings = settings
        self.queries = model.attention.query_input
        self.dropout = model.dropout
        attends, tied = settings.context_source == "attention", model.tied != "none"
        values = model.memory_size("values")
        read_size = 0 if settings.context_source == "none" else values
        self.target_embedding = nn.Embedding(vocabulary, embedding)
        self.attention = (
            Attention(
                model.attention, model.query_size, model.memory_size("keys"), values, model.attention_size
            )
            if attends
            else None
        )
        self.gate = {
            "none": lambda: None,
            "scalar": lambda: Linear(size, 1),
            "context": lambda: Linear(embedding + size + values, values),
        }[settings.gate]()

        seen = (
            size
            + (read_size if "readout" in settings.context_to else 0)
            + (embedding if settings.readout_embedding else 0)
        )
        direct = settings.readout == "linear" and settings.readout_size is None
        self.readout_size = seen if direct else settings.readout_size or size
        self.readout = (
            None if direct else Linear(seen, self.readout_size * (2 if settings.readout == "maxout" else 1))
        )

        fed_first = (read_size if "input" in settings.context_to else 0) + (
            self.readout_size if settings.input_feeding else 0
        )
        fed_later = read_size if "layer" in settings.context_to else 0
        self.cells = nn.ModuleList(
            Cell(settings.cell, size if n else embedding, size, fed_later if n else fed_first)
            for n in range(settings.layers)
        )

        parts = 2 if settings.cell == "lstm" else 1
        bridged = {"linear": model.width, "mean": values}.get(settings.bridge)
        self.bridge = (
            nn.ModuleList(nn.Linear(bridged, size) for _ in range(settings.layers * parts))
            if bridged
            else None
        )
        self.down = (
            nn.Linear(self.readout_size, embedding, bias=False)
            if tied and self.readout_size != embedding
            else None
        )
        self.output = nn.Linear(embedding if tied else self.readout_size, vocabulary)
        if tied:
            self.output.weight = self.target_embedding.weight

        self.previous = settings.query_state == "previous"
        self.context_recurs = attends and bool({"input", "layer"} & set(settings.context_to))
        self.context_feeds_later_steps = (
            self.context_recurs
            or settings.input_feeding
            or (self.attention is not None and self.attention.needs_history)
        )

    def project_memory(self, memory: Memory) -> Source:
        to_compute_dtype = (
            None
            if self.attention is None
            else self.attention.project_memory(memory.keys_BSK, memory.values_BSV, memory.mask_BS)
        )
        return Source(to_compute_dtype, memory.mask_BS, memory.summary_BV)

    def initial_state(self, memory: Memory, width: int = 1) -> State:
        """The state before the first step, of `width` rows a sentence."""
        layers = tuple(
            CellState(*(part.repeat_interleave(width, 0) for part in layer if part is not None))
            for layer in self._first(memory)
        )
        values = memory.values_BSV
        rows = len(values) * width
        context = (
            values.new_zeros(rows, values.size(-1)) if self.context_recurs and not self.previous else None
        )
        readout = values.new_zeros(rows, self.readout_size) if self.settings.input_feeding else None
        return State(
            layers,
            context,
            readout,
            None
            if self.attention is None
            else self.attention.initial_history(rows, memory.mask_BS, values, memory.stream_B),
        )

    def step(
        self, token_R: Tensor, state: State, source: Source, weights: bool = True
    ) -> tuple[Output, State]:
        embedded = self._embed(token_R)
        found, readout, state = self._advance(embedded, self._stack()[0].input(embedded), state, source)
        if readout is None:
            readout = self._readout(state.layers[-1].h, found.context, embedded)
        weights_RLHS = found.weights[:, None] if weights and found.weights is not None else None
        return Output(self.output(self._before_output(readout)), weights_RLHS), state

    def hidden_states(self, tokens_BT: Tensor, memory: Memory, weights: bool = False) -> Features:
        embedded_BTE = self._embed(tokens_BT)
        walk = self._loop if self.context_feeds_later_steps else self._at_once
        readout_BTD, found = walk(embedded_BTE, self.project_memory(memory), self.initial_state(memory))
        weights_BTLHS = found.weights[:, :, None] if weights and found.weights is not None else None
        return Features(self._before_output(readout_BTD), weights_BTLHS, found.log_p, found.entropy)

    def _loop(self, embedded_BTE: Tensor, source: Source, state: State) -> tuple[Tensor, AttentionOutput]:
        states, readings, readouts = [], [], []
        with unrolled():
            for embedded, gates in zip(
                embedded_BTE.unbind(1), self._stack()[0].input(embedded_BTE).unbind(1), strict=True
            ):
                reading, readout, state = self._advance(embedded, gates, state, source)
                states.append(state.layers[-1].h)
                readings.append(reading)
                readouts.append(readout)
        found = AttentionOutput(*(_stack_steps(parts) for parts in zip(*readings, strict=True)))
        readout_BTD = _stack_steps(readouts)
        return self._readout(
            torch.stack(states, 1), found.context, embedded_BTE
        ) if readout_BTD is None else readout_BTD, found

    def _at_once(self, embedded_BTE: Tensor, source: Source, state: State) -> tuple[Tensor, AttentionOutput]:
        """Where no step waits for what an earlier one read: all the states, then all the contexts, then all
        the readouts.
        """
        x = embedded_BTE
        fixed = source.summary_BV if self.settings.context_source == "summary" else None
        first = state.layers[-1].h
        for number, (cell, start) in enumerate(zip(self._stack(), state.layers, strict=True)):
            x = cell.run(self._between(x) if number else x, fixed if cell.fed is not None else None, start)
        asking = torch.cat([first[:, None].to(x.dtype), x[:, :-1]], 1) if self.previous else x
        found = self._read(
            asking, embedded_BTE, source, None if state.past is None else state.past.for_all_steps(x.size(1))
        )
        return self._readout(x, found.context, embedded_BTE), found

    def _advance(
        self, embedded: Tensor, gates: Tensor, state: State, source: Source
    ) -> tuple[AttentionOutput, Tensor | None, State]:
        """One step from the embedding's part of the first layer's gates: what it read, the readout where it
        is fed back, the next state.
        """
        settings = self.settings
        found = AttentionOutput(state.context)
        if self.previous or self.attention is None:
            found = self._read_rows(state.layers[-1].h, embedded, source, state.past)
        fed = [
            part
            for part, goes in (
                (found.context, "input" in settings.context_to),
                (state.readout, settings.input_feeding),
            )
            if goes and part is not None
        ]
        lowest, *upper = self._stack()
        layers = [lowest.step(gates, torch.cat(fed, -1) if fed else None, state.layers[0])]
        for cell, before in zip(upper, state.layers[1:], strict=True):
            layers.append(
                cell.step(
                    cell.input(self._between(layers[-1].h)),
                    found.context if "layer" in settings.context_to else None,
                    before,
                )
            )
        if not self.previous and self.attention is not None:
            found = self._read_rows(layers[-1].h, embedded, source, state.past)
        readout = self._readout(layers[-1].h, found.context, embedded) if settings.input_feeding else None
        past = None if self.attention is None else self.attention.update_history(state.past, found.weights)
        return (
            found,
            readout,
            State(tuple(layers), found.context if state.context is not None else None, readout, past),
        )

    def _read_rows(
        self, asking_RQ: Tensor, embedded_RE: Tensor, source: Source, past: AttentionHistory | None
    ) -> AttentionOutput:
        """A beam is one more query: the rows of a sentence read the same keys and values."""
        shape = (len(source.mask_BS), -1)
        found = self._read(
            asking_RQ.unflatten(0, shape),
            embedded_RE.unflatten(0, shape),
            source,
            None if past is None else past.by_sentence(shape[0]),
        )
        return AttentionOutput(*(None if part is None else part.flatten(0, 1) for part in found))

    def _read(
        self, asking_BTH: Tensor, embedded_BTE: Tensor, source: Source, past: AttentionHistory | None
    ) -> AttentionOutput:
        """What the states that ask, each with the embedding of its step, get."""
        if self.attention is None or source.to_compute_dtype is None:
            return AttentionOutput(
                source.summary_BV[:, None].expand(-1, asking_BTH.size(1), -1)
                if self.settings.context_source == "summary"
                else None
            )
        query = {"state": (asking_BTH,), "embedding": (embedded_BTE,), "both": (embedded_BTE, asking_BTH)}[
            self.queries
        ]
        found = self.attention(
            query[0] if len(query) == 1 else torch.cat(query, -1), source.to_compute_dtype, past
        )
        if self.gate is None:
            return cast(AttentionOutput, found)
        context = found.context
        seen = (
            asking_BTH
            if self.settings.gate == "scalar"
            else torch.cat([embedded_BTE, asking_BTH, context], -1)
        )
        opening = self.gate(seen)
        # one number a row, torch's loop would take some of them together and the rest one by one, by how many
        # rows there are
        if not torch.is_grad_enabled():
            opening = opening.expand_as(context)
        return cast(AttentionOutput, found._replace(context=opening.sigmoid() * context))

    def _readout(self, state: Tensor, context: Tensor | None, embedded: Tensor) -> Tensor:
        parts = [state]
        if context is not None and "readout" in self.settings.context_to:
            parts.append(context)
        if self.settings.readout_embedding:
            parts.append(embedded)
        x = torch.cat(parts, -1)
        if self.readout is None:
            return x
        y: Tensor = self.readout(x)
        if self.settings.readout == "tanh":
            return y.tanh()
        return y.unflatten(-1, (-1, 2)).amax(-1) if self.settings.readout == "maxout" else y

    def _first(self, memory: Memory) -> tuple[CellState, ...]:
        settings = self.settings
        if settings.bridge == "last":
            assert memory.final is not None
            like = memory.summary_BV
            return tuple(self._fit(CellState(*parts), like) for parts in memory.final)
        if self.bridge is None:
            return tuple(cell.zero(len(memory.mask_BS), memory.summary_BV) for cell in self._stack())
        vector = memory.summary_BV
        if settings.bridge == "mean":
            vector = mean_over(memory.mask_BS, memory.values_BSV)
        parts = [layer(vector).tanh() for layer in self.bridge]
        if settings.cell == "lstm":
            return tuple(CellState(h, c) for h, c in zip(parts[::2], parts[1::2], strict=True))
        return tuple(CellState(h) for h in parts)

    def _fit(self, state: CellState, like: Tensor) -> CellState:
        """An encoder's state for a decoder of another kind of cell: a missing c starts at zero, one too many
        is left.
        """
        if self.settings.cell != "lstm":
            return CellState(state.h)
        return state if state.c is not None else CellState(state.h, torch.zeros_like(like))

    def _stack(self) -> list[Cell]:
        return cast(list[Cell], list(self.cells))

    def _embed(self, tokens: Tensor) -> Tensor:
        return dropout(self.target_embedding(tokens), self.dropout, self.training)

    def _between(self, x: Tensor) -> Tensor:
        return dropout(x, self.dropout, self.training)

    def _before_output(self, readout: Tensor) -> Tensor:
        readout = dropout(readout, self.dropout, self.training)
        return readout if self.down is None else self.down(readout)


def _stack_steps(parts: Iterable[Tensor | None]) -> Tensor | None:
    """One tensor (B, T, ...) of the steps' (B, ...); None where the steps have none."""
    real = [part for part in parts if part is not None]
    return torch.stack(real, 1) if real else None
