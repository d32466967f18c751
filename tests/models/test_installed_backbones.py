"""Our networks beside those whose names they have, and timm's own: where torchvision and timm are installed,
which nothing else here needs.
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq2attn import config
from seq2attn.models.vision.backbones import build_backbone, load_pretrained

SIDE = 224


def settings(name: str, **changed: Any) -> config.ImageEncoderConfig:
    return config.ImageEncoderConfig.model_validate(
        {"kind": "image", "backbone": name, "image_size": SIDE} | changed
    )


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_a_network_of_torchvision_and_ours_with_its_weights_make_the_same(name: str) -> None:
    torchvision: Any = pytest.importorskip("torchvision", reason="torchvision is not installed")
    torch.manual_seed(1)
    theirs = getattr(torchvision.models, name)().eval()
    for norm in theirs.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for tensor, low, high in (
                (norm.running_mean, -0.2, 0.2),
                (norm.running_var, 0.5, 1.5),
                (norm.weight, 0.3, 0.8),
                (norm.bias, -0.2, 0.2),
            ):
                nn.init.uniform_(tensor, low, high)  # type: ignore[arg-type]
    ours, channels, grid = build_backbone(settings(name, norm="batch", weights="published.pth"))
    load_pretrained(ours, theirs.state_dict(), "published.pth")
    x = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        expected: Tensor = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
        for stage in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
            expected = stage(expected)
        torch.testing.assert_close(ours(x), expected, rtol=1e-4, atol=1e-4)
    assert (channels, *grid) == expected.shape[1:]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet18", (512, 7, 7)),
        ("mobilenetv3_small_050", (288, 7, 7)),
        ("vit_tiny_patch16_224", (192, 14, 14)),
        ("deit_tiny_distilled_patch16_224", (192, 14, 14)),
        ("swin_tiny_patch4_window7_224", (768, 7, 7)),
        ("convnext_atto", (320, 7, 7)),
    ],
)
def test_maps_of_timm_come_out_whatever_its_network_is(name: str, shape: tuple[int, int, int]) -> None:
    """Channels first, last, and tokens after those of a class."""
    timm: Any = pytest.importorskip("timm", reason="timm is not installed")
    torch.manual_seed(1)
    module, channels, grid = build_backbone(settings(f"timm:{name}"))
    assert (channels, *grid) == shape
    torch.manual_seed(1)
    theirs = timm.create_model(name, pretrained=False, num_classes=0).eval()
    x = torch.randn(2, 3, SIDE, SIDE)
    with torch.no_grad():
        features = module(x)
        pooled = theirs(x)
        # those read tokens of their own, or widen what is pooled
        if "patch16" not in name and not name.startswith("mobilenet"):
            mean = features.mean((2, 3))
            norm = getattr(getattr(theirs, "head", None), "norm", None)
            torch.testing.assert_close(
                norm(mean[..., None, None]).flatten(1) if name.startswith("convnext") and norm else mean,
                pooled,
                rtol=1e-4,
                atol=1e-4,
            )
    assert features.shape == (2, *shape)
