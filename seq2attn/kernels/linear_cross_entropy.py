"""Cross-entropy of an output layer, of which only a part of the logits is in memory at a time.

The logits (M, N) of a batch are by far the largest tensor of training. Here a few rows at a time are
computed, used for loss and gradient, and freed. So a chunk fits the processor's cache, and the smoothed
target distribution is never built.

Slow twin: `F.cross_entropy(output(x), targets, label_smoothing=e, reduction="sum")`. Held equal by
tests/kernels/test_linear_cross_entropy.py.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

CHUNK = {"cpu": 1 << 22, "cuda": 1 << 27}  # logits in memory at once


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_MD: Tensor,
        weight_ND: Tensor,
        bias_N: Tensor,
        targets_M: Tensor,
        mask_M: Tensor | None,
        smoothing: float,
        dtype: torch.dtype,
        train: bool,
    ) -> tuple[Tensor, Tensor]:
        # With smoothing e, the loss of a row is logsumexp - (1 - e) target logit - e mean logit. The mean
        # logit is the logit of the mean row of W, so only logsumexp and its gradient, the softmax p, need all
        # N logits.
        wide = torch.promote_types(dtype, torch.float32)
        weight, bias, x_all = weight_ND.to(dtype), bias_N.to(dtype), x_MD.to(dtype)
        mean_weight, mean_bias = weight_ND.mean(0, dtype=wide), bias_N.mean(dtype=wide)
        target_weight, mean_M = 1 - smoothing, x_MD.to(wide) @ mean_weight + mean_bias
        # On a CPU the targets' part of the gradient is added at the end. On CUDA it is subtracted from p:
        # that adds no rows by atomics, whose order is another at each run, and keeps no row of W a target.
        in_p = x_MD.is_cuda
        if in_p:
            loss_M = -smoothing * mean_M
        else:
            target_rows = weight_ND[targets_M]
            loss_M = -target_weight * ((x_MD * target_rows).sum(1, dtype=wide) + bias_N[targets_M])
            loss_M -= smoothing * mean_M
        grad_x = torch.empty_like(x_MD, dtype=wide)
        grad_weight, grad_bias = torch.zeros_like(weight_ND, dtype=wide), torch.zeros_like(bias_N, dtype=wide)
        # Rows outside the mask are left out of the sums over rows: their x is 0, and they count 0 times.
        counts_M = grad_bias.new_ones(len(targets_M)) if mask_M is None else mask_M.to(wide)
        own_MD = x_MD if mask_M is None else x_MD * mask_M[:, None]
        own_all = x_all if mask_M is None else own_MD.to(dtype)
        rows = max(1, CHUNK[x_MD.device.type] // len(bias))
        parts = (x_all, own_all, counts_M, grad_x, loss_M, targets_M[:, None])
        chunks = zip(*(part.split(rows) for part in parts), strict=True)
        for x, own, counts, grad, loss, target in chunks:
            logits = torch.addmm(bias, x, weight.t())
            if in_p:
                loss -= target_weight * logits.gather(1, target)[:, 0].to(wide)
            if not train:
                loss += logits.to(wide).logsumexp(1)
                continue
            largest = logits.amax(1).to(wide)
            p = torch.softmax(logits, 1, out=logits)  # in place: the cache has room for one of them
            loss += largest - p.amax(1).to(wide).log()  # logsumexp; the largest p is at least 1 / N
            if in_p:
                p.scatter_(1, target, p.gather(1, target) - target_weight)
            grad.copy_(p @ weight)
            # on a CPU, with a wider dtype, torch would copy p
            grad_bias += p.sum(0, dtype=wide if in_p else None) if mask_M is None else counts.to(dtype) @ p
            if dtype == wide:
                grad_weight.addmm_(p.t(), own)
            else:
                grad_weight += p.t() @ own
        if mask_M is not None:
            loss_M = loss_M * counts_M
        if train:
            if not in_p:
                grad_x.sub_(target_rows, alpha=target_weight)
                grad_weight.index_add_(0, targets_M, own_MD.to(wide), alpha=-target_weight)
                grad_bias.index_add_(0, targets_M, counts_M, alpha=-target_weight)
            grad_x.sub_(mean_weight, alpha=smoothing)
            if mask_M is not None:
                grad_x.mul_(counts_M[:, None])
            grad_weight.sub_(own_MD.sum(0, dtype=wide), alpha=smoothing / len(bias))
            count = len(targets_M) if mask_M is None else counts_M.sum()
            grad_bias.sub_(smoothing * count / len(bias))
            ctx.save_for_backward(grad_x, grad_weight, grad_bias)
            ctx.dtypes = x_MD.dtype, weight_ND.dtype, bias_N.dtype
        ctx.mark_non_differentiable(loss_M)
        return loss_M.sum(), loss_M

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return scaled_gradients(ctx, scale)


def scaled_gradients(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
    """The gradients of the first inputs, which the forward pass saved with their `ctx.dtypes`, times `scale`;
    None for the other inputs.
    """
    gradients = [
        gradient.mul_(scale).to(dtype) for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
    ]
    return (*gradients, *[None] * (len(ctx.needs_input_grad) - len(gradients)))


def product_format(features_MD: Tensor, output: nn.Linear) -> tuple[str, torch.dtype, bool]:
    """The kind of device, the type of the products with the output layer, and whether gradients count."""
    device = features_MD.device.type
    dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else features_MD.dtype
    needs_grad = features_MD.requires_grad or output.weight.requires_grad
    return device, dtype, torch.is_grad_enabled() and needs_grad


def cross_entropy(features_MD: Tensor, output: nn.Linear, targets_M: Tensor, smoothing: float) -> Tensor:
    """The sum over M positions of (1 - e) nll + e mean_n(-log p_n), as a 0-dim tensor, in nats (Szegedy 2016,
    label smoothing e). `backward` may be called once.
    """
    return cross_entropies(features_MD, output, targets_M, smoothing)[0]


def cross_entropies(
    features_MD: Tensor, output: nn.Linear, targets_M: Tensor, smoothing: float, mask_M: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The sum of `cross_entropy`, and the loss of each position, (M,), without gradient.

    With a mask, bool, only the positions where it is True count: the loss of the others is 0.
    """
    device, dtype, train = product_format(features_MD, output)
    with torch.autocast(device, enabled=False):
        both: tuple[Tensor, Tensor] = _LinearCrossEntropy.apply(
            features_MD, output.weight, output.bias, targets_M, mask_M, smoothing, dtype, train
        )
    return both
