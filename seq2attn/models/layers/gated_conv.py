"""Parts of a convolutional encoder and decoder: linear maps and gated convolutions with weight normalisation
(Gehring 2017).

They know neither sentences nor masks: the caller sets padding to 0.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.kernels.deferred_gradients import product_dtype

# The factor on a sum of two terms: the product has the variance of one of them (section 3.4).
ROOT_HALF = 0.5**0.5


class WeightNorm(nn.Module):
    """A matrix W whose rows are g v / |v|, so that the length and the direction of a row are separate
    parameters (Salimans 2016, eq. 2). `weight` is v, `gain` is g.
    """

    def __init__(self, shape: tuple[int, ...], keep_prob: float, gated: bool) -> None:
        """`shape` is (out, in) or (out, in, kernel). The first weights depend on `keep_prob`, which is 1
        minus the dropout of the input, and on whether a gate follows.
        """
        super().__init__()
        self.keep_prob, self.gated = keep_prob, gated
        self.weight = nn.Parameter(torch.empty(shape))
        self.gain = nn.Parameter(torch.empty(shape[0]))
        self.bias = nn.Parameter(torch.empty(shape[0]))

    def draw_parameters(self, init: str) -> None:
        """ "glorot": where a unit has n inputs and p is `keep_prob`, v is N(0, 4p/n) before a gate and
        otherwise N(0, p/n) (Gehring 2017, section 3.5). Always: g = |v|, so that W is v.
        """
        if init == "glorot":
            inputs = self.weight[0].numel()
            nn.init.normal_(self.weight, 0, ((4 if self.gated else 1) * self.keep_prob / inputs) ** 0.5)
        self.gain.copy_(self.lengths())

    def lengths(self) -> Tensor:
        """|v| of each row, (out)."""
        return torch.linalg.vector_norm(self.weight.flatten(1), dim=1)  # type: ignore[no-any-return]

    def normalised_weight(self) -> Tensor:
        """W."""
        scale = self.gain / self.lengths()
        return (self.weight * scale.view(-1, *[1] * (self.weight.dim() - 1))).to(product_dtype(self.weight))


class WeightNormLinear(WeightNorm):
    """y = W x + b."""

    def __init__(self, inputs: int, outputs: int, keep_prob: float = 1.0) -> None:
        super().__init__((outputs, inputs), keep_prob, gated=False)

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """y of x (..., in). `weight` is W, where it has been computed before."""
        return F.linear(x, self.normalised_weight() if weight is None else weight, self.bias)


class GatedConv(WeightNorm):
    """a * sigmoid(b) of [a; b] = W [x_j; ...; x_{j+k-1}] + b: a gated linear unit (section 3.2; Dauphin
    2017).
    """

    def __init__(self, channels: int, kernel: int, keep_prob: float, padding: int = 0) -> None:
        """`padding` zeros stand before the first position and after the last."""
        super().__init__((2 * channels, channels, kernel), keep_prob, gated=True)
        self.padding = padding

    def forward(self, x_BLC: Tensor, weight: Tensor | None = None) -> Tensor:
        """(B, L, C) -> (B, L + 2 padding - k + 1, C). `weight` is W, where it has been computed before."""
        weight = self.normalised_weight() if weight is None else weight
        return F.glu(F.conv1d(x_BLC.mT, weight, self.bias, padding=self.padding), 1).mT


class ConvSide(nn.Module):
    """A convolutional encoder or decoder. With "glorot" its embeddings and positions are N(0, 0.1^2) at first
    (section 3.5).
    """

    def draw_parameters(self, init: str) -> None:
        if init == "glorot":
            for module in self.modules():
                if isinstance(module, nn.Embedding):
                    nn.init.normal_(module.weight, 0, 0.1)

    def normalised_weights(self) -> dict[WeightNorm, Tensor]:
        """W of each module, which a search computes once for all of its steps."""
        modules = [module for module in self.modules() if isinstance(module, WeightNorm)]
        return {module: module.normalised_weight() for module in modules}
