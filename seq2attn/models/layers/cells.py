"""Recurrent cells: tanh RNN, GRU and LSTM with torch's gates, one step at a time or all steps at once.

The part of the gates that comes from the input does not depend on earlier steps, so that one product computes
it for all steps. The pointwise half of a step is in `kernels.rnn_cells`.
"""

import abc
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seq2attn.config import Cell as Kind
from seq2attn.kernels import rnn_cells
from seq2attn.kernels.deferred_gradients import Linear, unrolled
from seq2attn.kernels.fused_rnn import fused_rnn


class CellState(NamedTuple):
    h: Tensor  # (R, H)
    c: Tensor | None = None  # (R, H), LSTM only


class Cell(nn.Module, abc.ABC):
    """One recurrent layer of `size` units. A step reads an input of `input_size` numbers and what the decoder
    feeds back, `feedback_size` numbers (0: nothing).
    """

    gates: int  # gates of a unit
    vectors = 1  # of a state: h, or h and c

    def __init__(self, input_size: int, size: int, feedback_size: int = 0) -> None:
        super().__init__()
        self.size = size
        self.input_to_gates = Linear(input_size, self.gates * size)
        self.feedback = Linear(feedback_size, self.gates * size, bias=False) if feedback_size else None
        self.hidden_to_gates = Linear(size, self.gates * size)

    def draw_parameters(self, init: str) -> None:
        """The recurrent matrix of each gate is orthogonal, except with "uniform" (Bahdanau 2015, appendix
        B.1).
        """
        if init != "uniform":
            for gate in self.hidden_to_gates.weight.split(self.size):
                nn.init.orthogonal_(gate)

    def zero(self, rows: int, like: Tensor) -> CellState:
        return CellState(*[like.new_zeros(rows, self.size)] * self.vectors)

    def convert(self, state: CellState) -> CellState:
        """The state of another kind of cell as a state of this kind."""
        return CellState(state.h)

    @abc.abstractmethod
    def update(self, from_input: Tensor, from_hidden: Tensor, state: CellState) -> CellState:
        """The pointwise half of a step: the next state from the gates' parts, each (R, G), of input and
        hidden state.
        """

    def step(self, gates: Tensor, feedback: Tensor | None, state: CellState) -> CellState:
        """One step. `gates` is `input_to_gates(x)`, (R, G); `feedback` is what the decoder feeds back."""
        if self.feedback is not None and feedback is not None:
            gates = gates + self.feedback(feedback)
        return self.update(gates, self.hidden_to_gates(state.h), state)

    def steps(self, x_BTI: Tensor, feedback_BF: Tensor | None, state: CellState) -> CellState:
        """The states after each of T inputs: h, and c of an LSTM, (B, T, H). Each step reads the same
        feedback (B, F).
        """
        gates_BTG = self.input_to_gates(x_BTI)
        if self.feedback is not None and feedback_BF is not None:
            gates_BTG = gates_BTG + self.feedback(feedback_BF)[:, None]
        states = []
        with unrolled():
            for gates_BG in gates_BTG.unbind(1):
                state = self.step(gates_BG, None, state)
                states.append(state)
        cells = [state.c for state in states if state.c is not None]
        h_BTH = torch.stack([state.h for state in states], 1)
        return CellState(h_BTH, torch.stack(cells, 1) if cells else None)

    def run(self, x_BTI: Tensor, feedback_BF: Tensor | None, state: CellState) -> Tensor:
        """The h (B, T, H) of `steps`, by torch's call if it has one: on a CPU it has one of an LSTM alone."""
        if not (x_BTI.is_cuda or self.vectors == 2):
            return self.steps(x_BTI, feedback_BF, state).h
        weight, *others = self.weights
        if self.feedback is not None and feedback_BF is not None:
            fed_BTF = feedback_BF[:, None].expand(-1, x_BTI.size(1), -1)
            x_BTI = torch.cat([x_BTI, fed_BTF.to(x_BTI.dtype)], -1)
            weight = torch.cat([weight, self.feedback.weight], 1)
        first = [part[None] for part in state if part is not None]
        return fused_rnn(x_BTI, first, [(weight, *others)], self.training)[0]

    @property
    def weights(self) -> tuple[Tensor, ...]:
        """Input and hidden state to gates, and their biases."""
        own, hidden = self.input_to_gates, self.hidden_to_gates
        return own.weight, hidden.weight, own.bias, hidden.bias


class RNNCell(Cell):
    """h' = tanh(W x + U h + b)."""

    gates = 1

    def update(self, from_input: Tensor, from_hidden: Tensor, state: CellState) -> CellState:
        return CellState((from_input + from_hidden).tanh())


class GRUCell(Cell):
    """Gates r, z, n (Cho 2014, in torch's form)."""

    gates = 3

    def update(self, from_input: Tensor, from_hidden: Tensor, state: CellState) -> CellState:
        return CellState(rnn_cells.gru(from_input, from_hidden, state.h))


class LSTMCell(Cell):
    """Gates i, f, g, o (Hochreiter and Schmidhuber 1997; Gers 2000)."""

    gates, vectors = 4, 2

    def draw_parameters(self, init: str) -> None:
        """The bias of the forget gate is 1 too, so that the cell remembers at first (Gers 2000)."""
        super().draw_parameters(init)
        if init != "uniform":
            self.input_to_gates.bias[self.size : 2 * self.size] = 1.0

    def convert(self, state: CellState) -> CellState:
        """Where the other cell has no c, c is 0."""
        return state if state.c is not None else CellState(state.h, torch.zeros_like(state.h))

    def update(self, from_input: Tensor, from_hidden: Tensor, state: CellState) -> CellState:
        assert state.c is not None
        return CellState(*rnn_cells.lstm(from_input, from_hidden, state.c))


CELLS: dict[Kind, type[Cell]] = {"rnn": RNNCell, "gru": GRUCell, "lstm": LSTMCell}
