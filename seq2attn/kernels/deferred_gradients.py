"""Matrix products of an unrolled loop, whose matrix gradients are taken once, after the loop.

A recurrent decoder multiplies by the same matrices at every step. Autograd forms each step's share of a
matrix gradient by a
thin product and adds it to the last: T writes of the whole matrix, T additions. Inside `with unrolled():` a
product only
notes its input and, on the way back, its output gradient; when the last step's backward is done, one product
over all steps
gives the matrix gradient. The same holds for the matrices of one sentence each, the keys and values that
attention reads.

The result is that of plain autograd up to the order of additions. Outside the context `product` is
`torch.matmul`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Kind = TypeVar("Kind", bound="Shared")


class Shared:
    """A tensor that every step reads, and what its gradient will be made of."""

    def __init__(self, tensor: Tensor) -> None:
        # held so that its memory, which is part of the key it is found by, is not given to another
        self.tensor = tensor

    def ticket(self) -> Tensor:
        """What ties every step to the tensor in the graph. It is not kept here: it would hold itself, and all
        that the loop read, through the graph.
        """
        return cast(Tensor, _Ticket.apply(self.tensor, self))

    def gradient(self) -> Tensor | None:
        """The gradient of all steps together, shaped as the tensor; None when no step came back. Starts
        afresh afterwards.
        """
        raise NotImplementedError


def reaches(ctx: Any, ticket: int) -> bool:
    """Whether this way back comes to the ticket, a step's tensor argument of that number. Where it does not,
    as in the gradient of inputs alone,
    nothing would take what the step leaves for it: the next way back would find it, and count it too."""
    node = ctx.next_functions[ticket][0]
    return node is not None and torch._C._will_engine_execute_node(node)


class Matrix(Shared):
    """A matrix (in, out), or one (B, in, out) of each sentence, that steps multiply by."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(tensor)
        self.low = tensor.detach().to(product_dtype(tensor))
        self.inputs: list[Tensor] = []
        self.gradients: list[Tensor] = []

    def gradient(self) -> Tensor | None:
        if not self.inputs:
            return None
        inputs, gradients = torch.cat(self.inputs, -2), torch.cat(self.gradients, -2)
        self.inputs, self.gradients = [], []
        if self.tensor.stride(-1) == 1:
            return (inputs.mT @ gradients).to(self.tensor.dtype)
        # the matrix is a transposed view: so is its gradient
        return (gradients.mT @ inputs).mT.to(self.tensor.dtype)


class _Ticket(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, shared: Shared) -> Tensor:
        ctx.shared = shared
        return tensor.new_empty(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor | None, None]:
        # the engine comes here when every step that holds the ticket has gone back
        return ctx.shared.gradient(), None


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, ticket: Tensor, matrix: Matrix) -> Tensor:
        low = x.to(matrix.low.dtype)
        ctx.matrix, ctx.dtype = matrix, x.dtype
        ctx.save_for_backward(low)
        return low @ matrix.low

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        matrix: Matrix = ctx.matrix
        (x,) = ctx.saved_tensors
        gradient = gradient.to(matrix.low.dtype)
        if reaches(ctx, 1):
            matrix.inputs.append(x)
            matrix.gradients.append(gradient)
        return (gradient @ matrix.low.mT).to(ctx.dtype) if ctx.needs_input_grad[0] else None, None, None


_loop: ContextVar[dict[tuple[object, ...], tuple[Shared, Tensor]] | None] = ContextVar(
    "unrolled", default=None
)


@contextmanager
def unrolled() -> Iterator[None]:
    """Inside, every `product` by the same matrix counts as one more step of a loop. Nothing changes where no
    gradient is asked for.
    """
    before = _loop.set({} if torch.is_grad_enabled() else None)
    try:
        yield
    finally:
        _loop.reset(before)


def shared(tensor: Tensor, kind: type[Kind]) -> tuple[Kind, Tensor] | None:
    """What the running loop keeps for this tensor (or for any view of the same elements), and its ticket;
    None outside a loop.
    """
    loop = _loop.get()
    if loop is None or not tensor.requires_grad:
        return None
    key = (kind, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
    if key not in loop:
        entry = kind(tensor)
        loop[key] = entry, entry.ticket()
    return cast(tuple[Kind, Tensor], loop[key])


def product(x: Tensor, matrix: Tensor) -> Tensor:
    """x (R, in) by matrix (in, out), or x (B, T, in) by matrices (B, in, out) of one sentence each."""
    found = shared(matrix, Matrix)
    if found is None:
        return torch.matmul(x, matrix)
    entry, ticket = found
    return cast(Tensor, _Product.apply(x, ticket, entry))


def product_dtype(x: Tensor) -> torch.dtype:
    """The type in which autocast, where it is on, multiplies."""
    device = x.device.type
    return (
        torch.get_autocast_dtype(device)
        if torch.is_autocast_enabled(device) and x.dtype == torch.float32
        else x.dtype
    )


class Linear(nn.Linear):
    """A linear map that a loop may call at every step."""

    def forward(self, x: Tensor) -> Tensor:
        if _loop.get() is None:
            return F.linear(x, self.weight, self.bias)
        y: Tensor = product(x.flatten(0, -2), self.weight.t()).unflatten(0, x.shape[:-1])
        return y if self.bias is None else y + self.bias.to(y.dtype)
