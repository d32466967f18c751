"""Recurrent cells: tanh RNN, GRU and LSTM with torch's gates, one step at a time or all steps in one fused
call.

The gates' input part, which does not wait for the last step, is apart from the recurrent part. The pointwise
half of a step is one
autograd function with its own derivative: a loop of plain operations would put a dozen nodes a step on the
graph.
"""

from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seq2attn.config import Cell as Kind
from seq2attn.kernels.deferred_gradients import Linear, product_dtype, unrolled

GATES: dict[Kind, int] = {"rnn": 1, "gru": 3, "lstm": 4}


class CellState(NamedTuple):
    h: Tensor  # (R, H)
    c: Tensor | None = None  # (R, H), LSTM only


class _LSTM(torch.autograd.Function):
    """Gates i, f, g, o (R, 4H) and c (R, H) -> h, c. (Hochreiter 1997 with forget gates, Gers 2000)"""

    @staticmethod
    def forward(ctx: Any, from_input: Tensor, from_state: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        size = c.size(-1)
        gates = from_input + from_state
        gates[:, : 2 * size].sigmoid_()
        gates[:, 2 * size : 3 * size].tanh_()
        gates[:, 3 * size :].sigmoid_()
        i, f, g, o = gates.chunk(4, -1)
        c_next = f * c + i * g  # autocast's gates are narrow; c stays as wide as it came
        tanh_c = c_next.tanh()
        ctx.save_for_backward(gates, c, tanh_c)
        ctx.dtypes = from_input.dtype, from_state.dtype
        return o * tanh_c, c_next

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor, grad_c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gates, c, tanh_c = ctx.saved_tensors
        i, f, g, o = gates.chunk(4, -1)
        grad_c = torch.ops.aten.tanh_backward(grad_h * o, tanh_c) + grad_c
        grad = torch.cat([grad_c * g, grad_c * c, grad_c * i, grad_h * tanh_c], -1)
        size = c.size(-1)
        sigmoids, tanhs = torch.ops.aten.sigmoid_backward, torch.ops.aten.tanh_backward
        grad = grad.to(gates.dtype)
        for part, slope in (
            (slice(0, 2 * size), sigmoids),
            (slice(2 * size, 3 * size), tanhs),
            (slice(3 * size, None), sigmoids),
        ):
            grad[:, part] = slope(grad[:, part], gates[:, part])
        return grad.to(ctx.dtypes[0]), grad.to(ctx.dtypes[1]), grad_c * f


class _GRU(torch.autograd.Function):
    """r, z, n from the input (R, 3H) and from the state (R, 3H), and h (R, H) -> h. (Cho 2014, in torch's
    form)
    """

    @staticmethod
    def forward(ctx: Any, from_input: Tensor, from_state: Tensor, h: Tensor) -> Tensor:
        size = h.size(-1)
        rz = (from_input[:, : 2 * size] + from_state[:, : 2 * size]).sigmoid_()
        r, z = rz.chunk(2, -1)
        state_n = from_state[:, 2 * size :]
        n = torch.addcmul(from_input[:, 2 * size :], r, state_n).tanh_()
        ctx.save_for_backward(rz, n, state_n, h)
        ctx.dtypes = from_input.dtype, from_state.dtype
        return n + z * (h - n)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rz, n, state_n, h = ctx.saved_tensors
        r, z = rz.chunk(2, -1)
        grad_n = torch.ops.aten.tanh_backward((grad_h - grad_h * z).to(n.dtype), n)
        grad_rz = torch.ops.aten.sigmoid_backward(
            torch.cat([grad_n * state_n, grad_h * (h - n)], -1).to(rz.dtype), rz
        )
        from_input, from_state = torch.cat([grad_rz, grad_n], -1), torch.cat([grad_rz, grad_n * r], -1)
        return from_input.to(ctx.dtypes[0]), from_state.to(ctx.dtypes[1]), grad_h * z


class Cell(nn.Module):
    """One recurrent layer of `size` units over inputs of `input_size`, and, beside them, what the decoder
    feeds back (`fed_size`, 0: nothing).
    """

    def __init__(self, kind: Kind, input_size: int, size: int, fed_size: int = 0) -> None:
        super().__init__()
        self.kind: Kind = kind
        self.size = size
        self.input = Linear(input_size, GATES[kind] * size)
        self.fed = Linear(fed_size, GATES[kind] * size, bias=False) if fed_size else None
        self.state = Linear(size, GATES[kind] * size)

    def zero(self, rows: int, like: Tensor) -> CellState:
        h = like.new_zeros(rows, self.size)
        return CellState(h, h if self.kind == "lstm" else None)

    def step(self, gates: Tensor, fed: Tensor | None, state: CellState) -> CellState:
        """One step from the input's part of the gates, `input(x)` (R, G), and what is fed back (R, fed_size)."""
        if self.fed is not None and fed is not None:
            gates = gates + self.fed(fed)
        from_state = self.state(state.h)
        if self.kind == "lstm":
            return CellState(*cast(tuple[Tensor, Tensor], _LSTM.apply(gates, from_state, state.c)))
        if self.kind == "gru":
            return CellState(cast(Tensor, _GRU.apply(gates, from_state, state.h)))
        return CellState((gates + from_state).tanh())

    def steps(self, x_BTI: Tensor, fed_BF: Tensor | None, state: CellState) -> CellState:
        """Every state of a loop over T inputs: h, and c of an LSTM, (B, T, H). What is fed back is the same
        at each step.
        """
        gates_BTG = self.input(x_BTI)
        if self.fed is not None and fed_BF is not None:
            gates_BTG = gates_BTG + self.fed(fed_BF)[:, None]
        states = []
        with unrolled():
            for gates_BG in gates_BTG.unbind(1):
                state = self.step(gates_BG, None, state)
                states.append(state)
        cells = [state.c for state in states if state.c is not None]
        return CellState(
            torch.stack([state.h for state in states], 1), torch.stack(cells, 1) if cells else None
        )

    def run(self, x_BTI: Tensor, fed_BF: Tensor | None, state: CellState) -> Tensor:
        """The states h (B, T, H) of a loop over T inputs: torch's fused call for an LSTM, `steps` for the
        others, where torch has none on a CPU.
        """
        if self.kind != "lstm":
            return self.steps(x_BTI, fed_BF, state).h
        weight = self.input.weight
        if self.fed is not None and fed_BF is not None:
            x_BTI = torch.cat([x_BTI, fed_BF[:, None].expand(-1, x_BTI.size(1), -1).to(x_BTI.dtype)], -1)
            weight = torch.cat([weight, self.fed.weight], 1)
        dtype = product_dtype(x_BTI)
        first = [part[None].to(dtype) for part in state if part is not None]
        weights = [w.to(dtype) for w in (weight, self.state.weight, self.input.bias, self.state.bias)]
        return torch.lstm(x_BTI.to(dtype), first, weights, True, 1, 0.0, self.training, False, True)[0]
