"""Stands in for torch's recurrent calls by the rules of cuDNN.

All tensors have one type. Under autocast, of whatever type, they become float16 (ATen/cudnn/AutocastRNN.cpp).
There is a backward pass in training mode alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from . import counts

Settings = tuple[Any, ...]  # biases, layers, dropout, training, both directions, batch first


def install() -> None:
    lstm = recurrent(torch.lstm, "lstm", states=2)
    torch.lstm = torch._VF.lstm = lstm


def recurrent(plain: Callable[..., Any], name: str, states: int) -> Callable[..., Any]:
    """A call (x, states, weights, *settings) of cuDNN, by torch's call on the CPU.

    `states`: how many tensors a state has. With one, it is no list.
    """

    def call(x: Tensor, hx: Any, weights: Sequence[Tensor], *settings: Any) -> tuple[Tensor, ...]:
        if not x.is_cuda:
            return plain(x, hx, weights, *settings)
        tensors = [x, *(hx if states > 1 else [hx]), *weights]
        refuse_mixed(tensors)
        if torch.is_autocast_enabled("cuda") and x.dtype != torch.float64:
            tensors = [tensor.half() for tensor in tensors]
        counts.add(f"cudnn:{name}")
        if not is_one_piece(tensors[1 + states :]):
            counts.add(f"cudnn {name}: its weights are copied into one piece")
        with torch.autocast("cuda", enabled=False):
            return _Recurrent.apply(plain, name, states, settings[3], settings, *tensors)

    return call


def refuse_mixed(tensors: Sequence[Tensor]) -> None:
    """Raise RuntimeError unless all are on one device and of one type."""
    x = tensors[0]
    for other in tensors[1:]:
        if other.device != x.device:
            raise RuntimeError(
                "Input and parameter tensors are not at the same device, found input tensor at "
                f"{x.device} and parameter tensor at {other.device}"
            )
        if other.dtype != x.dtype:
            raise RuntimeError(
                "Input and parameter tensors are not the same dtype, found input tensor with "
                f"{x.dtype} and parameter tensor with {other.dtype}"
            )


def is_one_piece(weights: Sequence[Tensor]) -> bool:
    """Whether the weights lie in one piece of memory: otherwise cuDNN warns, and copies them."""
    storages = {weight.untyped_storage().data_ptr() for weight in weights}
    return len(storages) == 1


class _Recurrent(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, plain: Any, name: str, states: int, training: bool, settings: Settings, *inputs: Tensor
    ) -> Any:
        host, device = torch.ops.simulated_device.host, torch.ops.simulated_device.device
        ctx.training, ctx.name, ctx.index = training, name, inputs[0].device.index
        ctx.dtypes = [tensor.dtype for tensor in inputs]
        with torch.enable_grad():
            ctx.inner = [host(tensor.detach()).float().requires_grad_(True) for tensor in inputs]
            x, state, weights = ctx.inner[0], ctx.inner[1 : 1 + states], ctx.inner[1 + states :]
            ctx.outer = plain(x, state if states > 1 else state[0], weights, *settings)
        return tuple(device(out.detach().to(inputs[0].dtype), ctx.index) for out in ctx.outer)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        if not ctx.training:
            raise RuntimeError("cudnn RNN backward can only be called in training mode")
        host, device = torch.ops.simulated_device.host, torch.ops.simulated_device.device
        counts.add(f"cudnn:{ctx.name} backward")
        given = [
            torch.zeros_like(out) if gradient is None else host(gradient.contiguous()).float()
            for gradient, out in zip(gradients, ctx.outer, strict=True)
        ]
        with torch.enable_grad():
            results = torch.autograd.grad(ctx.outer, ctx.inner, given)
        ctx.outer = ctx.inner = None
        pairs = zip(results, ctx.dtypes, strict=True)
        return (None,) * 5 + tuple(device(gradient.to(dtype), ctx.index) for gradient, dtype in pairs)
