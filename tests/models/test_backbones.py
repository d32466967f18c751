"""Backbones from elsewhere: whose code is run and when, what they must make, and weights that fit."""

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seq2attn
from seq2attn import config
from seq2attn.errors import UserError
from seq2attn.models.seq2seq import build
from seq2attn.models.vision.backbones import ExternalBackbone, build_backbone, load_pretrained
from seq2attn.models.vision.resnet import ResNet
from seq2attn.own_code import allow_code
from seq2attn.runs.tensors import load_tensors, named_tensors

SIDE = 32


def settings(name: str, **changed: Any) -> config.ImageEncoderConfig:
    return config.ImageEncoderConfig.model_validate(
        {"kind": "image", "backbone": name, "image_size": SIDE, "size": 8} | changed
    )


def model(name: str) -> config.ModelConfig:
    return config.ModelConfig.model_validate(
        {
            "embedding": 8,
            "encoder": settings(name).model_dump(),
            "decoder": {"size": 8},
            "attention": {"size": 8},
        }
    )


class Net(nn.Module):
    """Somebody's network, with what seldom goes well: dropout, and a norm over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, 8, 1)
        self.norm = nn.BatchNorm2d(6)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.dropout(self.norm(self.conv(x)))
        return y


Offer = Callable[..., None]


@pytest.fixture
def offer(monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Put functions into a package that a run may name."""

    def put(package: str = "somebodys", **functions: object) -> None:
        module = types.ModuleType(package)
        vars(module).update(functions)
        monkeypatch.setitem(sys.modules, package, module)

    return put


# Permission


def test_code_is_run_with_permission_alone(offer: Offer) -> None:
    called = []

    def net() -> Net:
        called.append(1)
        return Net()

    offer(net=net)
    of = settings("somebodys:net")
    for _ in range(2):
        with pytest.raises(UserError) as refusal:
            build_backbone(of)
        assert str(refusal.value).startswith(
            'model.encoder.backbone="somebodys:net" runs code of the package somebodys: allow it '
            "with `allow_code`"
        )
        with allow_code(False), pytest.raises(UserError):
            build_backbone(of)
        assert not called
        with allow_code():
            backbone, channels, _ = build_backbone(of)
            with allow_code(False):  # what is around it said so
                build_backbone(of)
        assert isinstance(backbone, ExternalBackbone)
        assert channels == 6
        assert len(called) == 2
        called.clear()


def test_nothing_is_imported_without_permission() -> None:
    assert "this" not in sys.modules
    with pytest.raises(UserError, match="allow_code"):
        build_backbone(settings("this:s"))
    assert "this" not in sys.modules


def test_a_run_is_loaded_with_permission_alone(offer: Offer, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(net=Net)
    built: list[object] = []
    images = types.SimpleNamespace(modality=config.IMAGES)
    of = types.SimpleNamespace(config=types.SimpleNamespace(model=images))
    monkeypatch.setattr("seq2attn.runs.directory.open_run", lambda *_: of)
    monkeypatch.setattr(
        "seq2attn.inference.captioner.load_runs",
        lambda *_, **__: (
            built.append(build_backbone(settings("somebodys:net"))) or (_ for _ in ()).throw(KeyError)
        ),
    )
    with pytest.raises(UserError, match="allow_code"):
        seq2attn.load("run")
    with pytest.raises(KeyError):  # it comes to the rest of loading, which there is none of here
        seq2attn.load("run", allow_code=True)
    assert len(built) == 1


# Sizes


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda: 3, "returns int, not a torch.nn.Module"),
        (lambda: 1 / 0, "cannot be loaded: ZeroDivisionError"),
        (lambda: nn.Flatten(), r"returns \(1, 3072\) for an image"),
        (lambda: nn.AdaptiveMaxPool2d(2, return_indices=True), "returns tuple for an image"),
        (lambda: nn.Conv2d(4, 2, 3), "cannot read images of 32 x 32 pixels: RuntimeError"),
        (lambda: nn.Flatten(1, 2), r"returns \(1, 96, 32\) for an image"),
    ],
)
def test_what_is_no_backbone_is_refused_in_one_line(
    function: Callable[[], object], message: str, offer: Offer
) -> None:
    offer(net=function)
    with allow_code(), pytest.raises(UserError, match=message) as refusal:
        build_backbone(settings("somebodys:net"))
    assert "\n" not in str(refusal.value)
    assert 'model.encoder.backbone="somebodys:net"' in str(refusal.value)


@pytest.mark.parametrize("name", ["no_such_package_here:net", "somebodys:none"])
def test_what_is_not_there_is_refused(name: str, offer: Offer) -> None:
    offer(net=Net)
    with allow_code(), pytest.raises(UserError, match="cannot be loaded") as refusal:
        build_backbone(settings(name))
    assert "PYTHONPATH" in str(refusal.value)


def test_a_model_of_it_is_looked_at_without_being_made(offer: Offer) -> None:
    """As a run's settings are checked: on a device that computes nothing, where code that looks at numbers
    would break off.
    """

    class Looking(Net):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) if x.sum().isfinite() else x

    offer(net=Looking)
    with allow_code(), torch.device("meta"):
        seq2seq = build(model("somebodys:net"), 0, 9)
    assert seq2seq.encoder.get_parameter("proj.weight").shape == (8, 6)
    assert seq2seq.encoder.get_parameter("proj.weight").is_meta


def test_its_weights_are_its_makers_and_are_kept_with_the_rest(offer: Offer) -> None:
    offer(net=Net)
    with allow_code():
        torch.manual_seed(5)
        net = Net()
        torch.manual_seed(5)
        seq2seq = build(model("somebodys:net").model_copy(update={"init": "uniform"}), 0, 9)
        other = build(model("somebodys:net"), 0, 9)
    assert torch.equal(seq2seq.encoder.get_parameter("backbone.net.conv.weight"), net.conv.weight)
    tensors = named_tensors(seq2seq)
    assert {"encoder.backbone.net.norm.running_mean", "encoder.backbone.net.conv.bias"} <= tensors.keys()
    load_tensors(other, tensors, "run")
    source, mask, tokens = (
        torch.randint(0, 256, (2, 3, SIDE, SIDE), dtype=torch.uint8),
        torch.ones(2, 1, dtype=torch.bool),
        torch.randint(4, 9, (2, 3)),
    )
    assert torch.equal(other.eval()(source, mask, tokens).logits, seq2seq.eval()(source, mask, tokens).logits)


@pytest.mark.parametrize("init", ["glorot", "uniform", "bahdanau15"])
def test_initialise_changes_nothing_of_a_backbone_from_elsewhere(offer: Offer, init: str) -> None:
    """Its norms and embeddings have the types of ours, and yet they are not drawn anew."""

    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.place = nn.Conv2d(3, 6, 8, 8), nn.LayerNorm(6), nn.Embedding(16, 6)
            for parameter in self.parameters():
                nn.init.constant_(parameter, 0.25)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x).flatten(2).mT + self.place.weight
            return self.norm(y).mT.unflatten(2, (4, 4))  # type: ignore[no-any-return]

    offer(net=Patches)
    with allow_code():
        net = build(model("somebodys:net").model_copy(update={"init": init}), 0, 7)
    assert all((parameter == 0.25).all() for parameter in net.encoder.backbone_parameters())


def test_it_is_always_as_in_use(offer: Offer) -> None:
    """Its norms keep their statistics, and none of its images knows another; its weights are trained all
    the same.
    """
    offer(net=Net)
    with allow_code():
        seq2seq = build(model("somebodys:net"), 0, 9).train()
    net = seq2seq.encoder.get_submodule("backbone")
    x = torch.rand(3, 3, SIDE, SIDE)
    assert torch.equal(net(x), net(x))
    net(x).sum().backward()
    assert net.get_parameter("net.conv.weight").grad is not None
    assert (net.get_buffer("net.norm.running_mean") == 0).all()
    assert len(list(seq2seq.encoder.backbone_parameters())) == 4


# timm


class Timm(nn.Module):
    """As models of timm are: `forward_features` gives one of three shapes."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.num_features = kind, 5
        self.num_prefix_tokens = 1 if kind == "tokens" else 0
        self.conv = nn.Conv2d(3, 5, 8, 8)

    def forward_features(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        if self.kind == "last":
            return y.permute(0, 2, 3, 1)
        if self.kind == "tokens":
            return torch.cat([torch.full((len(y), 1, 5), 9.0), y.flatten(2).mT], 1)
        return y


def test_timm_is_asked_by_name_and_needs_no_permission(offer: Offer) -> None:
    calls = []

    def create_model(name: str, **options: object) -> Timm:
        calls.append((name, options))
        return Timm(name)

    offer("timm", create_model=create_model)
    x = torch.rand(2, 3, SIDE, SIDE)
    for kind in ("first", "last", "tokens"):
        backbone, channels, _ = build_backbone(settings(f"timm:{kind}"))
        assert channels == 5
        assert isinstance(backbone, ExternalBackbone)
        assert calls.pop() == (kind, {"pretrained": False, "num_classes": 0})
        with torch.no_grad():
            torch.testing.assert_close(backbone(x), backbone.net.get_submodule("conv")(x))


def test_without_timm_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"timm:resnet18.*pip install timm"):
        build_backbone(settings("timm:resnet18"))


def test_what_timm_does_not_know_is_refused(offer: Offer) -> None:
    def create_model(name: str, **_: object) -> Timm:
        raise RuntimeError(f"Unknown model ({name})\nand more")

    offer("timm", create_model=create_model)
    with pytest.raises(UserError, match=r"timm cannot create it: RuntimeError: Unknown model \(x\); choose"):
        build_backbone(settings("timm:x"))


# Weights


def published(stages: int = 4, **changed: Any) -> ResNet:
    return ResNet(settings("resnet18", norm="batch", weights="x", stages=stages, **changed))


def file_of(net: nn.Module) -> dict[str, Tensor]:
    """As a file of the whole network holds them."""
    with torch.no_grad():
        for tensor in net.state_dict(keep_vars=True).values():
            if tensor.is_floating_point():
                nn.init.uniform_(tensor)
    whole = {name: tensor.detach().clone() for name, tensor in net.state_dict().items()}
    counts = {
        name.replace("running_mean", "num_batches_tracked"): torch.tensor(7)
        for name in whole
        if name.endswith("running_mean")
    }
    return whole | counts | {"fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}


@pytest.fixture(scope="module")
def resnet18() -> dict[str, Tensor]:
    return file_of(published())


@pytest.mark.parametrize("changed", [{}, {"stages": 2}, {"stages": 3, "self_attention": 2}], ids=str)
def test_a_published_file_fits_as_many_stages_as_there_are(
    changed: dict[str, Any], resnet18: dict[str, Tensor]
) -> None:
    net = published(**changed)
    load_pretrained(net, resnet18, "file")
    own = {
        name: tensor for name, tensor in net.state_dict().items() if not name.startswith("self_attention.")
    }
    assert all(torch.equal(tensor, resnet18[name]) for name, tensor in own.items())
    assert {name.partition(".")[0] for name in own} == {
        "conv1",
        "bn1",
        *(f"layer{number}" for number in range(1, changed.get("stages", 4) + 1)),
    }


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda file: file.pop("layer2.0.downsample.1.running_var"),
            "file: has no layer2.0.downsample.1.running_var",
        ),
        (
            lambda file: file.update({"conv1.weight": torch.zeros(64, 3, 3, 3)}),
            r"file: conv1.weight is \(64, 3, 3, 3\), where the backbone has \(64, 3, 7, 7\)",
        ),
        (
            lambda file: file.update({"layer1.0.conv3.weight": torch.zeros(1)}),
            "file: has layer1.0.conv3.weight, which the backbone does not have",
        ),
        (lambda file: file.clear(), "file: has no conv1.weight"),
    ],
)
def test_what_does_not_fit_is_refused_by_name_and_changes_nothing(
    spoil: Callable[[dict[str, Tensor]], object], message: str, resnet18: dict[str, Tensor]
) -> None:
    file = dict(resnet18)
    spoil(file)
    net = published(stages=2)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(UserError, match=message) as refusal:
        load_pretrained(net, file, "file")
    assert str(refusal.value).endswith(
        "choose the model.encoder.backbone that the file belongs to, or another file"
    )
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_weights_fit_the_networks_of_others_too(offer: Offer) -> None:
    offer(net=Net)
    with allow_code():
        backbone, *_ = build_backbone(settings("somebodys:net"))
    file = file_of(Net())
    del file["norm.num_batches_tracked"]
    load_pretrained(
        backbone, file | {"head.weight": torch.zeros(2), "classifier.bias": torch.zeros(2)}, "file"
    )
    assert torch.equal(backbone.get_parameter("net.conv.weight"), file["conv.weight"])
    assert torch.equal(backbone.get_buffer("net.norm.running_var"), file["norm.running_var"])
    with pytest.raises(UserError, match=r"has no conv\.weight"):
        load_pretrained(
            backbone, {name: tensor for name, tensor in file.items() if name != "conv.weight"}, "file"
        )
