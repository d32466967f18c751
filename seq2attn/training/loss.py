"""Cross-entropy of an output layer, without ever holding all its logits.

The (M, N) logits of a batch are the largest tensor of training by far. Here they are made, used and dropped some rows at a time, the
gradient in the same breath: a chunk stays in the processor's cache, and no smoothed target distribution is ever formed.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CHUNK = {"cpu": 1 << 22, "cuda": 1 << 27}  # logits at once


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_MD: Tensor, weight_ND: Tensor, bias_N: Tensor, targets_M: Tensor, smoothing: float, dtype: torch.dtype, train: bool) -> Tensor:
        size = weight_ND.size(0)
        weight, bias = weight_ND.to(dtype), bias_N.to(dtype)
        wide = torch.promote_types(dtype, torch.float32)
        total = torch.zeros((), dtype=wide, device=x_MD.device)
        grad_x, grad_weight, grad_bias = [], torch.zeros_like(weight_ND, dtype=wide) if train else None, torch.zeros_like(bias_N, dtype=wide)
        rows = max(1, CHUNK[x_MD.device.type] // size)
        for x, targets in zip(x_MD.to(dtype).split(rows), targets_M.split(rows), strict=True):
            logits = torch.addmm(bias, x, weight.t()).to(wide)
            normaliser = logits.logsumexp(1, keepdim=True)
            # (1 - e) (lse - logit of the target) + e (lse - mean logit)
            total += normaliser.sum() - (1 - smoothing) * logits.gather(1, targets[:, None]).sum() - smoothing * logits.mean(1).sum()
            if grad_weight is None:
                continue
            grad = logits.sub_(normaliser).exp_().sub_(smoothing / size)
            grad.scatter_add_(1, targets[:, None], grad.new_full((len(targets), 1), smoothing - 1))
            grad_bias += grad.sum(0)
            grad = grad.to(dtype)
            grad_x.append(grad @ weight)
            if dtype == wide:
                grad_weight.addmm_(grad.t(), x)
            else:
                grad_weight += grad.t() @ x
        if grad_weight is not None:
            ctx.save_for_backward(torch.cat(grad_x), grad_weight, grad_bias)
            ctx.dtypes = x_MD.dtype, weight_ND.dtype, bias_N.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        gradients = (gradient.mul_(scale).to(dtype) for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True))
        return (*gradients, None, None, None, None)


def cross_entropy(features_MD: Tensor, output: nn.Linear, targets_M: Tensor, smoothing: float) -> Tensor:
    """The sum over M positions of (1 - e) nll + e mean_n(-log p_n), as a 0-dim tensor, in nats (Szegedy 2016, label smoothing e). May go back once."""
    device = features_MD.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else features_MD.dtype
    train = torch.is_grad_enabled() and (features_MD.requires_grad or output.weight.requires_grad)
    with torch.autocast(device, enabled=False):
        loss: Tensor = _LinearCrossEntropy.apply(features_MD, output.weight, output.bias, targets_M, smoothing, dtype, train)
    return loss
