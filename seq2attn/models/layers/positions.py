"""Where a token stands, as a vector added to its embedding. Rotary positions are not here: attention turns
queries and keys by them.
"""

from typing import Literal

import torch
from torch import Tensor, nn


class Positions(nn.Module):
    """sinusoidal: sin and cos of p / 10000^(2i/D) side by side (Vaswani 2017, section 3.5); learned: a vector
    each, the last for all beyond (Gehring 2017, section 3.1).
    """

    def __init__(
        self, kind: Literal["sinusoidal", "learned", "rotary", "none"], size: int, most: int
    ) -> None:
        super().__init__()
        self.sinusoidal = kind == "sinusoidal"
        self.size = size
        self.vectors = nn.Embedding(most, size) if kind == "learned" else None

    def forward(self, first: int, count: int, like: Tensor) -> Tensor | None:
        """The vectors (count, D) of the positions from `first` on, with type and device of `like`; None where
        positions are not added.
        """
        position = torch.arange(first, first + count, device=like.device)
        if self.vectors is not None:
            vectors: Tensor = self.vectors(position.clamp(max=self.vectors.num_embeddings - 1))
            return vectors
        if not self.sinusoidal:
            return None
        # float64: at a position of thousands float32 would have few digits left for the angle
        pair = torch.arange((self.size + 1) // 2, dtype=torch.float64, device=like.device)
        angle = position[:, None] / 10000 ** (2 * pair / self.size)
        return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, : self.size].to(like.dtype)
