"""Backbones turn an image into a map of features: our own residual network, or another network by name.

No other module knows where a backbone is from.
"""

import importlib
import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from seq2attn.config import STAGES, ImageEncoderConfig
from seq2attn.errors import UserError
from seq2attn.models.interfaces import Backbone
from seq2attn.models.vision.resnet import ResNet
from seq2attn.own_code import build
from seq2attn.own_code.permission import one_line

# the first part of the names of a published network's classifier
CLASSIFIERS = {"fc", "head", "heads", "classifier"}
COUNT = "num_batches_tracked"  # a counter beside a norm's statistics, which nothing reads


class ExternalBackbone(Backbone):
    """A network from elsewhere, always in evaluation mode: no image changes the features of another."""

    def __init__(self, net: nn.Module, read: Callable[[Any, Tensor], Tensor] = lambda net, x: net(x)) -> None:
        super().__init__()
        self.net = net.eval()
        self.read = read

    def draw(self) -> None:
        """The parameters stay as the network's own code drew them."""

    def train(self, mode: bool = True) -> Self:
        return super().train(False)

    def forward(self, x_BCYX: Tensor) -> Tensor:
        return self.read(self.net, x_BCYX)


def build_backbone(settings: ImageEncoderConfig) -> tuple[Backbone, int, tuple[int, int]]:
    """The backbone with its own first weights, the number of channels of its map, and the map's rows and
    columns.

    Raises UserError if the backbone is code that may not run, if it cannot be imported or built, or if it
    does not return a map of features.
    """
    if settings.residual:
        own = ResNet(settings)
        return own, own.channels, (own.cells(settings.image_size), own.cells(settings.image_size))
    with torch.device("cpu"):  # also when the model is built on "meta": the map's shape has to be computed
        foreign = (
            ExternalBackbone(build("model.encoder.backbone", settings.code, nn.Module, "torch.nn.Module"))
            if settings.code is not None
            else _timm(settings.backbone.removeprefix("timm:"))
        )
        return foreign, *_shape(foreign, settings)


def _timm(name: str) -> ExternalBackbone:
    where = f'model.encoder.backbone="timm:{name}"'
    try:
        timm = importlib.import_module("timm")
    except ImportError:
        raise UserError(f"{where}: timm is not installed: pip install timm") from None
    try:
        return ExternalBackbone(timm.create_model(name, pretrained=False, num_classes=0), _timm_features)
    except Exception as error:
        raise UserError(
            f"{where}: timm cannot create it: {one_line(error)}; choose one of timm.list_models()"
        ) from error


def _timm_features(module: Any, x_BCYX: Tensor) -> Tensor:
    """The maps (B, C, h, w) of a model of timm, which returns channels first, channels last, or tokens after
    some prefix tokens.
    """
    features: Tensor = module.forward_features(x_BCYX)
    channels = int(module.num_features)
    if features.dim() == 3:
        features = features[:, int(getattr(module, "num_prefix_tokens", 0)) :]
        side = math.isqrt(features.size(1))
        features = features.reshape(len(features), side, side, channels)
    return features if features.size(1) == channels else features.movedim(-1, 1)


def _shape(foreign: ExternalBackbone, settings: ImageEncoderConfig) -> tuple[int, tuple[int, int]]:
    where = f'model.encoder.backbone="{settings.backbone}"'
    try:
        with torch.no_grad():
            features: Any = foreign(torch.zeros(1, 3, settings.image_size, settings.image_size))
    except Exception as error:
        raise UserError(
            f"{where}: cannot read images of {settings.image_size} x {settings.image_size} pixels: "
            f"{one_line(error)}; set model.encoder.image_size to the size that it reads"
        ) from error
    if (
        not isinstance(features, Tensor)
        or not features.is_floating_point()
        or features.dim() != 4
        or features.size(0) != 1
        or not features.numel()
    ):
        shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise UserError(
            f"{where}: returns {shape} for an image; "
            "a backbone must return a map of features, (1, channels, height, width)"
        )
    return features.size(1), (features.size(2), features.size(3))


def pretrained_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of a backbone for which a file of published weights has values."""
    return (
        list(module.pretrained_parameters().values())
        if isinstance(module, ResNet)
        else list(module.parameters())
    )


def _problem(tensor: Tensor, own: Tensor) -> str:
    """Why the backbone cannot take the values of a tensor of the right shape, or ""."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        return "is not a dense tensor"
    if tensor.is_floating_point() != own.is_floating_point() or tensor.is_complex():
        there, here = (str(one.dtype).removeprefix("torch.") for one in (tensor, own))
        return f"is {there}, where the backbone has {here}"
    if not bool(tensor.float().isfinite().all()):  # some types of eight bits have no isfinite
        return "has values that are not finite"
    return ""


def load_pretrained(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy published weights into a backbone. Tensors of later stages, of a classifier, and counters are not
    copied.

    Floating-point numbers of another width are converted. Raises UserError, which names `where` and the
    tensor, if a tensor is missing, is unknown, has another shape, is not finite, or is of no floating type
    although that of the backbone is.
    """
    whole = module.net if isinstance(module, ExternalBackbone) else module
    own = {
        name: tensor
        for name, tensor in whole.state_dict(keep_vars=True).items()
        if not name.startswith("self_attention.")
    }
    left_out = CLASSIFIERS | (
        {f"layer{number}" for number in range(module.depth + 1, STAGES + 1)}
        if isinstance(module, ResNet)
        else set()
    )
    way = "choose the model.encoder.backbone that the file belongs to, or another file"
    weights = {name: tensor for name, tensor in tensors.items() if name in own}
    for name, tensor in own.items():
        if name not in weights and not name.endswith(COUNT):
            raise UserError(f"{where}: has no {name}: {way}")
        if name in weights and weights[name].shape != tensor.shape:
            raise UserError(
                f"{where}: {name} is {tuple(weights[name].shape)}, where the backbone has "
                f"{tuple(tensor.shape)}: {way}"
            )
        if name in weights and not name.endswith(COUNT) and (problem := _problem(weights[name], tensor)):
            raise UserError(f"{where}: {name} {problem}: {way}")
    for name in tensors:
        if name not in own and not name.endswith(COUNT) and name.partition(".")[0] not in left_out:
            raise UserError(f"{where}: has {name}, which the backbone does not have: {way}")
    with torch.no_grad():
        for name, tensor in weights.items():
            own[name].copy_(tensor)
