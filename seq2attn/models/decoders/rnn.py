"""The recurrent decoder: every recipe of Sutskever 2014, Cho 2014, Bahdanau 2015 and Luong 2015 is a choice of settings.

At step i, with the last token's embedding e_i = E y_{i-1}:

    c_i  = what is read: attention over the memory, asked with s_{i-1} ("previous") or s_i ("current"); the fixed summary; or nothing
    s_i  = cell([e_i; context where it goes to the input; r_{i-1} with input feeding], s_{i-1}), layer by layer
    r_i  = readout of s_i, and of c_i and e_i where they go there
    y_i  ~ softmax(W_o r_i + b_o)

The context at the cell's input is c_i when the query is s_{i-1}, which is known before the step, and c_{i-1} when it is s_i.
Only recipes whose recurrence needs the last step's context or readout loop over the steps; the others run the recurrence at once.
"""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.attention import read, score_named, softmax
from seq2attn.attention.unrolled import Linear, unrolled
from seq2attn.config import Attention as AttentionSettings
from seq2attn.config import RNNDecoder as Settings
from seq2attn.models.cells import Cell, CellState
from seq2attn.models.memory import Memory, Output


class Source(NamedTuple):
    """What every step reads and none changes; dim 0 is the sentence."""

    keys: Tensor | None  # (B, S, any), None without attention
    values_BSV: Tensor
    mask_BS: Tensor
    summary_BV: Tensor


class State(NamedTuple):
    """What one step leaves to the next; dim 0 is the row."""

    layers: tuple[CellState, ...]
    context: Tensor | None  # (R, V), where the next step's cell takes it
    readout: Tensor | None  # (R, D), with input feeding


class RNNDecoder(nn.Module):
    def __init__(self, settings: Settings, attention: AttentionSettings, vocabulary: int, embedding: int, memory: int, dropout: float, tied: bool) -> None:
        """`memory` is the size of the encoder's states; `tied` makes the output matrix the target embedding."""
        super().__init__()
        self.settings = settings
        self.dropout = dropout
        size, read_size = settings.size, 0 if settings.reads == "nothing" else memory
        self.target_embedding = nn.Embedding(vocabulary, embedding)
        self.score = score_named(attention.score, size, memory, attention.size or size) if settings.reads == "attention" else None

        seen = size + (read_size if "readout" in settings.context else 0) + (embedding if settings.readout_embedding else 0)
        direct = settings.readout == "linear" and settings.readout_size is None
        self.readout_size = seen if direct else settings.readout_size or size
        self.readout = None if direct else Linear(seen, self.readout_size * (2 if settings.readout == "maxout" else 1))

        fed_first = (read_size if "input" in settings.context else 0) + (self.readout_size if settings.input_feeding else 0)
        fed_later = read_size if "layer" in settings.context else 0
        self.cells = nn.ModuleList(Cell(settings.cell, size if n else embedding, size, fed_later if n else fed_first) for n in range(settings.layers))

        parts = 2 if settings.cell == "lstm" else 1
        bridged = settings.bridge in ("linear", "mean")
        self.bridge = nn.ModuleList(nn.Linear(memory, size) for _ in range(settings.layers * parts)) if bridged else None
        self.down = nn.Linear(self.readout_size, embedding, bias=False) if tied and self.readout_size != embedding else None
        self.output = nn.Linear(embedding if tied else self.readout_size, vocabulary)
        if tied:
            self.output.weight = self.target_embedding.weight

        self.previous = settings.query == "previous"
        self.context_recurs = settings.reads == "attention" and bool({"input", "layer"} & set(settings.context))
        self.loops = self.context_recurs or settings.input_feeding

    def source(self, memory: Memory) -> Source:
        return Source(None if self.score is None else self.score.keys(memory.keys_BSK), memory.values_BSV, memory.mask_BS, memory.summary_BV)

    def start(self, memory: Memory, width: int = 1) -> State:
        """The state before the first step, of `width` rows a sentence."""
        layers = tuple(CellState(*(part.repeat_interleave(width, 0) for part in layer if part is not None)) for layer in self._first(memory))
        summary = memory.summary_BV.repeat_interleave(width, 0)
        context = torch.zeros_like(summary) if self.context_recurs and not self.previous else None
        return State(layers, context, summary.new_zeros(len(summary), self.readout_size) if self.settings.input_feeding else None)

    def step(self, token_R: Tensor, state: State, source: Source) -> tuple[Output, State]:
        """One token a row on: logits (R, N), weights (R, S) where there is attention. Row r belongs to sentence r // (R / B)."""
        embedded = self._embed(token_R)
        context, weights, readout, state = self._advance(embedded, self._stack()[0].input(embedded), state, source)
        if readout is None:
            readout = self._readout(state.layers[-1].h, context, embedded)
        return Output(self.output(self._before_output(readout)), weights), state

    def forward(self, tokens_BT: Tensor, memory: Memory, weights: bool = False) -> Output:
        """Teacher forcing: logits (B, T, N) after each of the tokens, and weights (B, T, S) when asked for."""
        features, read_weights = self.features(tokens_BT, memory, weights)
        return Output(self.output(features), read_weights)

    def features(self, tokens_BT: Tensor, memory: Memory, weights: bool = False) -> tuple[Tensor, Tensor | None]:
        """What the output layer reads (B, T, D) after each of the tokens; and weights (B, T, S) when asked for."""
        embedded_BTE = self._embed(tokens_BT)
        walk = self._loop if self.loops else self._at_once
        readout_BTD, weights_BTS = walk(embedded_BTE, self.source(memory), self.start(memory))
        return self._before_output(readout_BTD), weights_BTS if weights else None

    def _loop(self, embedded_BTE: Tensor, source: Source, state: State) -> tuple[Tensor, Tensor | None]:
        states, contexts, weights, readouts = [], [], [], []
        with unrolled():
            for embedded, gates in zip(embedded_BTE.unbind(1), self._stack()[0].input(embedded_BTE).unbind(1), strict=True):
                context, weight, readout, state = self._advance(embedded, gates, state, source)
                states.append(state.layers[-1].h)
                contexts.append(context)
                weights.append(weight)
                readouts.append(readout)
        weights_BTS = None if weights[0] is None else torch.stack(weights, 1)  # type: ignore[arg-type]
        if readouts[0] is not None:
            return torch.stack(readouts, 1), weights_BTS  # type: ignore[arg-type]
        context_BTV = None if contexts[0] is None else torch.stack(contexts, 1)  # type: ignore[arg-type]
        return self._readout(torch.stack(states, 1), context_BTV, embedded_BTE), weights_BTS

    def _at_once(self, embedded_BTE: Tensor, source: Source, state: State) -> tuple[Tensor, Tensor | None]:
        """Where no cell waits for a context: all the states, then all the contexts, then all the readouts."""
        x = embedded_BTE
        fixed = source.summary_BV if self.settings.reads == "summary" else None
        first = state.layers[-1].h
        for number, (cell, start) in enumerate(zip(self._stack(), state.layers, strict=True)):
            x = cell.run(self._between(x) if number else x, fixed if cell.fed is not None else None, start)
        query = torch.cat([first[:, None].to(x.dtype), x[:, :-1]], 1) if self.previous else x
        context, weights = self._read(query, source)
        return self._readout(x, context, embedded_BTE), weights

    def _advance(self, embedded: Tensor, gates: Tensor, state: State, source: Source) -> tuple[Tensor | None, Tensor | None, Tensor | None, State]:
        """One step from the embedding's part of the first layer's gates: context, weights, the readout where it is fed back, the next state."""
        settings = self.settings
        context, weights = state.context, None
        if self.previous or settings.reads != "attention":
            context, weights = self._read_rows(state.layers[-1].h, source)
        fed = [part for part, goes in ((context, "input" in settings.context), (state.readout, settings.input_feeding)) if goes and part is not None]
        lowest, *upper = self._stack()
        layers = [lowest.step(gates, torch.cat(fed, -1) if fed else None, state.layers[0])]
        for cell, before in zip(upper, state.layers[1:], strict=True):
            layers.append(cell.step(cell.input(self._between(layers[-1].h)), context if "layer" in settings.context else None, before))
        if not self.previous and settings.reads == "attention":
            context, weights = self._read_rows(layers[-1].h, source)
        readout = self._readout(layers[-1].h, context, embedded) if settings.input_feeding else None
        kept = context if state.context is not None else None
        return context, weights, readout, State(tuple(layers), kept, readout)

    def _read_rows(self, query_RQ: Tensor, source: Source) -> tuple[Tensor | None, Tensor | None]:
        """A beam is one more query: the rows of a sentence read the same keys and values."""
        context, weights = self._read(query_RQ.unflatten(0, (len(source.mask_BS), -1)), source)
        return None if context is None else context.flatten(0, 1), None if weights is None else weights.flatten(0, 1)

    def _read(self, query_BTQ: Tensor, source: Source) -> tuple[Tensor | None, Tensor | None]:
        if self.score is not None and source.keys is not None:
            return read(query_BTQ, source.keys, source.values_BSV, source.mask_BS, self.score, softmax)
        if self.settings.reads == "summary":
            return source.summary_BV[:, None].expand(-1, query_BTQ.size(1), -1), None
        return None, None

    def _readout(self, state: Tensor, context: Tensor | None, embedded: Tensor) -> Tensor:
        parts = [state]
        if context is not None and "readout" in self.settings.context:
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
            real = memory.mask_BS[..., None].to(vector.dtype)
            vector = (memory.values_BSV * real).sum(1) / real.sum(1)
        parts = [layer(vector).tanh() for layer in self.bridge]
        if settings.cell == "lstm":
            return tuple(CellState(h, c) for h, c in zip(parts[::2], parts[1::2], strict=True))
        return tuple(CellState(h) for h in parts)

    def _fit(self, state: CellState, like: Tensor) -> CellState:
        """An encoder's state for a decoder of another kind of cell: a missing c starts at zero, one too many is left."""
        if self.settings.cell != "lstm":
            return CellState(state.h)
        return state if state.c is not None else CellState(state.h, torch.zeros_like(like))

    def _stack(self) -> list[Cell]:
        return cast(list[Cell], list(self.cells))

    def _embed(self, tokens: Tensor) -> Tensor:
        return F.dropout(self.target_embedding(tokens), self.dropout, self.training)

    def _between(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)

    def _before_output(self, readout: Tensor) -> Tensor:
        readout = F.dropout(readout, self.dropout, self.training)
        return readout if self.down is None else self.down(readout)
