"""The image encoder: the map of features of a backbone as a grid of source positions (Xu 2015, section
3.1.1).

It knows neither files nor words. `vision/fixed_batches.py` says why it runs in batches of a fixed size.
"""

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Literal, Self

import torch
from torch import Tensor, nn

from seq2attn.config import ImageEncoderConfig
from seq2attn.kernels.dropout import dropout
from seq2attn.models.interfaces import Encoder
from seq2attn.models.layers.positions import Positions
from seq2attn.models.memory import Memory
from seq2attn.models.vision.backbones import build_backbone, pretrained_parameters
from seq2attn.models.vision.fixed_batches import in_fixed_batches

MAX_SIDE = 64  # learned positions: the number of rows, and of columns, with a vector of their own


class GridPositions(nn.Module):
    """A vector for the position of a cell in its grid: the first half is of its row, the second of its
    column.
    """

    def __init__(self, kind: Literal["none", "sinusoidal", "learned"], size: int) -> None:
        super().__init__()
        self.rows, self.columns = (Positions(kind, size // 2, MAX_SIDE) for _ in range(2))

    def forward(self, height: int, width: int, like: Tensor) -> Tensor | None:
        """The vectors (height x width, D) of all cells, row by row, with type and device of `like`; None for
        no positions.
        """
        rows, columns = self.rows(0, height, like), self.columns(0, width, like)
        if rows is None or columns is None:
            return None
        return torch.cat(
            [rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], -1
        ).flatten(0, 1)


class ImageEncoder(Encoder):
    """The features of each cell of an image, projected to `size`, plus the vector of the cell's position."""

    supports_half_weights = False  # a backbone's norms sum over a whole image
    mean: Tensor
    std: Tensor

    def __init__(self, config: ImageEncoderConfig, *, dropout: float) -> None:
        """Raises UserError if the backbone cannot be built."""
        super().__init__()
        self.frozen, self.dropout = config.frozen, dropout
        for name, values in (("mean", config.mean), ("std", config.std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.backbone, channels, self.grid = build_backbone(config)
        if self.frozen:
            self.backbone.requires_grad_(False).eval()
        self.proj = nn.Linear(channels, config.size)
        self.positions = GridPositions(config.positions, config.size)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def backbone_parameters(self) -> Iterable[nn.Parameter]:
        return pretrained_parameters(self.backbone)

    def features(self, pixels: Tensor) -> Tensor:
        """The backbone's maps (..., C, h, w) of images (..., 3, Y, X), uint8."""
        with torch.no_grad() if self.frozen else nullcontext():
            whole = self.training and not self.frozen
            (maps,) = in_fixed_batches(self._maps, pixels.flatten(0, -4), whole=whole)
        return maps.view(*pixels.shape[:-3], *maps.shape[1:])

    def forward(self, source: Tensor, mask_BF: Tensor) -> Memory:
        """The memory of images (B, 3, Y, X), uint8, or of their `features` (B, C, h, w), which have a
        floating type. Its h x w positions are the cells, row by row. The mask is not used.
        """
        features = self._features(source)
        x_BSD, summary_BD = in_fixed_batches(self._still, features, whole=self.training)
        mask_BS = x_BSD.new_ones(x_BSD.shape[:2], dtype=torch.bool)
        return Memory(x_BSD, x_BSD, mask_BS, summary_BD, (features.size(2), features.size(3)))

    def self_attention(self, source: Tensor, mask_BF: Tensor) -> list[Tensor] | None:
        """The attention weights (B, 1, S, S) of the layer that `model.encoder.self_attention` adds to the
        backbone, for the S cells of its map, row by row. None for `features`, which no longer hold that map.
        """
        if source.is_floating_point():
            return None
        weights = self.backbone.self_attention_weights(self._pixels(source))
        return None if weights is None else [weights]

    def _features(self, source: Tensor) -> Tensor:
        features = source if source.is_floating_point() else self.features(source)
        return features.to(self.proj.weight.dtype)

    def _pixels(self, pixels_B3YX: Tensor) -> Tensor:
        return (pixels_B3YX.to(self.mean.dtype) / 255 - self.mean) / self.std

    def _maps(self, pixels_B3YX: Tensor) -> tuple[Tensor]:
        return (self.backbone(self._pixels(pixels_B3YX)).contiguous(),)  # the layout of a cached map

    def _cells(self, features_BCYX: Tensor) -> tuple[Tensor]:
        x_BSD: Tensor = self.proj(features_BCYX.flatten(2).mT)
        positions_SD = self.positions(features_BCYX.size(2), features_BCYX.size(3), x_BSD)
        x_BSD = x_BSD if positions_SD is None else x_BSD + positions_SD
        return (dropout(x_BSD, self.dropout, self.training),)

    def _still(self, features_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        (x_BSD,) = self._cells(features_BCYX)
        return x_BSD, x_BSD.mean(1)
