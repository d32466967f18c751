"""The clip encoder: an image encoder for each frame, then, at each cell of the map, a model of time over the
frames.
"""

from typing import cast

from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.config import ImageEncoderConfig, RNNEncoderConfig, TransformerEncoderConfig
from seq2attn.models.encoders.image import ImageEncoder
from seq2attn.models.encoders.rnn import Recurrence
from seq2attn.models.encoders.transformer import EncoderLayer
from seq2attn.models.layers.positions import Positions
from seq2attn.models.layers.stack import Stack
from seq2attn.models.layers.transformer import build_norm
from seq2attn.models.memory import Memory, mean_over
from seq2attn.models.vision.fixed_batches import in_fixed_batches


class TemporalTransformer(nn.Module):
    """Layers of a Transformer encoder with the norm first and sinusoidal positions of time (Vaswani 2017)."""

    def __init__(self, size: int, layers: int, heads: int, dropout: float) -> None:
        super().__init__()
        config = TransformerEncoderConfig(
            kind="transformer", size=size, layers=layers, heads=heads, feedforward=4 * size, prenorm=True
        )
        self.positions = Positions("sinusoidal", size, 0)
        self.layers = Stack[EncoderLayer](EncoderLayer(config, dropout) for _ in range(layers))
        self.norm = build_norm(config)

    def forward(self, x_BFD: Tensor, mask_BF: Tensor) -> Tensor:
        x_BFD = self.positions.add_to(x_BFD)
        for layer in self.layers:
            x_BFD = layer(x_BFD, mask_BF, None)
        y: Tensor = self.norm(x_BFD)
        return y

    def self_attention(self, x_BFD: Tensor, mask_BF: Tensor) -> list[Tensor]:
        """The attention weights (B, H, F, F) of each layer."""
        x_BFD, weights = self.positions.add_to(x_BFD), []
        for layer in self.layers:
            weights.append(layer.self_attention(x_BFD, mask_BF, None))
            x_BFD = layer(x_BFD, mask_BF, None)
        return weights


class VideoEncoder(ImageEncoder):
    """Its memory has the cells of all frames, one frame after the other. If `temporal` is the mean over the
    frames, the memory has only as many cells as an image.
    """

    def __init__(self, config: ImageEncoderConfig, *, dropout: float) -> None:
        super().__init__(config, dropout=dropout)
        self.max_frames, self.temporal_kind = config.max_frames, config.temporal
        self.temporal = _temporal(config, dropout)

    def forward(self, source: Tensor, mask_BF: Tensor) -> Memory:
        """The memory of clips (B, F, 3, Y, X), uint8, or of their `features` (B, F, C, h, w), which have a
        floating type. The mask (B, F) is True at real frames.
        """
        features = self._features(source[mask_BF])  # of real frames alone
        grid = features.size(2), features.size(3)
        x_BFSD = self._frames(features, mask_BF)
        frames = mask_BF.size(1)
        # Beside a longer clip, a clip is padded with frames. Outside training all are padded to the maximum,
        # so that the result does not depend on the other clips.
        filling = 0 if self.training else max(0, self.max_frames - frames)
        x_BFSD, summary_BD = in_fixed_batches(
            self._over_time,
            F.pad(x_BFSD, (0, 0, 0, 0, 0, filling)),
            F.pad(mask_BF, (0, filling)),
            whole=self.training,
        )
        if self.temporal is None:
            x_BSD = x_BFSD[:, 0]
            return Memory(x_BSD, x_BSD, x_BSD.new_ones(x_BSD.shape[:2]).bool(), summary_BD, grid)
        x_BSD = x_BFSD[:, :frames].flatten(1, 2)
        return Memory(x_BSD, x_BSD, mask_BF.repeat_interleave(grid[0] * grid[1], 1), summary_BD, grid)

    def self_attention(self, source: Tensor, mask_BF: Tensor) -> list[Tensor] | None:
        """The attention weights (B, H, F, F) from frame to frame of each layer of the temporal Transformer,
        the mean over the cells; None without one.
        """
        if self.temporal_kind != "transformer":
            return None
        x_BFSD = self._frames(self._features(source[mask_BF]), mask_BF)
        cells = x_BFSD.size(2)
        x_BSFD = x_BFSD.transpose(1, 2).flatten(0, 1)
        temporal = cast(TemporalTransformer, self.temporal)
        weights = temporal.self_attention(x_BSFD, mask_BF.repeat_interleave(cells, 0))
        return [layer.unflatten(0, (-1, cells)).mean(1) for layer in weights]

    def _frames(self, features: Tensor, mask_BF: Tensor) -> Tensor:
        """The cells (B, F, S, D) of the frames, zeros where a frame is padding."""
        (cells_MSD,) = in_fixed_batches(self._cells, features, whole=self.training)
        return cells_MSD.new_zeros(*mask_BF.shape, *cells_MSD.shape[1:]).index_put(
            mask_BF.nonzero(as_tuple=True), cells_MSD
        )

    def _over_time(self, x_BFSD: Tensor, mask_BF: Tensor) -> tuple[Tensor, Tensor]:
        """The states (B, F, S, D) of each cell, or their mean (B, 1, S, D), and the mean of all."""
        if self.temporal is None:
            real_BF11 = mask_BF[:, :, None, None].to(x_BFSD.dtype)
            mean_B1SD = (x_BFSD * real_BF11).sum(1, keepdim=True) / real_BF11.sum(1, keepdim=True)
            return mean_B1SD, mean_B1SD.mean((1, 2))
        cells = x_BFSD.size(2)
        x_BSFD = x_BFSD.transpose(1, 2).flatten(0, 1)
        y = x_BSFD + self.temporal(x_BSFD, mask_BF.repeat_interleave(cells, 0))
        y_BFSD = cast(Tensor, y).unflatten(0, (-1, cells)).transpose(1, 2)
        return y_BFSD, mean_over(mask_BF, y_BFSD.mean(2))


def _temporal(config: ImageEncoderConfig, dropout: float) -> nn.Module | None:
    size, layers = config.size, config.temporal_layers
    match config.temporal:
        case "mean":
            return None
        case "rnn":
            return Recurrence(RNNEncoderConfig(size=size // 2, layers=layers), size, dropout, False)
        case "transformer":
            return TemporalTransformer(size, layers, config.temporal_heads, dropout)
