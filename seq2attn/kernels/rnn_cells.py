"""The pointwise half of a step of an LSTM and of a GRU. Each is one autograd function with its own
derivative.

A loop of plain operations would put a dozen nodes on the graph at each step. The results are those of
`torch.nn.LSTMCell` and `torch.nn.GRUCell`; `tests/models/test_cells.py` holds both to the papers' equations
and to numerical gradients.
"""

from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def lstm(from_input: Tensor, from_hidden: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The next h and c of the gates' two parts, each (R, 4H) with i, f, g, o side by side, and of c (R, H)
    (Hochreiter and Schmidhuber 1997, with the forget gate of Gers 2000).

        c' = sigmoid(f) c + sigmoid(i) tanh(g)        h' = sigmoid(o) tanh(c')

    c is a sum over all steps: it is in float32 or wider, whatever the gates are in.
    """
    c = c.to(torch.promote_types(c.dtype, torch.float32))
    return cast(tuple[Tensor, Tensor], _LSTM.apply(from_input, from_hidden, c))


def gru(from_input: Tensor, from_hidden: Tensor, h: Tensor) -> Tensor:
    """The next h of the gates' two parts, each (R, 3H) with r, z, n side by side, and of h (R, H) (Cho 2014,
    in torch's form).

    n' = tanh(n_input + sigmoid(r) n_hidden)        h' = n' + sigmoid(z) (h - n')
    """
    return cast(Tensor, _GRU.apply(from_input, from_hidden, h))


class _LSTM(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, from_input: Tensor, from_hidden: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        size = c.size(-1)
        gates = from_input + from_hidden
        gates[:, : 2 * size].sigmoid_()
        gates[:, 2 * size : 3 * size].tanh_()
        gates[:, 3 * size :].sigmoid_()
        i, f, g, o = gates.chunk(4, -1)
        c_next = f * c + i * g
        tanh_c = c_next.tanh()
        ctx.save_for_backward(gates, c, tanh_c)
        ctx.dtypes = from_input.dtype, from_hidden.dtype
        return o * tanh_c, c_next

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor, grad_c: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gates, c, tanh_c = ctx.saved_tensors
        i, f, g, o = gates.chunk(4, -1)
        grad_c = torch.ops.aten.tanh_backward(grad_h * o, tanh_c) + grad_c
        grad = torch.cat([grad_c * g, grad_c * c, grad_c * i, grad_h * tanh_c], -1)
        size = c.size(-1)
        sigmoids, tanhs = torch.ops.aten.sigmoid_backward.grad_input, torch.ops.aten.tanh_backward.grad_input
        grad = grad.to(gates.dtype)
        for part, slope in (
            (slice(0, 2 * size), sigmoids),
            (slice(2 * size, 3 * size), tanhs),
            (slice(3 * size, None), sigmoids),
        ):
            slope(grad[:, part], gates[:, part], grad_input=grad[:, part])
        return grad.to(ctx.dtypes[0]), grad.to(ctx.dtypes[1]), grad_c * f


class _GRU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, from_input: Tensor, from_hidden: Tensor, h: Tensor) -> Tensor:
        size = h.size(-1)
        rz = (from_input[:, : 2 * size] + from_hidden[:, : 2 * size]).sigmoid_()
        r, z = rz.chunk(2, -1)
        hidden_n = from_hidden[:, 2 * size :]
        n = torch.addcmul(from_input[:, 2 * size :], r, hidden_n).tanh_()
        ctx.save_for_backward(rz, n, hidden_n, h)
        ctx.dtypes = from_input.dtype, from_hidden.dtype
        return n + z * (h - n)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rz, n, hidden_n, h = ctx.saved_tensors
        r, z = rz.chunk(2, -1)
        grad_n = torch.ops.aten.tanh_backward((grad_h - grad_h * z).to(n.dtype), n)
        grad_rz = torch.ops.aten.sigmoid_backward(
            torch.cat([grad_n * hidden_n, grad_h * (h - n)], -1).to(rz.dtype), rz
        )
        from_input, from_hidden = torch.cat([grad_rz, grad_n], -1), torch.cat([grad_rz, grad_n * r], -1)
        return from_input.to(ctx.dtypes[0]), from_hidden.to(ctx.dtypes[1]), grad_h * z
