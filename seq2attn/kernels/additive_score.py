"""v . tanh(q + k + U f) for every query and key, in memory that does not grow with queries x keys x units.

Autograd would store the tanh (B, T, S, A) of all steps for the backward pass. Here the backward pass computes
it again, one query at a time: in memory are the scores (B, T, S), one tensor (B, S, A), and the features f
(B, T, S, P) if there are any. B counts sentences and heads together.

Slow twin: `(torch.tanh(q[..., :, None, :] + k[..., None, :, :] + f @ u) * v).sum(-1)`. Held equal by
tests/kernels/test_additive_score.py.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seq2attn.kernels.deferred_gradients import DeferredGradient, deferred_gradient, product_dtype, reaches

CHUNK = 1 << 22  # elements of tanh in memory at once, without gradients


class KeysGradient(DeferredGradient):
    """The gradient of keys (B, S, A): dk = v (sum_t g - sum_t g y^2) with y = tanh(q_t + k + U f_t), because
    the derivative of tanh is 1 - y^2.
    """

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(tensor)
        self.scores: Tensor | None = None  # sum_t g, (B, S)
        self.squares: Tensor | None = None  # -sum_t g y^2, (B, S, A)
        self.v: Tensor | None = None
        # One buffer serves the tanh of all steps. With a new buffer for each step, the process would grow by
        # T buffers: glibc before 2.38 does not reuse the gap of a freed aligned block behind which something
        # small was allocated.
        self.buffer = tensor.new_empty(tensor.shape)

    def add(self, gradient_BS: Tensor, square_BSA: Tensor, v_A: Tensor) -> None:
        if self.scores is None or self.squares is None:
            wide = torch.promote_types(square_BSA.dtype, torch.float32)
            self.scores = torch.zeros_like(gradient_BS, dtype=wide)
            self.squares, self.v = torch.zeros_like(square_BSA, dtype=wide), v_A
        self.scores += gradient_BS
        self.squares.addcmul_(square_BSA, gradient_BS[..., None], value=-1)

    def gradient(self) -> Tensor | None:
        if self.scores is None or self.squares is None or self.v is None:
            return None
        total = self.squares.add_(self.scores[..., None]).mul_(self.v).to(self.tensor.dtype)
        self.scores = self.squares = self.v = None
        return total


class _AdditiveScore(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query_BTA: Tensor,
        anchor: Tensor,
        v_A: Tensor,
        features_BTSP: Tensor | None,
        u_PA: Tensor | None,
        keys: KeysGradient,
    ) -> Tensor:
        ctx.keys = keys
        ctx.save_for_backward(query_BTA, v_A, features_BTSP, u_PA)
        steps = range(query_BTA.size(1))
        tanh = (_tanh(query_BTA, keys.tensor, features_BTSP, u_PA, t, keys.buffer) for t in steps)
        return torch.stack([tanh_BSA @ v_A for tanh_BSA in tanh], 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BTS: Tensor) -> tuple[Tensor | None, ...]:
        # dv = g y; dq = v (sum_s g - sum_s g y^2); with d = g v (1 - y^2): df = U d, dU = f d
        query_BTA, v_A, features_BTSP, u_PA = ctx.saved_tensors
        keys: KeysGradient = ctx.keys
        reaches_keys = reaches(ctx, 1)
        gradient_BTS = gradient_BTS.to(v_A.dtype)
        wide = torch.promote_types(v_A.dtype, torch.float32)
        grad_v, squares_T = torch.zeros_like(v_A, dtype=wide), []
        uv_PA = grad_u = None
        grad_features_T: list[Tensor] = []
        if features_BTSP is not None:
            uv_PA, grad_u = u_PA * v_A, torch.zeros_like(u_PA, dtype=wide)
        for t, gradient_BS in enumerate(gradient_BTS.unbind(1)):
            tanh_BSA = _tanh(query_BTA, keys.tensor, features_BTSP, u_PA, t, keys.buffer)
            grad_v += gradient_BS.flatten() @ tanh_BSA.flatten(0, 1)
            square_BSA = tanh_BSA.square_()
            squares_T.append((gradient_BS[:, None] @ square_BSA)[:, 0])
            if reaches_keys:
                keys.add(gradient_BS, square_BSA, v_A)
            if uv_PA is not None:
                slope_BSA = 1 - square_BSA
                scaled_BSP = features_BTSP[:, t] * gradient_BS[..., None]
                grad_u += scaled_BSP.flatten(0, 1).t() @ slope_BSA.flatten(0, 1)
                grad_features_T.append(gradient_BS[..., None] * (slope_BSA @ uv_PA.t()))
        grad_query = v_A * (gradient_BTS.sum(2)[..., None] - torch.stack(squares_T, 1))
        grad_v = grad_v.to(v_A.dtype)
        if grad_u is None:
            return grad_query, None, grad_v, None, None, None
        grad_features = torch.stack(grad_features_T, 1)
        return grad_query, None, grad_v, grad_features, (grad_u * v_A).to(v_A.dtype), None


def _tanh(
    query_BTA: Tensor,
    keys: Tensor,
    features_BTSP: Tensor | None,
    u_PA: Tensor | None,
    steps: int | slice,
    buffer: Tensor,
) -> Tensor:
    """tanh(q_t + k + U f_t) of one step with keys (B, S, A), or of several with keys (B, 1, S, A), in a
    buffer of the result's shape.
    """
    torch.add(query_BTA[:, steps, None], keys, out=buffer)
    if features_BTSP is not None and u_PA is not None:
        buffer.view(-1, buffer.size(-1)).addmm_(features_BTSP[:, steps].flatten(0, -2), u_PA)
    return buffer.tanh_()


def additive_score(
    query: Tensor, keys: Tensor, v_A: Tensor, features: Tensor | None = None, u_PA: Tensor | None = None
) -> Tensor:
    """e_ij = v . tanh(q_i + k_j + U f_ij): scores (..., T, S) of queries (..., T, A), keys (..., S, A) and
    features (..., T, S, P). Without features, the last term is left out.
    """
    dtype = product_dtype(keys)
    query_BTA, keys_BSA, v_A = query.flatten(0, -3).to(dtype), keys.flatten(0, -3).to(dtype), v_A.to(dtype)
    features_BTSP = None
    if features is not None and u_PA is not None:
        features_BTSP, u_PA = features.flatten(0, -4).to(dtype), u_PA.to(dtype)
    inputs = (query_BTA, keys_BSA, v_A, features_BTSP, u_PA)
    if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in inputs):
        deferred = deferred_gradient(keys_BSA, KeysGradient)
        if deferred is None:
            alone = KeysGradient(keys_BSA)
            deferred = alone, alone.anchor()
        scores_BTS = _AdditiveScore.apply(query_BTA, deferred[1], v_A, features_BTSP, u_PA, deferred[0])
    else:
        scores_BTS = _without_gradients(query_BTA, keys_BSA, v_A, features_BTSP, u_PA)
    scores: Tensor = scores_BTS.unflatten(0, query.shape[:-2])
    return scores


def _without_gradients(
    query_BTA: Tensor, keys_BSA: Tensor, v_A: Tensor, features_BTSP: Tensor | None, u_PA: Tensor | None
) -> Tensor:
    """The scores (B, T, S), from CHUNK elements of tanh at a time."""
    (sentences, targets, _), sources = query_BTA.shape, keys_BSA.size(1)
    scores_BTS = query_BTA.new_empty(sentences, targets, sources)
    at_once = max(1, CHUNK // max(1, keys_BSA.numel()))
    for first in range(0, targets, at_once):
        steps = slice(first, min(first + at_once, targets))
        buffer = query_BTA.new_empty(sentences, steps.stop - first, sources, len(v_A))
        scores_BTS[:, steps] = _tanh(query_BTA, keys_BSA[:, None], features_BTSP, u_PA, steps, buffer) @ v_A
    return scores_BTS
