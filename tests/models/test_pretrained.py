"""Files of published weights: what is read, and that nothing in one is ever run."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from seq2attn import config
from seq2attn.errors import UserError
from seq2attn.models.seq2seq import build
from seq2attn.models.vision import pretrained as reading
from seq2attn.models.vision.pretrained import pretrained, read

TENSORS = {"a": torch.arange(3.0), "b.c": torch.ones(2, 2)}
# as torch wrote files until 2020, and torchvision's older ones are
STALE = {"_use_new_zipfile_serialization": False}


def old(thing: object, path: Path) -> None:
    torch.save(thing, path, **STALE)


def same(tensors: dict[str, Tensor]) -> bool:
    return tensors.keys() == TENSORS.keys() and all(
        torch.equal(tensor, TENSORS[name]) for name, tensor in tensors.items()
    )


@pytest.mark.parametrize(
    ("save", "name"),
    [
        (torch.save, "a.pth"),
        (torch.save, "a"),
        (old, "a.pth"),
        (old, "a"),
        (save_file, "a.safetensors"),
        (save_file, "a.pth"),
    ],
)
def test_weights_are_read_whatever_the_file_is_called(
    save: Callable[[Any, Path], None], name: str, tmp_path: Path
) -> None:
    save(TENSORS, tmp_path / name)
    assert same(read(tmp_path / name))


def test_safetensors_may_begin_as_a_pickle_does(tmp_path: Path) -> None:
    """Its first bytes are the length of what follows, which may be any number."""
    path = tmp_path / "a.bin"
    for length in range(200, 500, 8):
        save_file(TENSORS, path, {"note": "x" * length})
        if path.read_bytes()[0] == 0x80:
            break
    assert path.read_bytes()[0] == 0x80
    assert same(read(path))


@pytest.mark.parametrize("inside", ["state_dict", "model"])
def test_a_checkpoint_may_hold_more_numbers(inside: str, tmp_path: Path) -> None:
    torch.save({inside: TENSORS, "epoch": 3, "args": {"lr": 0.1}}, tmp_path / "a.pth")
    assert same(read(tmp_path / "a.pth"))


class Code:
    """What runs when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("save", [torch.save, old])
def test_code_in_a_file_is_not_run(save: Callable[[Any, Path], None], tmp_path: Path) -> None:
    save({"a": torch.ones(2), "b": Code(tmp_path / "mark")}, tmp_path / "a.pth")
    with pytest.raises(UserError, match="could run code") as refusal:
        read(tmp_path / "a.pth")
    assert not (tmp_path / "mark").exists()
    assert str(tmp_path / "a.pth") in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_whole_module_is_no_table_of_weights(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "a.pth")
    with pytest.raises(UserError, match=r"save the network's state_dict\(\) alone"):
        read(tmp_path / "a.pth")
    for thing in ([1, 2], {}, {"a": 3}, {1: torch.ones(1)}, torch.ones(2)):
        torch.save(thing, tmp_path / "a.pth")
        with pytest.raises(UserError, match="does not hold weights by name"):
            read(tmp_path / "a.pth")


@pytest.mark.parametrize("save", [torch.save, old, save_file])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_a_file_that_was_cut_is_refused(
    save: Callable[[Any, Path], None], share: float, tmp_path: Path
) -> None:
    path = tmp_path / "a.pth"
    save({"a": torch.zeros(5000)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError) as refusal:
        read(path)
    assert str(refusal.value).startswith(f"model.encoder.weights={path}: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "content", [b"hello, this is no file of weights", b"\x80garbage", b"PK\x03\x04garbage"]
)
def test_what_is_no_file_of_weights_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UserError, match=r"model\.encoder\.weights="):
        read(tmp_path / "a")


def test_what_is_not_there_or_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="none: cannot be read: No such file"):
        read(tmp_path / "none")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read(tmp_path)
    monkeypatch.setattr(reading, "MOST", 1000)
    for save in (torch.save, old, save_file):
        save({"a": torch.zeros(5000)}, tmp_path / "a")
        with pytest.raises(UserError, match="1,000 are the most"):
            read(tmp_path / "a")


def test_an_archive_may_not_unpack_to_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\0" * 100_000)
    monkeypatch.setattr(reading, "MOST", 10_000)
    with pytest.raises(UserError, match="unpacks to more than 10,000 bytes"):
        read(tmp_path / "a.pth")


def model(**changed: Any) -> config.ModelConfig:
    encoder = {
        "kind": "image",
        "backbone": "resnet18",
        "stages": 1,
        "norm": "batch",
        "size": 8,
        "image_size": 32,
    } | changed
    return config.ModelConfig.model_validate({"encoder": encoder, "decoder": {"size": 8}})


def test_the_backbone_is_given_what_its_settings_name(tmp_path: Path) -> None:
    path = tmp_path / "resnet18.safetensors"
    settings = model(weights=str(path))
    other = build(settings, 0, 9)
    save_file(
        {
            name: torch.rand_like(tensor)
            for name, tensor in other.encoder.get_submodule("backbone").state_dict().items()
        },
        path,
    )
    want = read(path)
    seq2seq = build(settings, 0, 9)  # no file is asked for: a run that is loaded has its own
    assert not torch.equal(seq2seq.encoder.get_parameter("backbone.conv1.weight"), want["conv1.weight"])
    pretrained(seq2seq, settings)
    assert all(
        torch.equal(tensor, want[name])
        for name, tensor in seq2seq.encoder.get_submodule("backbone").state_dict().items()
    )
    del want["bn1.bias"]
    save_file(want, path)
    with pytest.raises(UserError, match=f"{path}: has no bn1.bias"):
        pretrained(seq2seq, settings)


def test_models_without_such_weights_stay_as_they_are() -> None:
    for settings in (config.ModelConfig(), model(norm="group")):
        seq2seq = build(settings, 9, 9)
        before = {name: tensor.clone() for name, tensor in seq2seq.state_dict().items()}
        pretrained(seq2seq, settings)
        assert all(torch.equal(tensor, before[name]) for name, tensor in seq2seq.state_dict().items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: tensor.to(torch.int64), "is int64, where the backbone has float32"),
        (lambda tensor: tensor.to(torch.uint8), "is uint8"),
        (lambda tensor: tensor.to(torch.bool), "is bool"),
        (lambda tensor: tensor.to(torch.complex64), "is complex64"),
        (lambda tensor: tensor.to_sparse(), "is not a dense tensor"),
        (lambda tensor: tensor.to("meta"), "is not a dense tensor"),
        (lambda tensor: tensor * float("nan"), "not finite"),
        (lambda tensor: tensor.fill_(float("inf")), "not finite"),
        (lambda tensor: tensor.to(torch.float16), None),
        (lambda tensor: tensor.to(torch.float64), None),
    ],
)
def test_weights_that_are_no_numbers_of_their_kind_are_named(
    change: Callable[[Tensor], Tensor], message: str | None
) -> None:
    from seq2attn.models.vision.backbones import load_pretrained

    network = nn.Module()
    network.weight = nn.Parameter(torch.ones(2, 3))
    tensors = {"weight": change(torch.full((2, 3), 2.0))}
    if message is None:
        load_pretrained(network, tensors, "a.pth")
        assert float(network.weight.detach().sum()) == 12
    else:
        with pytest.raises(UserError, match=message) as caught:
            load_pretrained(network, tensors, "a.pth")
        assert str(caught.value).startswith("a.pth: weight ")
        assert float(network.weight.detach().sum()) == 6
