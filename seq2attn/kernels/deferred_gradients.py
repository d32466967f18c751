"""Matrix products in a loop over time steps; the gradient of each matrix is computed once, after the loop.

1. The loop. A recurrent decoder multiplies by the same matrices at every step:

       for x in inputs:                        # each (R, in)
           h = torch.tanh(x @ w + h @ u)
           states.append(h)

2. What autograd does. Step t's backward computes x_t^T g_t, a product as large as w, and adds it to the
   gradient of w: T writes and T additions of a whole matrix.

3. What happens here. The sum of x_t^T g_t over t is [x_1; ..; x_T]^T [g_1; ..; g_T]. So inside
   `with unrolled():` the backward of a step's `matmul` only stores x_t and g_t, in a `DeferredGradient`, and
   one product at the end gives the gradient. The end is known by an *anchor*: an empty tensor, computed from
   w when the loop first multiplies by it, that every step takes as an input. Autograd runs the anchor's
   backward when the backward of all those steps is done.

A context variable holds the gradients of the running loop; as an argument they would pass through every cell,
score, window, gate and readout that has a matrix. A matrix is recognised by its memory, because each step
makes a new view `weight.t()`.

Slow twin: `torch.matmul`, which `matmul` is outside `unrolled()`; the gradients differ in the order of
additions. Held equal by tests/kernels/test_deferred_gradients.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

Kind = TypeVar("Kind", bound="DeferredGradient")


class DeferredGradient:
    """The gradient of a tensor that all steps of a loop read: what steps store, and their sum."""

    def __init__(self, tensor: Tensor) -> None:
        # this reference keeps the tensor alive, so that no other one gets its memory, which identifies it
        self.tensor = tensor

    def anchor(self) -> Tensor:
        """A new anchor. This object does not refer to it: the anchor's graph refers to this object."""
        return cast(Tensor, _Anchor.apply(self.tensor, self))

    def gradient(self) -> Tensor | None:
        """The gradient of all steps, or None if no step stored one. What is stored is then empty again."""
        raise NotImplementedError


class _Anchor(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, deferred: DeferredGradient) -> Tensor:
        ctx.deferred = deferred
        return tensor.new_empty(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor | None, None]:
        return ctx.deferred.gradient(), None


def reaches(ctx: Any, anchor: int) -> bool:
    """Whether the running backward pass will reach the anchor, this function's input of that number.

    If it will not, as with `torch.autograd.grad` to inputs alone, a step must store nothing: the next
    backward pass would count it again.
    """
    node = ctx.next_functions[anchor][0]
    return node is not None and torch._C._will_engine_execute_node(node)


class MatrixGradient(DeferredGradient):
    """The gradient of a matrix (in, out), or of matrices (..., in, out), one for each sentence and head."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(tensor)
        self.matrix = tensor.detach().to(product_dtype(tensor))
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


class _Matmul(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, anchor: Tensor, deferred: MatrixGradient) -> Tensor:
        low = x.to(deferred.matrix.dtype)
        ctx.deferred, ctx.dtype = deferred, x.dtype
        ctx.save_for_backward(low)
        return low @ deferred.matrix

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, None]:
        deferred: MatrixGradient = ctx.deferred
        (x,) = ctx.saved_tensors
        gradient = gradient.to(x.dtype)
        if reaches(ctx, 1):
            deferred.inputs.append(x)
            deferred.gradients.append(gradient)
        if not ctx.needs_input_grad[0]:
            return None, None, None
        return (gradient @ deferred.matrix.mT).to(ctx.dtype), None, None


_loop: ContextVar[dict[tuple[object, ...], tuple[DeferredGradient, Tensor]] | None] = ContextVar(
    "unrolled", default=None
)


@contextmanager
def unrolled() -> Iterator[None]:
    """In this context each `matmul` by the same matrix is a step of one loop. Without gradients it changes
    nothing.
    """
    before = _loop.set({} if torch.is_grad_enabled() else None)
    try:
        yield
    finally:
        _loop.reset(before)


def deferred_gradient(tensor: Tensor, kind: type[Kind]) -> tuple[Kind, Tensor] | None:
    """The gradient that the running loop stores for this tensor, or for a view of the same elements, and its
    anchor; None outside a loop.
    """
    loop = None if torch.compiler.is_compiling() else _loop.get()
    if loop is None or not tensor.requires_grad:
        return None
    key = (kind, tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
    if key not in loop:
        deferred = kind(tensor)
        loop[key] = deferred, deferred.anchor()
    return cast(tuple[Kind, Tensor], loop[key])


def matmul(x: Tensor, matrix: Tensor) -> Tensor:
    """The product of x (..., in) and a matrix (in, out), or of x (..., T, in) and matrices (..., in, out)."""
    deferred = deferred_gradient(matrix, MatrixGradient)
    if deferred is None:
        return torch.matmul(x, matrix)
    if matrix.dim() > 2:
        return cast(Tensor, _Matmul.apply(x, deferred[1], deferred[0]))
    y: Tensor = _Matmul.apply(x.flatten(0, -2), deferred[1], deferred[0])
    return y if x.dim() == 2 else y.unflatten(0, x.shape[:-1])


def product_dtype(x: Tensor) -> torch.dtype:
    """The type of matrix products: that of autocast if it is on and x is float32, otherwise that of x."""
    device = x.device.type
    if torch.is_autocast_enabled(device) and x.dtype == torch.float32:
        return torch.get_autocast_dtype(device)
    return x.dtype


class Linear(nn.Linear):
    """`nn.Linear` whose gradient is deferred inside `unrolled()`."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_compiling() or _loop.get() is None:
            return F.linear(x, self.weight, self.bias)
        y = matmul(x, self.weight.t())
        return y if self.bias is None else y + self.bias.to(y.dtype)

    if TYPE_CHECKING:

        def __call__(self, x: Tensor) -> Tensor: ...
