"""R-Drop (Liang 2021): two passes over a batch with different dropout, whose predictions must agree.

Both passes are one pass over a batch that holds everything twice. With z and z' the logits of a token in
each, the objective is half of the paper's equation 4, so that its size is that of training without R-Drop:

    (L(z) + L(z')) / 2 + weight / 4 * (KL(p || p') + KL(p' || p))

L is the cross-entropy with label smoothing, and both divergences together are sum_n (p_n - p'_n)
(log p_n - log p'_n). As in `kernels.linear_cross_entropy`, the logits of a few rows at a time are computed,
used for loss and gradient, and freed.

Slow twin: tests/reference/r_drop.py. Held equal by tests/training/test_r_drop.py.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from seq2attn.kernels.linear_cross_entropy import CHUNK, product_format, scaled_gradients
from seq2attn.training.microbatches import Microbatch


def doubled(batch: Microbatch) -> Microbatch:
    """The batch with every source and target twice: first all of them, then all of them again."""
    rows, steps = batch.inputs_BT.shape
    twice = batch.each(lambda tensor: torch.cat([tensor, tensor]))
    if batch.real_M is not None:
        twice = twice._replace(real_M=torch.cat([batch.real_M, batch.real_M + rows * steps]))
    if batch.source_of_B is not None:
        sources = len(batch.source)
        twice = twice._replace(source_of_B=torch.cat([batch.source_of_B, batch.source_of_B + sources]))
    return twice


class _ConsistentCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x_2MD: Tensor,
        weight_ND: Tensor,
        bias_N: Tensor,
        targets_M: Tensor,
        mask_M: Tensor | None,
        smoothing: float,
        factor: float,
        dtype: torch.dtype,
        train: bool,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The loss, half of the two cross-entropies, of each of M tokens, and its sum; and the sum of both
        divergences.
        """
        wide = torch.promote_types(dtype, torch.float32)
        count, vocabulary = len(targets_M), len(bias_N)
        weight, bias = weight_ND.to(dtype), bias_N.to(dtype)
        counts_M = torch.ones(count, dtype=wide, device=x_2MD.device) if mask_M is None else mask_M.to(wide)
        x_2 = x_2MD.to(dtype).unflatten(0, (2, count))
        grad_x = torch.empty_like(x_2, dtype=wide)
        grad_weight, grad_bias = torch.zeros_like(weight_ND, dtype=wide), torch.zeros_like(bias_N, dtype=wide)
        loss_M = torch.empty(count, dtype=wide, device=x_2MD.device)
        distance = torch.zeros((), dtype=wide, device=x_2MD.device)
        size = max(1, CHUNK[x_2MD.device.type] // vocabulary // 4)  # log p, p, and as much for the gradient
        for start in range(0, count, size):
            rows = slice(start, min(start + size, count))
            target_1m1 = targets_M[None, rows, None].expand(2, -1, 1)
            counts_m = counts_M[rows]
            x_2mD = x_2[:, rows]
            log_p = (x_2mD @ weight.t() + bias).to(wide).log_softmax(-1)
            at_target = log_p.gather(2, target_1m1)[..., 0]
            losses = -(1 - smoothing) * at_target - smoothing * log_p.mean(-1)
            loss_M[rows] = losses.mean(0) * counts_m
            gap = log_p[0] - log_p[1]
            p = log_p.exp_()
            lead = p[0] - p[1]
            distance += ((lead * gap).sum(-1) * counts_m).sum()
            if not train:
                continue
            # by z: (p - smoothed target) / 2 + factor * (p * (gap - KL(p || p')) + p - p'); by z' likewise
            first = (p[0] * gap).sum(-1, keepdim=True)
            second = -(p[1] * gap).sum(-1, keepdim=True)
            pull = torch.stack([p[0] * (gap - first) + lead, -p[1] * (gap + second) - lead])
            grad = p.mul_(0.5).add_(pull, alpha=factor).sub_(0.5 * smoothing / vocabulary)
            grad.scatter_(2, target_1m1, grad.gather(2, target_1m1) - 0.5 * (1 - smoothing))
            grad *= counts_m[:, None]
            narrow = grad.to(dtype)
            grad_x[:, rows] = (narrow @ weight).to(wide)
            grad_weight += narrow.flatten(0, 1).t() @ x_2mD.flatten(0, 1)
            grad_bias += grad.sum((0, 1))
        if train:
            ctx.save_for_backward(grad_x.flatten(0, 1), grad_weight, grad_bias)
            ctx.dtypes = x_2MD.dtype, weight_ND.dtype, bias_N.dtype
        ctx.mark_non_differentiable(loss_M, distance)
        return loss_M.sum() + factor * distance, loss_M, distance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        return scaled_gradients(ctx, scale)


def consistent_cross_entropies(
    features_2MD: Tensor,
    output: nn.Linear,
    targets_M: Tensor,
    smoothing: float,
    weight: float,
    mask_M: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The objective above over M tokens, 0-dim, and the loss of each, (M,), without gradient: half of its
    two cross-entropies. The features of the second pass follow those of the first. `backward` may be called
    once.

    With a mask, bool, only the tokens where it is True count: the loss of the others is 0.
    """
    device, dtype, train = product_format(features_2MD, output)
    with torch.autocast(device, enabled=False):
        objective, loss_M, _ = _ConsistentCrossEntropy.apply(
            *(features_2MD, output.weight, output.bias, targets_M, mask_M, smoothing, weight / 4),
            *(dtype, train),
        )
    return objective, loss_M
