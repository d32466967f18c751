"""v . tanh(q + k) for every query and key, in memory that does not grow with queries x keys x units.

Autograd would keep the (B, T, S, A) tangents of every step for the way back. Here they are made again, one query at a time,
so what lives is (B, T, S) scores and one (B, S, A) tensor.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seq2attn.attention.unrolled import Shared, product_dtype, shared

CHUNK = 1 << 22  # elements of tanh held at once where no gradient is asked for


class Keys(Shared):
    """Keys (B, S, A) that steps compare with. With t = tanh(q + k), dk = v (sum_t g - sum_t g t^2), since tanh' = 1 - tanh^2."""

    def __init__(self, tensor: Tensor) -> None:
        super().__init__(tensor)
        self.scores: Tensor | None = None  # sum_t g, (B, S)
        self.squares: Tensor | None = None  # -sum_t g t^2, (B, S, A)
        self.v: Tensor | None = None

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
    def forward(ctx: Any, query_BTA: Tensor, ticket: Tensor, v_A: Tensor, keys: Keys) -> Tensor:
        ctx.keys = keys
        ctx.save_for_backward(query_BTA, v_A)
        return torch.stack([(keys.tensor + query[:, None]).tanh_() @ v_A for query in query_BTA.unbind(1)], 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient_BTS: Tensor) -> tuple[Tensor, None, Tensor, None]:
        # dv = g t; dq = v (sum_s g - sum_s g t^2)
        query_BTA, v_A = ctx.saved_tensors
        keys: Keys = ctx.keys
        gradient_BTS = gradient_BTS.to(v_A.dtype)
        grad_v, squares_T = torch.zeros_like(v_A, dtype=torch.promote_types(v_A.dtype, torch.float32)), []
        for query_BA, gradient_BS in zip(query_BTA.unbind(1), gradient_BTS.unbind(1), strict=True):
            tanh_BSA = (keys.tensor + query_BA[:, None]).tanh_()
            grad_v += gradient_BS.flatten() @ tanh_BSA.flatten(0, 1)
            square_BSA = tanh_BSA.square_()
            squares_T.append((gradient_BS[:, None] @ square_BSA)[:, 0])
            keys.add(gradient_BS, square_BSA, v_A)
        grad_query = v_A * (gradient_BTS.sum(2)[..., None] - torch.stack(squares_T, 1))
        return grad_query, None, grad_v.to(v_A.dtype), None


def tanh_energy(query_BTA: Tensor, keys_BSA: Tensor, v_A: Tensor) -> Tensor:
    """e_ij = v . tanh(q_i + k_j): scores (B, T, S)."""
    dtype = product_dtype(keys_BSA)
    query_BTA, keys_BSA, v_A = query_BTA.to(dtype), keys_BSA.to(dtype), v_A.to(dtype)
    if torch.is_grad_enabled() and (query_BTA.requires_grad or keys_BSA.requires_grad or v_A.requires_grad):
        keys, ticket = shared(keys_BSA, Keys) or _alone(keys_BSA)
        scores: Tensor = _TanhEnergy.apply(query_BTA, ticket, v_A, keys)
        return scores
    at_once = max(1, CHUNK // max(1, keys_BSA.numel()))
    return torch.cat([(queries[:, :, None] + keys_BSA[:, None]).tanh_() @ v_A for queries in query_BTA.split(at_once, 1)], 1)


def _alone(keys_BSA: Tensor) -> tuple[Keys, Tensor]:
    keys = Keys(keys_BSA)
    return keys, keys.ticket()
