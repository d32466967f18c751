"""What a convolutional encoder and decoder are made of: maps and gated convolutions with normalised weights
(Gehring 2017).

They know neither sentences nor masks: whoever convolves says what stands around the first position and the
last.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.kernels.deferred_gradients import product_dtype

# what the sum of two is multiplied by, so that it varies as much as one of them (section 3.4)
ROOT_HALF = 0.5**0.5


class WeightNorm(nn.Module):
    """A matrix W = g v / |v|, row by row: the length of a row is learned apart from its direction (Salimans
    2016, eq. 2). `weight` is v, `gain` g.
    """

    def __init__(self, shape: tuple[int, ...], kept: float, gated: bool) -> None:
        """(out, in) or (out, in, kernel). `kept` is the share of its input that dropout leaves, `gated`
        whether a gate comes next: its first weights hang on both.
        """
        super().__init__()
        self.kept, self.gated = kept, gated
        self.weight = nn.Parameter(torch.empty(shape))
        self.gain = nn.Parameter(torch.empty(shape[0]))
        self.bias = nn.Parameter(torch.empty(shape[0]))

    def lengths(self) -> Tensor:
        """|v| of each row, (out)."""
        lengths: Tensor = torch.linalg.vector_norm(self.weight.flatten(1), dim=1)
        return lengths

    def matrix(self) -> Tensor:
        """W, which steps make once for all of them."""
        scale = self.gain / self.lengths()
        return (self.weight * scale.view(-1, *[1] * (self.weight.dim() - 1))).to(product_dtype(self.weight))


class Map(WeightNorm):
    """y = W x + b."""

    def __init__(self, inputs: int, outputs: int, kept: float = 1.0) -> None:
        super().__init__((outputs, inputs), kept, gated=False)

    def forward(self, x: Tensor, matrix: Tensor | None = None) -> Tensor:
        """`matrix` is W, where it is made already."""
        return F.linear(x, self.matrix() if matrix is None else matrix, self.bias)


class Convolution(WeightNorm):
    """a * sigma(b) of [a; b] = W [x_j; ...; x_{j+k-1}] + b: a gated linear unit (section 3.2; Dauphin 2017)."""

    def __init__(self, channels: int, kernel: int, kept: float, padding: int = 0) -> None:
        """`padding` zeros are put before the first position and after the last."""
        super().__init__((2 * channels, channels, kernel), kept, gated=True)
        self.padding = padding

    def forward(self, x_BLC: Tensor, matrix: Tensor | None = None) -> Tensor:
        """(B, L, C) -> (B, L + 2 padding - k + 1, C). `matrix` is W, where it is made already."""
        y = F.conv1d(x_BLC.mT, self.matrix() if matrix is None else matrix, self.bias, padding=self.padding)
        return F.glu(y, 1).mT
