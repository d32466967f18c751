"""Residual networks (He 2016) without their classifier: they turn an image into a map of features.

Their parameters have torchvision's names, so that published weights fit. They read normalised pixels and no
files, and no layer mixes the images of a batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.config import ImageEncoderConfig
from seq2attn.models.interfaces import Backbone
from seq2attn.models.vision.self_attention_2d import SelfAttention2d

EPS = 1e-5  # added to a variance
GROUP = 16  # channels of a group (Wu and He 2018, table 3)
FIRST = 64  # channels of the first stage of the published networks
Norm = Callable[[int], nn.Module]


class FrozenBatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) with the mean and the variance of a file of weights, which
    never change. Gain and shift are trained.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x_BCYX: Tensor) -> Tensor:
        return F.batch_norm(x_BCYX, self.running_mean, self.running_var, self.weight, self.bias, eps=EPS)


def _groups(channels: int) -> nn.Module:
    """Group normalisation (Wu and He 2018), in one group if the channels are no multiple of `GROUP`."""
    return nn.GroupNorm(channels // GROUP if channels % GROUP == 0 else 1, channels, EPS)


def _convolution(inputs: int, outputs: int, width: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, width, stride, width // 2, bias=False)


class Block(nn.Module):
    """relu(f(x) + x), where a convolution gives x the shape of f(x) if they differ."""

    downsample: nn.Sequential | None
    wider = 1  # channels of the output, divided by those inside the block

    def __init__(self, inputs: int, channels: int, stride: int, norm: Norm) -> None:
        super().__init__()
        outputs = channels * self.wider
        fits = stride == 1 and inputs == outputs
        self.stride = stride
        self.downsample = None if fits else nn.Sequential(_convolution(inputs, outputs, 1), norm(outputs))

    def residual(self, x_BCYX: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, x_BCYX: Tensor) -> Tensor:
        y = self.residual(x_BCYX)
        # Given the stride itself, a 1x1 convolution of fewer channels than a vector register has numbers
        # writes past its memory in the backward pass, by a fault of oneDNN on CPUs without AVX-512.
        x_BCYX = x_BCYX[..., :: self.stride, :: self.stride]
        return F.relu_(y + (x_BCYX if self.downsample is None else self.downsample(x_BCYX)))


class Basic(Block):
    """Two 3x3 convolutions."""

    def __init__(self, inputs: int, channels: int, stride: int, norm: Norm) -> None:
        super().__init__(inputs, channels, stride, norm)
        self.conv1, self.bn1 = _convolution(inputs, channels, 3, stride), norm(channels)
        self.conv2, self.bn2 = _convolution(channels, channels, 3), norm(channels)

    def residual(self, x_BCYX: Tensor) -> Tensor:
        x_BCYX = F.relu_(self.bn1(self.conv1(x_BCYX)))
        y: Tensor = self.bn2(self.conv2(x_BCYX))
        return y


class Bottleneck(Block):
    """A 3x3 convolution between two 1x1 convolutions. The 3x3 one has the stride, as in published weights;
    in the paper the first one has it.
    """

    wider = 4

    def __init__(self, inputs: int, channels: int, stride: int, norm: Norm) -> None:
        super().__init__(inputs, channels, stride, norm)
        self.conv1, self.bn1 = _convolution(inputs, channels, 1), norm(channels)
        self.conv2, self.bn2 = _convolution(channels, channels, 3, stride), norm(channels)
        self.conv3, self.bn3 = _convolution(channels, channels * self.wider, 1), norm(channels * self.wider)

    def residual(self, x_BCYX: Tensor) -> Tensor:
        x_BCYX = F.relu_(self.bn1(self.conv1(x_BCYX)))
        x_BCYX = F.relu_(self.bn2(self.conv2(x_BCYX)))
        y: Tensor = self.bn3(self.conv3(x_BCYX))
        return y


PUBLISHED: dict[str, tuple[type[Block], tuple[int, ...]]] = {  # He 2016, table 1
    "resnet18": (Basic, (2, 2, 2, 2)),
    "resnet34": (Basic, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
    "resnet152": (Bottleneck, (3, 8, 36, 3)),
}


class ResNet(Backbone):
    """A cell of the map covers 4 x 4 pixels after the first stage; each further stage doubles its sides."""

    def __init__(self, settings: ImageEncoderConfig) -> None:
        super().__init__()
        norm: Norm = FrozenBatchNorm if settings.norm == "batch" else _groups
        block, blocks = PUBLISHED.get(settings.backbone, (Basic, settings.blocks))
        published = settings.backbone in PUBLISHED
        first = FIRST if published else settings.channels
        # Our own network starts with three narrow convolutions in place of a wide one (He 2019, figure 2b),
        # so that details of 2 or 3 pixels are read before the map becomes smaller.
        self.conv1 = _convolution(3, first, 7, 2) if published else _narrow(first, norm)
        self.bn1 = norm(first)
        self.attending = settings.self_attention
        self.depth = settings.depth
        inputs = first
        for number, count in enumerate(blocks[: self.depth]):
            channels = first * 2**number
            stage = nn.Sequential()
            for index in range(count):
                stage.append(block(inputs, channels, 2 if number and not index else 1, norm))
                inputs = channels * block.wider
            self.add_module(f"layer{number + 1}", stage)
            if number + 1 == self.attending:
                self.self_attention = SelfAttention2d(inputs)
        self.channels = inputs

    def cells(self, side: int) -> int:
        """The cells of a side of the map, from the pixels of a side of the image."""
        for _ in range(1 + self.depth):
            side = (side + 1) // 2
        return side

    def forward(self, x_BCYX: Tensor) -> Tensor:
        for number in range(self.depth + 1):
            x_BCYX = self._stage(number, x_BCYX)
            if number and number == self.attending:
                x_BCYX = self.self_attention(x_BCYX)
        return x_BCYX

    def self_attention_weights(self, x_BCYX: Tensor) -> Tensor | None:
        """The attention weights (B, 1, S, S) over the S cells of its map; None without self-attention."""
        if not self.attending:
            return None
        for number in range(self.attending + 1):
            x_BCYX = self._stage(number, x_BCYX)
        return self.self_attention.weights(x_BCYX)

    def _stage(self, number: int, x_BCYX: Tensor) -> Tensor:
        """The map of a stage from that of the stage before; stage 0 is the stem, from pixels."""
        if number:
            y: Tensor = self.get_submodule(f"layer{number}")(x_BCYX)
            return y
        # channels last: a training step of a small network takes a third less on a CPU
        x_BCYX = x_BCYX.contiguous(memory_format=torch.channels_last)
        return F.max_pool2d(F.relu_(self.bn1(self.conv1(x_BCYX))), 3, 2, 1)

    def pretrained_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that a file of published weights has: all but those of self-attention."""
        return {
            name: parameter
            for name, parameter in self.named_parameters()
            if not name.startswith("self_attention.")
        }

    @torch.no_grad()
    def draw(self) -> None:
        """Draw first weights from torch's generator. A convolution whose outputs are n numbers gets N(0, 2/n)
        (He 2015, section 2.2, backward); the maps of self-attention are Glorot-uniform. The rest stays.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module.bias is None:
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                else:
                    nn.init.xavier_uniform_(module.weight)
                    nn.init.zeros_(module.bias)


def _narrow(channels: int, norm: Norm) -> nn.Sequential:
    fewer = max(1, channels // 2)
    steps: list[nn.Module] = []
    for inputs, stride in ((3, 2), (fewer, 1)):
        steps += [_convolution(inputs, fewer, 3, stride), norm(fewer), nn.ReLU(inplace=True)]
    return nn.Sequential(*steps, _convolution(fewer, channels, 3))
