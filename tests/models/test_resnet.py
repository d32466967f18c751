"""Residual networks: the paper's equations, torchvision's names and sizes, and how they start."""

from typing import Any

import numpy as np
import pytest
import reference
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from seq2attn import config
from seq2attn.models.vision.resnet import FrozenBatchNorm, ResNet

# As torchvision counts: weights, gains and shifts, without `fc`.
PARAMETERS = {
    "resnet18": 11_176_512,
    "resnet34": 21_284_672,
    "resnet50": 23_508_032,
    "resnet101": 42_500_160,
    "resnet152": 58_143_808,
}
BLOCKS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}


def settings(**changed: Any) -> config.ImageEncoderConfig:
    if changed.get("norm") == "batch":
        changed = {"weights": "some.safetensors"} | changed
    return config.ImageEncoderConfig.model_validate({"kind": "image"} | changed)


def large(net: ResNet) -> ResNet:
    """With weights and statistics of which every one matters."""
    with torch.no_grad():
        for tensor in net.state_dict(keep_vars=True).values():
            nn.init.uniform_(tensor, -0.7, 0.7)
        for name, buffer in net.named_buffers():
            if name.endswith("running_var"):
                nn.init.uniform_(buffer, 0.5, 2.0)
    return net


# The equations


def norm_of(module: nn.Module) -> dict[str, Any]:
    p = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    rest = (
        {"mean": p["running_mean"], "variance": p["running_var"]}
        if isinstance(module, FrozenBatchNorm)
        else {"groups": module.num_groups}
    )
    return {"gain": p["weight"], "bias": p["bias"]} | rest


def step(filters: nn.Module, norm: nn.Module, stride: int) -> tuple[np.ndarray, dict[str, Any], int]:
    assert isinstance(filters, nn.Conv2d)
    return filters.weight.detach().numpy(), norm_of(norm), stride


def block(module: Any, stride: int, wide: bool) -> dict[str, Any]:
    strides = (1, stride, 1) if wide else (stride, 1)  # of a wide one the 3x3 convolution takes it
    steps = [
        step(getattr(module, f"conv{n}"), getattr(module, f"bn{n}"), s) for n, s in enumerate(strides, 1)
    ]
    return {
        "steps": steps,
        "short": None
        if module.downsample is None
        else step(module.downsample[0], module.downsample[1], stride),
    }


def named(net: Any, depth: int, wide: bool) -> dict[str, Any]:
    if isinstance(net.conv1, nn.Conv2d):
        stem = [step(net.conv1, net.bn1, 2)]
    else:
        first = net.conv1
        stem = [step(first[0], first[1], 2), step(first[3], first[4], 1), step(first[6], net.bn1, 1)]
    stages = [
        [
            block(one, 2 if number > 1 and not index else 1, wide)
            for index, one in enumerate(getattr(net, f"layer{number}"))
        ]
        for number in range(1, depth + 1)
    ]
    attention = {}
    if net.attending is not None:
        own = net.self_attention
        parts = {"f": own.key, "g": own.query, "h": own.value, "v": own.out}
        w: dict[str, Any] = {
            name: (part.weight[:, :, 0, 0].detach().numpy(), part.bias.detach().numpy())
            for name, part in parts.items()
        }
        attention[net.attending] = w | {"gamma": own.gain.item()}
    return {"stem": stem, "stages": stages, "attention": attention}


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    "changed",
    [
        {"blocks": (1, 2), "channels": 4},
        {"blocks": (2,), "channels": 3, "self_attention": 1},
        {"blocks": (1, 1, 1), "channels": 2, "self_attention": 2},
    ],
    ids=str,
)
def test_ours_is_the_papers(changed: dict[str, Any]) -> None:
    net = large(ResNet(settings(**changed)))
    x = torch.randn(2, 3, 18, 13)
    with torch.no_grad():
        got = net(x)
    for one, of in zip(got, x, strict=True):
        np.testing.assert_allclose(
            one, reference.residual_network(named(net, len(changed["blocks"]), False), of.numpy()), atol=1e-9
        )


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_published_ones_are_the_papers(name: str, norm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As published, but four channels wide, so that loops get to an end."""
    monkeypatch.setattr("seq2attn.models.vision.resnet.FIRST", 4)
    net = large(ResNet(settings(backbone=name, norm=norm, stages=2)))
    x = torch.randn(1, 3, 13, 9)
    with torch.no_grad():
        got = net(x)[0]
    np.testing.assert_allclose(
        got, reference.residual_network(named(net, 2, name == "resnet50"), x[0].numpy()), atol=1e-9
    )


@pytest.mark.parametrize(
    ("changed", "shape"),
    [
        ({"blocks": (1, 1), "channels": 8}, (16, 12, 12)),
        ({"blocks": (1,), "channels": 8}, (8, 24, 24)),
        ({"backbone": "resnet18", "stages": 4}, (512, 3, 3)),
        ({"backbone": "resnet18", "stages": 3}, (256, 6, 6)),
        ({"backbone": "resnet50", "stages": 1}, (256, 24, 24)),
    ],
    ids=str,
)
def test_each_stage_halves_the_sides_and_doubles_the_channels(
    changed: dict[str, Any], shape: tuple[int, ...]
) -> None:
    net = ResNet(settings(**changed))
    assert net.channels == shape[0]
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 96, 96)).shape[1:] == shape


def test_groups_are_of_sixteen_channels() -> None:
    net: Any = ResNet(settings(blocks=(1, 1), channels=32))
    assert net.bn1.num_groups == 2
    assert net.layer2[0].bn1.num_groups == 4
    assert ResNet(settings(channels=20)).bn1.num_groups == 1


# Published weights


def torchvisions(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published weights and statistics, by their rule, without `fc`."""
    sizes: dict[str, tuple[int, ...]] = {}

    def add(convolution: str, norm: str, outputs: int, inputs: int, size: int) -> None:
        sizes[f"{convolution}.weight"] = (outputs, inputs, size, size)
        for part in ("weight", "bias", "running_mean", "running_var"):
            sizes[f"{norm}.{part}"] = (outputs,)

    wide = name not in ("resnet18", "resnet34")
    add("conv1", "bn1", 64, 3, 7)
    inputs = 64
    for stage, count in enumerate(BLOCKS[name]):
        channels = 64 << stage
        outputs = channels * (4 if wide else 1)
        for index in range(count):
            where = f"layer{stage + 1}.{index}"
            shapes = (
                [(channels, inputs, 1), (channels, channels, 3), (outputs, channels, 1)]
                if wide
                else [(channels, inputs, 3), (channels, channels, 3)]
            )
            for number, (out, into, size) in enumerate(shapes, 1):
                add(f"{where}.conv{number}", f"{where}.bn{number}", out, into, size)
            if index == 0 and (stage or wide):
                add(f"{where}.downsample.0", f"{where}.downsample.1", outputs, inputs, 1)
            inputs = outputs
    return sizes


@pytest.mark.parametrize("name", PARAMETERS)
def test_names_and_sizes_are_torchvisions(name: str) -> None:
    with torch.device("meta"):
        net = ResNet(settings(backbone=name, norm="batch"))
    assert {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()} == torchvisions(name)
    assert sum(parameter.numel() for parameter in net.parameters()) == PARAMETERS[name]
    with torch.device("meta"):
        grouped = ResNet(settings(backbone=name))
    assert {key: tuple(tensor.shape) for key, tensor in grouped.state_dict().items()} == {
        key: shape for key, shape in torchvisions(name).items() if "running" not in key
    }


def test_some_names_as_they_stand_in_the_published_file() -> None:
    """Beside the rule, that it is not wrong as the code is."""
    assert len(torchvisions("resnet18")) == 20 * 5
    assert len(torchvisions("resnet50")) == 53 * 5
    assert torchvisions("resnet18")["layer2.0.downsample.0.weight"] == (128, 64, 1, 1)
    assert "layer1.0.downsample.0.weight" not in torchvisions("resnet18")
    assert torchvisions("resnet50")["layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert torchvisions("resnet50")["layer4.2.conv2.weight"] == (512, 512, 3, 3)


def test_what_self_attention_adds_is_not_published() -> None:
    net = ResNet(settings(backbone="resnet18", stages=2, self_attention=1))
    assert not [name for name in net.pretrained_parameters() if name.startswith("self_attention")]
    assert len(net.pretrained_parameters()) == len(list(net.parameters())) - 9


@pytest.mark.usefixtures("float64")
def test_statistics_of_a_file_never_change() -> None:
    net = large(ResNet(settings(backbone="resnet18", norm="batch", stages=1))).train()
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    x = torch.randn(4, 3, 32, 32)
    whole = net(x)
    whole.sum().backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())
    torch.testing.assert_close(net(x[:1]), whole[:1])
    assert net.get_parameter("bn1.weight").grad is not None


def test_first_weights_are_as_documented() -> None:
    net: Any = ResNet(settings(backbone="resnet18", self_attention=2))
    net.draw()
    assert net.layer3[1].conv2.weight.std().item() == pytest.approx((2 / (256 * 9)) ** 0.5, rel=0.02)
    assert net.conv1.weight.std().item() == pytest.approx((2 / (64 * 49)) ** 0.5, rel=0.05)
    assert (net.bn1.weight == 1).all()
    assert (net.bn1.bias == 0).all()
    assert net.self_attention.gain == 0
    assert net.self_attention.query.weight.abs().max().item() == pytest.approx(
        (6 / (128 + 16)) ** 0.5, rel=0.01
    )


class Convolutions(TorchDispatchMode):
    """Notes the side of the kernel and the stride of every convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[int, int]] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.aten.convolution.default:
            self.calls.append((args[1].size(-1), args[3][0]))
        return func(*args, **(kwargs or {}))


def test_no_pointwise_convolution_has_a_stride() -> None:
    """oneDNN writes past its memory in the backward pass of one, if the map has few channels."""
    net = ResNet(settings(backbone="resnet", channels=4))
    with Convolutions() as convolutions:
        net(torch.randn(3, 3, 32, 32)).sum().backward()
    assert (1, 1) in convolutions.calls
    assert not [(side, stride) for side, stride in convolutions.calls if side == 1 and stride > 1]
