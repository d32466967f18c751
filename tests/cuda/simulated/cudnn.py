"""Stands in for torch's recurrent calls by the rules of cuDNN.

All tensors have one type. Under autocast, of whatever type, they become float16 (ATen/cudnn/AutocastRNN.cpp).
There is a backward pass in training mode alone.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from . import counts, graphs

Settings = tuple[Any, ...]  # biases, layers, dropout, training, both directions, batch first


def install() -> None:
    for name, states in (("lstm", 2), ("gru", 1), ("rnn_tanh", 1)):
        call = recurrent(getattr(torch, name), name, states)
        setattr(torch, name, call)
        setattr(torch._VF, name, call)


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
    """Whether the weights lie in one piece of memory, all matrices before all biases: otherwise torch warns,
    and copies them.
    """
    end = weights[0].untyped_storage().data_ptr()
    for weight in sorted(weights, key=lambda weight: -weight.dim()):
        if weight.data_ptr() != end or not weight.is_contiguous():
            return False
        end += weight.nbytes
    return True


class _Pass:
    """What the backward pass needs of the forward pass, made again by each call of a CUDA graph."""

    inner: Sequence[Tensor] = ()
    outer: Sequence[Tensor] = ()


class _Recurrent(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, plain: Any, name: str, states: int, training: bool, settings: Settings, *inputs: Tensor
    ) -> Any:
        host, device = torch.ops.simulated_device.host, torch.ops.simulated_device.device
        ctx.training, ctx.name, ctx.index = training, name, inputs[0].device.index
        ctx.dtypes = [tensor.dtype for tensor in inputs]
        ctx.pass_ = own = _Pass()

        def compute() -> list[Tensor]:
            with torch.enable_grad():
                own.inner = [host(tensor.detach()).float().requires_grad_(True) for tensor in inputs]
                x, state, weights = own.inner[0], own.inner[1 : 1 + states], own.inner[1 + states :]
                own.outer = plain(x, state if states > 1 else state[0], weights, *settings)
            return [out.detach().to(inputs[0].dtype) for out in own.outer]

        results = tuple(device(out, ctx.index) for out in compute())
        graphs.on_replay(compute, results)
        return results

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Any:
        if not ctx.training:
            raise RuntimeError("cudnn RNN backward can only be called in training mode")
        host, device = torch.ops.simulated_device.host, torch.ops.simulated_device.device
        counts.add(f"cudnn:{ctx.name} backward")
        own, dtypes = ctx.pass_, ctx.dtypes
        known = [None if gradient is None else gradient.contiguous() for gradient in gradients]

        def compute() -> list[Tensor]:
            given = [
                torch.zeros_like(out) if gradient is None else host(gradient).float()
                for gradient, out in zip(known, own.outer, strict=True)
            ]
            with torch.enable_grad():
                results = torch.autograd.grad(own.outer, own.inner, given)
            own.outer = own.inner = ()
            return [gradient.to(dtype) for gradient, dtype in zip(results, dtypes, strict=True)]

        results = tuple(device(gradient, ctx.index) for gradient in compute())
        graphs.on_replay(compute, results)
        return (None,) * 5 + results
