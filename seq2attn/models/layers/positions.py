"""The position of a token as a vector that is added to its embedding. Rotary positions are part of
self-attention.
"""

from typing import Literal

import torch
from torch import Tensor, nn


class Positions(nn.Module):
    """Vectors of D numbers, by kind. sinusoidal: sin and cos of p / 10000^(2i/D) side by side (Vaswani 2017,
    section 3.5). learned: a vector for each of `max_positions` positions; later positions have the last one
    (Gehring 2017, section 3.1). rotary and none: no vectors.
    """

    def __init__(
        self, kind: Literal["sinusoidal", "learned", "rotary", "none"], size: int, max_positions: int
    ) -> None:
        super().__init__()
        self.sinusoidal = kind == "sinusoidal"
        self.size = size
        self.vectors = nn.Embedding(max_positions, size) if kind == "learned" else None

    def forward(self, first: int | Tensor, count: int, like: Tensor) -> Tensor | None:
        """The vectors (count, D) of the positions from `first` on, with type and device of `like`; None for
        rotary and none.
        """
        position = self.numbers(first, count, like)
        if self.vectors is not None:
            vectors: Tensor = self.vectors(position.clamp(max=self.vectors.num_embeddings - 1))
            return vectors
        if not self.sinusoidal:
            return None
        # float64: at a position of thousands float32 would have few digits left for the angle
        pair = torch.arange((self.size + 1) // 2, dtype=torch.float64, device=like.device)
        angle = position[:, None] / 10000 ** (2 * pair / self.size)
        return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, : self.size].to(like.dtype)

    def numbers(self, first: int | Tensor, count: int, like: Tensor) -> Tensor:
        """int64 (count,): positions from `first` on. A CUDA graph has a tensor of one position instead."""
        return first if isinstance(first, Tensor) else torch.arange(first, first + count, device=like.device)

    def add_to(self, embedded: Tensor, first: int | Tensor = 0, count: int | None = None) -> Tensor:
        """Embeddings (B, T, D) plus the vectors of T positions from `first` on. If `count` is 1, all of them
        get the vector of the position `first`.
        """
        vectors = self(first, embedded.size(-2) if count is None else count, embedded)
        return embedded if vectors is None else embedded + vectors
