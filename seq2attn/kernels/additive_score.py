"""v . tanh(q + k + U f) for every query and key, in memory that does not grow with queries x keys x units.

Autograd would keep the (B, T, S, A) tangents of every step for the way back. Here they are made again, one
query at a time,
so what lives is (B, T, S) scores, one (B, S, A) tensor, and the features f (B, T, S, P) where there are any.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seq2attn.kernels.deferred_gradients import Shared, product_dtype, reaches, shared

CHUNK = 1 << 22  # elements of tanh held at once where no gradient is asked for


class Keys(Shared):
    """Keys (B, S, A) that steps compare with. With t = tanh(q + k + U f), dk = v (sum_t g - sum_t g t^2),
    since tanh' = 1 - tanh^2.
    """

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(tensor)
        self.scores: Tensor | None = None  # sum_t g, (B, S)
        self.squares: Tensor | None = None  # -sum_t g t^2, (B, S, A)
        self.v: Tensor | None = None
        # One room for the tangents of every step. A new one each would be let go in time, but glibc before
        # 2.38 fits no aligned block into the gap that
        # the last one left once anything small lies behind it: the process would grow by all T of them.
        self.room = tensor.new_empty(tensor.shape)

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


class _TanhEnergy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        query_BTA: Tensor,
        ticket: Tensor,
        v_A: Tensor,
        features_BTSP: Tensor | None,
        u_PA: Tensor | None,
        keys: Keys,
    ) -> Tensor:
        ctx.keys = keys
        ctx.save_for_backward(query_BTA, v_A, features_BTSP, u_PA)
        return torch.stack(
            [
                _tanh(query_BTA, keys.tensor, features_BTSP, u_PA, t, keys.room) @ v_A
                for t in range(query_BTA.size(1))
            ],
            1,
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BTS: Tensor) -> tuple[Tensor | None, ...]:
        # dv = g t; dq = v (sum_s g - sum_s g t^2); with d = g v (1 - t^2): df = U d, dU = f d
        query_BTA, v_A, features_BTSP, u_PA = ctx.saved_tensors
        keys: Keys = ctx.keys
        keys_wanted = reaches(ctx, 1)
        gradient_BTS = gradient_BTS.to(v_A.dtype)
        wide = torch.promote_types(v_A.dtype, torch.float32)
        grad_v, squares_T = torch.zeros_like(v_A, dtype=wide), []
        uv_PA, grad_u, read_T = (
            (None, None, [])
            if features_BTSP is None
            else (u_PA * v_A, torch.zeros_like(u_PA, dtype=wide), [])
        )
        for t, gradient_BS in enumerate(gradient_BTS.unbind(1)):
            tanh_BSA = _tanh(query_BTA, keys.tensor, features_BTSP, u_PA, t, keys.room)
            grad_v += gradient_BS.flatten() @ tanh_BSA.flatten(0, 1)
            square_BSA = tanh_BSA.square_()
            squares_T.append((gradient_BS[:, None] @ square_BSA)[:, 0])
            if keys_wanted:
                keys.add(gradient_BS, square_BSA, v_A)
            if uv_PA is not None:
                slope_BSA = 1 - square_BSA
                grad_u += (features_BTSP[:, t] * gradient_BS[..., None]).flatten(
                    0, 1
                ).t() @ slope_BSA.flatten(0, 1)
                read_T.append(gradient_BS[..., None] * (slope_BSA @ uv_PA.t()))
        grad_query = v_A * (gradient_BTS.sum(2)[..., None] - torch.stack(squares_T, 1))
        if grad_u is None:
            return grad_query, None, grad_v.to(v_A.dtype), None, None, None
        return (
            grad_query,
            None,
            grad_v.to(v_A.dtype),
            torch.stack(read_T, 1),
            (grad_u * v_A).to(v_A.dtype),
            None,
        )


def _tanh(
    query_BTA: Tensor,
    keys: Tensor,
    features_BTSP: Tensor | None,
    u_PA: Tensor | None,
    steps: int | slice,
    room: Tensor,
) -> Tensor:
    """tanh(q_t + k + U f_t) of one step with keys (B, S, A), or of several with keys (B, 1, S, A), in a room
    of the result's shape.
    """
    torch.add(query_BTA[:, steps, None], keys, out=room)
    if features_BTSP is not None and u_PA is not None:
        room.view(-1, room.size(-1)).addmm_(features_BTSP[:, steps].flatten(0, -2), u_PA)
    return room.tanh_()


def additive_score(
    query_BTA: Tensor,
    keys_BSA: Tensor,
    v_A: Tensor,
    features_BTSP: Tensor | None = None,
    u_PA: Tensor | None = None,
) -> Tensor:
    """e_ij = v . tanh(q_i + k_j + U f_ij): scores (B, T, S). Without features, the last term is not there."""
    dtype = product_dtype(keys_BSA)
    query_BTA, keys_BSA, v_A = query_BTA.to(dtype), keys_BSA.to(dtype), v_A.to(dtype)
    if features_BTSP is not None and u_PA is not None:
        features_BTSP, u_PA = features_BTSP.to(dtype), u_PA.to(dtype)
    if torch.is_grad_enabled() and any(
        part is not None and part.requires_grad for part in (query_BTA, keys_BSA, v_A, features_BTSP, u_PA)
    ):
        keys, ticket = shared(keys_BSA, Keys) or _alone(keys_BSA)
        scores: Tensor = _TanhEnergy.apply(query_BTA, ticket, v_A, features_BTSP, u_PA, keys)
        return scores
    (sentences, targets, _), sources = query_BTA.shape, keys_BSA.size(1)
    scores_BTS = query_BTA.new_empty(sentences, targets, sources)
    at_once = max(1, CHUNK // max(1, keys_BSA.numel()))
    for first in range(0, targets, at_once):
        steps = slice(first, min(first + at_once, targets))
        room = query_BTA.new_empty(sentences, steps.stop - first, sources, len(v_A))
        scores_BTS[:, steps] = _tanh(query_BTA, keys_BSA[:, None], features_BTSP, u_PA, steps, room) @ v_A
    return scores_BTS


def _alone(keys_BSA: Tensor) -> tuple[Keys, Tensor]:
    keys = Keys(keys_BSA)
    return keys, keys.ticket()
