"""The encoder of images: a backbone's map of features as a grid of positions (Xu 2015, section 3.1.1), and,
of a clip, as many for each frame.

It knows neither files nor words, nor who reads it. Outside training, and through a backbone that is never
trained, images go FOUR at a time
whatever the batch: what is made of one is the same to the last bit in any company.
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Literal, Self, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn import config
from seq2attn.kernels.dropout import dropout
from seq2attn.models.encoders.rnn import Recurrence
from seq2attn.models.encoders.transformer import Layer
from seq2attn.models.interfaces import Encoder
from seq2attn.models.layers.positions import Positions
from seq2attn.models.layers.transformer import norm
from seq2attn.models.memory import Memory, mean_over
from seq2attn.models.vision.backbones import backbone, published

FOUR = 4  # images, or clips
PLACES = 64  # learned: rows, and columns, that have a vector of their own


class Grid(nn.Module):
    """Where a cell stands: half of its vector tells the row, half the column."""

    def __init__(self, kind: Literal["none", "sinusoidal", "learned"], size: int) -> None:
        super().__init__()
        self.rows, self.columns = (Positions(kind, size // 2, PLACES) for _ in range(2))

    def forward(self, height: int, width: int, like: Tensor) -> Tensor | None:
        """The vectors (height width, D) of all cells, row by row, with type and device of `like`; None where
        positions are not added.
        """
        rows, columns = self.rows(0, height, like), self.columns(0, width, like)
        if rows is None or columns is None:
            return None
        return torch.cat(
            [rows[:, None].expand(-1, width, -1), columns[None].expand(height, -1, -1)], -1
        ).flatten(0, 1)


class SelfAttentionOverTime(nn.Module):
    """A Transformer encoder's layers, with time as sinusoids (Vaswani 2017), normalised first."""

    def __init__(self, size: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        settings = config.TransformerEncoderConfig(
            kind="transformer", size=size, layers=layers, heads=heads, feedforward=4 * size, prenorm=True
        )
        self.positions = Positions("sinusoidal", size, 0)
        self.layers = nn.ModuleList(Layer(settings, dropout) for _ in range(layers))
        self.norm = norm(settings)

    def forward(self, x_BFD: Tensor, mask_BF: Tensor) -> Tensor:
        x_BFD = x_BFD + cast(Tensor, self.positions(0, x_BFD.size(1), x_BFD))
        for layer in self.layers:
            x_BFD = layer(x_BFD, mask_BF, None)
        y: Tensor = self.norm(x_BFD)
        return y


class ImageEncoder(Encoder):
    """Stills: the features of each cell, brought to `size`, with its position.

    Clips: the same of every frame; then `time` goes from frame to frame at each cell, and the memory is of
    all cells of all frames, one frame after the other.
    """

    supports_half_weights = False  # a backbone's norms sum over a whole image
    mean: Tensor
    std: Tensor

    def __init__(self, model: config.ModelConfig) -> None:
        """The encoder of `model.encoder`. Raises UserError where its backbone cannot be had."""
        super().__init__()
        assert model.encoder.kind == "image"
        settings = model.encoder
        self.clips, self.frames, self.frozen = settings.clips, settings.max_frames, settings.frozen
        self.dropout = model.dropout
        for name, values in (("mean", settings.mean), ("std", settings.std)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)
        self.backbone, channels, self.grid = backbone(settings)
        if self.frozen:
            self.backbone.requires_grad_(False).eval()
        self.map = nn.Linear(channels, settings.size)
        self.positions = Grid(settings.positions, settings.size)
        if self.clips:
            self.time = _time(settings, model.dropout)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def backbone_parameters(self) -> Iterable[nn.Parameter]:
        return published(self.backbone)

    def features(self, pixels: Tensor) -> Tensor:
        """What the backbone makes of bytes: of stills (B, 3, Y, X) a map (B, C, h, w), of clips (B, F, 3, Y,
        X) one a frame, (B, F, C, h, w).
        """
        with torch.no_grad() if self.frozen else nullcontext():
            (found,) = _by_four(self._look, pixels.flatten(0, -4), whole=self.training and not self.frozen)
        return found.view(*pixels.shape[:-3], *found.shape[1:])

    def forward(self, source: Tensor, mask_BF: Tensor) -> Memory:
        """Bytes, stills (B, 3, Y, X) or clips (B, F, 3, Y, X), or, of a floating type, what `features` made
        of them before. The mask is of real frames.

        A memory of h w positions, row by row; of a clip of F h w, or of h w where the mean of the frames is
        all that is kept.
        """
        images = source[mask_BF] if self.clips else source  # a frame that is not there is not looked at
        features = images if images.is_floating_point() else self.features(images)
        features = features.to(self.map.weight.dtype)
        if self.clips:
            return self._clips(features, mask_BF)
        x_BSD, summary_BD = _by_four(self._still, features, whole=self.training)
        return Memory(
            x_BSD,
            x_BSD,
            x_BSD.new_ones(x_BSD.shape[:2], dtype=torch.bool),
            summary_BD,
            (features.size(2), features.size(3)),
        )

    def _clips(self, features: Tensor, mask_BF: Tensor) -> Memory:
        grid = features.size(2), features.size(3)
        (cells_MSD,) = _by_four(self._frame, features, whole=self.training)
        x_BFSD = cells_MSD.new_zeros(*mask_BF.shape, *cells_MSD.shape[1:]).index_put(
            mask_BF.nonzero(as_tuple=True), cells_MSD
        )
        frames = mask_BF.size(1)
        # the company of a longer clip makes no batch longer
        filling = 0 if self.training else max(0, self.frames - frames)
        x_BFSD, summary_BD = _by_four(
            self._over_time,
            F.pad(x_BFSD, (0, 0, 0, 0, 0, filling)),
            F.pad(mask_BF, (0, filling)),
            whole=self.training,
        )
        if self.time is None:
            x_BSD = x_BFSD[:, 0]
            return Memory(x_BSD, x_BSD, x_BSD.new_ones(x_BSD.shape[:2], dtype=torch.bool), summary_BD, grid)
        x_BSD = x_BFSD[:, :frames].flatten(1, 2)
        return Memory(x_BSD, x_BSD, mask_BF.repeat_interleave(grid[0] * grid[1], 1), summary_BD, grid)

    def _look(self, pixels_B3YX: Tensor) -> tuple[Tensor]:
        x_B3YX = (pixels_B3YX.to(self.mean.dtype) / 255 - self.mean) / self.std
        return (self.backbone(x_B3YX).contiguous(),)  # as a cache gives it back

    def _cells(self, features_BCYX: Tensor) -> Tensor:
        x_BSD: Tensor = self.map(features_BCYX.flatten(2).mT)
        positions_SD = self.positions(features_BCYX.size(2), features_BCYX.size(3), x_BSD)
        return x_BSD if positions_SD is None else x_BSD + positions_SD

    def _still(self, features_BCYX: Tensor) -> tuple[Tensor, Tensor]:
        x_BSD = dropout(self._cells(features_BCYX), self.dropout, self.training)
        return x_BSD, x_BSD.mean(1)

    def _frame(self, features_BCYX: Tensor) -> tuple[Tensor]:
        return (dropout(self._cells(features_BCYX), self.dropout, self.training),)

    def _over_time(self, x_BFSD: Tensor, mask_BF: Tensor) -> tuple[Tensor, Tensor]:
        """Each cell by itself, from frame to frame: the states (B, F, S, D), or their mean (B, 1, S, D), and
        the mean of all.
        """
        if self.time is None:
            real_BF11 = mask_BF[:, :, None, None].to(x_BFSD.dtype)
            mean_B1SD = (x_BFSD * real_BF11).sum(1, keepdim=True) / real_BF11.sum(1, keepdim=True)
            return mean_B1SD, mean_B1SD.mean((1, 2))
        cells = x_BFSD.size(2)
        x_BSFD = x_BFSD.transpose(1, 2).flatten(0, 1)
        seen = x_BSFD + self.time(x_BSFD, mask_BF.repeat_interleave(cells, 0))
        y_BFSD = seen.unflatten(0, (-1, cells)).transpose(1, 2)
        return y_BFSD, mean_over(mask_BF, y_BFSD.mean(2))


def _time(settings: config.ImageEncoderConfig, dropout: float) -> nn.Module | None:
    match settings.temporal:
        case "mean":
            return None
        case "rnn":
            return Recurrence(
                "lstm", settings.size, settings.size // 2, settings.temporal_layers, 2, dropout=dropout
            )
        case "transformer":
            return SelfAttentionOverTime(
                settings.size, settings.temporal_layers, settings.temporal_heads, dropout
            )


def _by_four(function: Callable[..., tuple[Tensor, ...]], *inputs: Tensor, whole: bool) -> tuple[Tensor, ...]:
    """What the function makes of FOUR rows at a time, together, or of all at once: products are added up in
    another order where there are more rows.
    The last are filled up with the last row."""
    if whole:
        return function(*inputs)
    rows = len(inputs[0])
    filled = [torch.cat([x, x[-1:].expand(-rows % FOUR, *x.shape[1:])]) for x in inputs]
    found = [function(*part) for part in zip(*(x.split(FOUR) for x in filled), strict=True)]
    return tuple(torch.cat(parts)[:rows] for parts in zip(*found, strict=True))
