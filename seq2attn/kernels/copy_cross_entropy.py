"""Cross-entropy of an output layer that is mixed with copies, of which a part of the logits is in memory.

A row has logits z, log p_gen / (1 - p_gen) = g, and a mass c_k of attention on each of its K source tokens.
Only those tokens need more than the softmax s:

    log P(w) = log p_gen + log s_w + r_w,    r_k = log(1 + exp(log c_k - d_k)),    d_k = g + log s_k

and r_w = 0 for all others. With smoothing e, the loss of a row, -(1 - e) log P(y) - e mean_w log P(w), is

    logsumexp(z) - log p_gen - (1 - e) z_y - e mean(z) - sum_k w_k r_k,    w_k = (1 - e) [k is y] + e / N

The posterior of a copy of k is q_k = sigmoid(log c_k - d_k); it is the derivative of r_k by log c_k, and its
negative by d_k. So the gradient by z is (1 - sum_k w_k q_k) s - (1 - e) [y] - e / N, plus w_k q_k at k.

Slow twin: `copying.pointer.mixture`, in plain loops in tests/reference/copying.py. Held equal by
tests/kernels/test_copy_cross_entropy.py.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from seq2attn.kernels.linear_cross_entropy import CHUNK, product_format, scaled_gradients

LEAST = 1e-20  # mass: below it the gradient by a mass grows no more, so that no loss scale makes it infinite

CopyRows = tuple[Tensor, Tensor, Tensor]  # g (M,), mass (M, K), tokens (M, K); a token has mass at one place


class _CopyCrossEntropy(torch.autograd.Function):
    """All terms but e mean(z)."""

    @staticmethod
    def forward(
        ctx: Any,
        x_MD: Tensor,
        weight_ND: Tensor,
        bias_N: Tensor,
        gate_M: Tensor,
        mass_MK: Tensor,
        tokens_MK: Tensor,
        targets_M: Tensor,
        mask_M: Tensor | None,
        smoothing: float,
        dtype: torch.dtype,
        train: bool,
    ) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(dtype, torch.float32)
        weight, bias = weight_ND.to(dtype), bias_N.to(dtype)
        counts_M = torch.ones_like(gate_M) if mask_M is None else mask_M.to(wide)
        loss_M = torch.empty_like(gate_M)
        sums = (torch.zeros_like(weight_ND, dtype=wide), torch.zeros_like(bias_N, dtype=wide))
        rows = (torch.empty_like(x_MD, dtype=wide), torch.empty_like(gate_M), torch.empty_like(mass_MK))
        size = max(1, CHUNK[x_MD.device.type] // len(bias))
        parts = (x_MD.to(dtype), gate_M, mass_MK, tokens_MK, targets_M[:, None], counts_M, loss_M, *rows)
        chunks = zip(*(part.split(size) for part in parts), strict=True)
        for x, gate, mass, tokens, target, counts, loss, grad_x, grad_gate, grad_mass in chunks:
            logits = torch.addmm(bias, x, weight.t())
            at_tokens, at_target = logits.gather(1, tokens).to(wide), logits.gather(1, target)[:, 0].to(wide)
            largest = logits.amax(1).to(wide)
            p = torch.softmax(logits, 1, out=logits)  # in place: the cache has room for one of them
            total = largest - p.amax(1).to(wide).log()  # logsumexp
            known = mass > 0
            log_odds = mass.masked_fill(~known, 1.0).log() - (gate[:, None] + at_tokens - total[:, None])
            share = (tokens == target).to(wide) * (1 - smoothing) + smoothing / len(bias)  # w_k
            gain = torch.logaddexp(log_odds, torch.zeros_like(log_odds)).masked_fill(~known, 0.0)
            loss.copy_(total - F.logsigmoid(gate) - (1 - smoothing) * at_target - (share * gain).sum(1))
            if not train:
                continue
            posterior = (share * log_odds.sigmoid()).masked_fill(~known, 0.0) * counts[:, None]  # w_k q_k
            all_copies = posterior.sum(1)
            p.mul_((counts - all_copies).to(dtype)[:, None])
            p.scatter_add_(1, tokens, posterior.to(dtype))
            p.scatter_add_(1, target, (counts * (smoothing - 1)).to(dtype)[:, None])
            grad_x.copy_(p @ weight)
            sums[0].add_(p.t() @ x)
            sums[1].add_(p.sum(0, dtype=wide))
            grad_gate.copy_(all_copies - counts * (-gate).sigmoid())
            grad_mass.copy_(-posterior / mass.clamp(min=LEAST))
        loss_M *= counts_M
        if train:
            ctx.save_for_backward(rows[0], *sums, *rows[1:])
            ctx.dtypes = [one.dtype for one in (x_MD, weight_ND, bias_N, gate_M, mass_MK)]
        ctx.mark_non_differentiable(loss_M)
        return loss_M.sum(), loss_M

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, scale: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        return scaled_gradients(ctx, scale)


def copy_cross_entropies(
    features_MD: Tensor,
    output: nn.Linear,
    copies: CopyRows,
    targets_M: Tensor,
    smoothing: float,
    mask_M: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """As `linear_cross_entropy.cross_entropies`, of a softmax mixed with copies: the sum over M positions of
    (1 - e) nll + e mean_n(-log P(n)), in nats, and the loss of each position, without gradient.

    Gate and mass are float32 or wider. With a mask, bool, only the positions where it is True count.
    """
    device, dtype, train = product_format(features_MD, output)
    with torch.autocast(device, enabled=False):
        total, loss_M = _CopyCrossEntropy.apply(
            features_MD, output.weight, output.bias, *copies, targets_M, mask_M, smoothing, dtype, train
        )
        wide = loss_M.dtype
        mean_M = features_MD.to(wide) @ output.weight.mean(0, dtype=wide) + output.bias.mean(dtype=wide)
        mean_M = smoothing * (mean_M if mask_M is None else mean_M * mask_M)
    return total - mean_M.sum(), loss_M - mean_M.detach()
