"""Images as a memory: which cell is where, what a clip's frames keep, that no image hangs on its company,
and what is never trained.
"""

import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import reference
import torch
from models.families import CLIPS, DECODERS, SIDE, SIZE, STILLS, of_images
from recipes import TARGET
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn import config
from seq2attn.models.encoders.image import GridPositions, ImageEncoder
from seq2attn.models.memory import Memory
from seq2attn.models.seq2seq import build
from seq2attn.own_code import allow_code

every = pytest.mark.parametrize("changed", [*STILLS.values(), *CLIPS.values()], ids=[*STILLS, *CLIPS])


def make(**options: Any) -> ImageEncoder:
    encoder = build(of_images(**options), 0, TARGET).encoder.eval()
    assert isinstance(encoder, ImageEncoder)
    return encoder


def pixels(*shape: int, side: int = SIDE) -> Tensor:
    return torch.randint(0, 256, (*shape, 3, side, side), dtype=torch.uint8)


def sources(changed: dict[str, Any], count: int = 3) -> tuple[Tensor, Tensor]:
    """Stills and their mask, or clips of 1 to 4 frames."""
    if "max_frames" not in changed:
        return pixels(count), torch.ones(count, 1, dtype=torch.bool)
    lengths = torch.tensor([4, 1, 3, 2, 4, 4, 1, 2])[:count]
    return pixels(count, int(lengths.max())), torch.arange(int(lengths.max())) < lengths[:, None]


def read(encoder: nn.Module, source: Tensor, mask: Tensor) -> Memory:
    with torch.no_grad():
        memory: Memory = encoder(source, mask)
        return memory


class Pooled(nn.Module):
    """A backbone that shows what it saw: the mean of each 8 x 8 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 8) * self.weight


@pytest.fixture
def pooled(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The settings of an encoder with that backbone, and leave to run it."""
    module = types.ModuleType("some_pooling")
    module.pooled = Pooled  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "some_pooling", module)
    with allow_code():
        yield {"backbone": "some_pooling:pooled", "blocks": (1, 1, 1), "channels": 32}


# Stills


@pytest.mark.parametrize("changed", STILLS.values(), ids=STILLS)
def test_memory_of_a_still_is_a_grid(changed: dict[str, Any]) -> None:
    source, mask = sources(changed)
    memory = read(make(**changed), source, mask)
    height, width = (8, 8) if "backbone" in changed else (4, 4)
    assert memory.grid == (height, width)
    assert memory.keys_BSK.shape == memory.values_BSV.shape == (3, height * width, SIZE)
    assert memory.mask_BS.shape == (3, height * width)
    assert memory.mask_BS.dtype == torch.bool
    assert memory.mask_BS.all()
    torch.testing.assert_close(memory.summary_BV, memory.values_BSV.mean(1))
    assert memory.final is None


def test_positions_stand_row_by_row(pooled: dict[str, Any]) -> None:
    """A bright spot in the second row and the fourth column of cells lights that position alone; images
    here are wider than high, so that no swap can hide.
    """
    encoder = make(**pooled)
    dark = torch.zeros(1, 3, 24, 40, dtype=torch.uint8)
    bright = dark.clone()
    bright[:, :, 8:16, 24:32] = 255
    mask = torch.ones(1, 1, dtype=torch.bool)
    before, after = read(encoder, dark, mask), read(encoder, bright, mask)
    assert after.grid == (3, 5)
    changed = (before.keys_BSK != after.keys_BSK).any(-1)[0]
    assert changed.nonzero().flatten().tolist() == [1 * 5 + 3]


def test_positions_of_our_own_network_stand_too() -> None:
    encoder = make(image_size=96, blocks=(1, 1))
    dark = torch.full((1, 3, 96, 96), 60, dtype=torch.uint8)
    bright = dark.clone()
    bright[:, :, 8:16, 64:72] = 255  # of 12 x 12 cells: row 1, column 8
    mask = torch.ones(1, 1, dtype=torch.bool)
    change = (read(encoder, bright, mask).keys_BSK - read(encoder, dark, mask).keys_BSK).norm(dim=-1)[0]
    row, column = divmod(int(change.argmax()), 12)
    assert abs(row - 1) <= 1
    assert abs(column - 8) <= 1


@pytest.mark.usefixtures("float64")
def test_pixels_are_shifted_scaled_and_mapped_as_documented(pooled: dict[str, Any]) -> None:
    encoder = make(**pooled, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7), positions="sinusoidal")
    source = pixels(2)
    got = read(encoder, source, torch.ones(2, 1, dtype=torch.bool)).keys_BSK
    weight, bias = encoder.proj.weight.detach().numpy(), nn.init.uniform_(encoder.proj.bias).detach().numpy()
    got = read(encoder, source, torch.ones(2, 1, dtype=torch.bool)).keys_BSK
    for one, image in zip(got, source.double().numpy() / 255, strict=True):
        for row in range(4):
            for column in range(4):
                cell = image[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8].mean((1, 2))
                place = np.concatenate(
                    [reference.sinusoid(row, SIZE // 2), reference.sinusoid(column, SIZE // 2)]
                )
                want = reference.linear(weight, (cell - [0.1, 0.2, 0.3]) / [0.5, 0.6, 0.7], bias) + place
                np.testing.assert_allclose(one[4 * row + column], want, atol=1e-12)


def test_positions_learned_are_of_rows_and_columns() -> None:
    grid = GridPositions("learned", 8)
    positions = grid(70, 3, torch.zeros(1))
    assert positions is not None
    table = positions.unflatten(0, (70, 3))
    assert grid.rows.vectors is not None
    assert grid.columns.vectors is not None
    assert torch.equal(table[5, 2], torch.cat([grid.rows.vectors.weight[5], grid.columns.vectors.weight[2]]))
    assert torch.equal(table[63:], table[63:64].expand(7, 3, 8))
    assert GridPositions("none", 8)(2, 2, torch.zeros(1)) is None


# Clips


@pytest.mark.parametrize("changed", CLIPS.values(), ids=CLIPS)
def test_memory_of_a_clip_is_its_frames(changed: dict[str, Any]) -> None:
    source, mask = sources(changed)
    memory = read(make(**changed), source, mask)
    assert memory.grid is not None
    cells = memory.grid[0] * memory.grid[1]
    if changed["temporal"] == "mean":
        assert memory.keys_BSK.shape == (3, cells, SIZE)
        assert memory.mask_BS.all()
    else:
        assert memory.keys_BSK.shape == (3, 4 * cells, SIZE)
        assert torch.equal(memory.mask_BS, mask.repeat_interleave(cells, 1))  # one frame after the other
    for b in range(3):
        torch.testing.assert_close(memory.summary_BV[b], memory.values_BSV[b][memory.mask_BS[b]].mean(0))


@pytest.mark.parametrize("changed", CLIPS.values(), ids=CLIPS)
def test_time_is_told_unless_the_mean_is_asked_for(changed: dict[str, Any]) -> None:
    encoder = make(**changed)
    source, mask = pixels(1, 4), torch.ones(1, 4, dtype=torch.bool)
    forth, back = read(encoder, source, mask).summary_BV, read(encoder, source.flip(1), mask).summary_BV
    assert torch.allclose(forth, back, atol=1e-6) == (changed["temporal"] == "mean")


@pytest.mark.parametrize("time", ["mean", "rnn", "transformer"])
def test_time_goes_by_at_each_cell(time: str, pooled: dict[str, Any]) -> None:
    """What changes in one cell of one frame changes that cell alone: in all frames or, where their mean is
    kept, in the mean.
    """
    encoder = make(**pooled, max_frames=3, temporal=time, positions="sinusoidal")
    source = torch.zeros(2, 3, 3, SIDE, SIDE, dtype=torch.uint8)
    source[1, 1, :, 16:24, 8:16] = 255
    memory = read(encoder, source, torch.ones(2, 3, dtype=torch.bool))
    assert memory.grid is not None
    changed = (memory.keys_BSK[0] != memory.keys_BSK[1]).any(-1).view(-1, *memory.grid)
    assert changed.any(0).nonzero().tolist() == [[2, 1]]
    assert changed[:, 2, 1].all()


# No company, no cache and no format changes what is seen


@every
def test_memory_has_the_same_bits_in_any_batch(changed: dict[str, Any]) -> None:
    encoder = make(**changed)
    source, mask = sources(changed, 8)
    together = read(encoder, source, mask)
    for count in (1, 3):
        for first in range(0, 8 - count + 1, count):
            rows = slice(first, first + count)
            frames = int(mask[rows].sum(1).max())
            some = read(
                encoder,
                source[rows, :frames] if "max_frames" in changed else source[rows],
                mask[rows, :frames],
            )
            length = some.keys_BSK.size(1)
            real = some.mask_BS[..., None]
            assert torch.equal(some.keys_BSK * real, together.keys_BSK[rows, :length] * real)
            assert torch.equal(some.summary_BV, together.summary_BV[rows])


@pytest.mark.parametrize("time", ["rnn", "transformer"])
def test_encoder_runs_batches_of_one_size_outside_training(time: str) -> None:
    """Bits that are the same here may not be on another machine: products there may hang on their sizes in
    another way.
    """
    encoder = make(max_frames=5, temporal=time)
    shapes_of: dict[str, set[tuple[int, ...]]] = {"backbone": set(), "proj": set(), "temporal": set()}
    for name, shapes in shapes_of.items():
        encoder.get_submodule(name).register_forward_pre_hook(
            lambda _, inputs, shapes=shapes: shapes.add(tuple(inputs[0].shape))
        )
    for count in (1, 2, 3, 5, 8):
        source, mask = sources({"max_frames": 5}, count)
        read(encoder, source, mask)
    assert shapes_of == {"backbone": {(4, 3, SIDE, SIDE)}, "proj": {(4, 16, 16)}, "temporal": {(64, 5, SIZE)}}


@every
@pytest.mark.parametrize("training", [False, True])
def test_features_of_a_cache_equal_pixels_to_the_last_bit(changed: dict[str, Any], training: bool) -> None:
    """A frozen backbone's, in training too, and whatever batch the cache was filled in."""
    if "max_frames" in changed or "backbone" not in changed:
        changed = changed | {
            "backbone": "resnet18",
            "stages": 1,
            "norm": "batch",
            "weights": "x",
            "blocks": (1, 1, 1),
            "channels": 32,
            "self_attention": None,
        }
    encoder = make(**changed, frozen=True).train(training)
    source, mask = sources(changed)
    features = torch.cat([encoder.features(source[:1]), encoder.features(source[1:])])
    assert features.shape == (*source.shape[:-3], 64, 8, 8)
    want, got = read(encoder, source, mask), read(encoder, features, mask)
    assert torch.equal(got.keys_BSK, want.keys_BSK)
    assert torch.equal(got.summary_BV, want.summary_BV)
    assert got.grid == want.grid
    rounded = read(encoder, features.half(), mask)
    assert rounded.keys_BSK.dtype == want.keys_BSK.dtype
    torch.testing.assert_close(rounded.keys_BSK, want.keys_BSK, rtol=0, atol=0.02)


@every
def test_encoder_trains_in_half_precision(changed: dict[str, Any]) -> None:
    encoder = make(**changed).train()
    source, mask = sources(changed)
    with torch.autocast("cpu", torch.bfloat16):
        memory = encoder(source, mask)
    memory.keys_BSK.float().square().sum().backward()
    assert all(
        torch.isfinite(parameter.grad).all()
        for parameter in encoder.parameters()
        if parameter.grad is not None
    )
    encoder.eval()
    torch.testing.assert_close(
        read(encoder, source, mask).summary_BV, memory.summary_BV.float(), rtol=0.1, atol=0.15
    )


# What is never trained


def frozen() -> dict[str, Any]:
    return {
        "backbone": "resnet18",
        "stages": 2,
        "norm": "batch",
        "weights": "x",
        "frozen": True,
        "blocks": (1, 1, 1),
        "channels": 32,
    }


def test_backbone_frozen_has_no_gradient_and_builds_no_graph() -> None:
    model = build(of_images(**frozen()), 0, TARGET).train()
    encoder = model.encoder
    assert isinstance(encoder, ImageEncoder)
    assert encoder.training
    assert not any(module.training for module in encoder.backbone.modules())
    assert not encoder.features(pixels(2)).requires_grad
    assert model(*sources({}), torch.randint(4, TARGET, (3, 4))).logits.requires_grad
    model(*sources({}), torch.randint(4, TARGET, (3, 4))).logits.sum().backward()
    assert all(
        parameter.grad is None and not parameter.requires_grad for parameter in encoder.backbone.parameters()
    )
    assert encoder.proj.weight.grad is not None
    encoder.backbone.requires_grad_(True)  # whoever trains all there is
    assert not encoder.features(pixels(2)).requires_grad


def test_backbone_parameters_are_those_from_elsewhere() -> None:
    """All of the backbone, but not what self-attention adds to it."""
    encoder = build(of_images(**frozen() | {"frozen": False, "self_attention": 2}), 0, TARGET).encoder
    late = {id(parameter) for parameter in encoder.backbone_parameters()}
    names = {name for name, parameter in encoder.named_parameters() if id(parameter) in late}
    assert names == {
        name
        for name, _ in encoder.named_parameters()
        if name.startswith("backbone.") and "self_attention" not in name
    }
    assert not list(build(config.ModelConfig(), 9, 9).encoder.backbone_parameters())


def test_pixel_mean_and_std_are_no_parameters() -> None:
    names = set(make().state_dict())
    assert names == {name for name, _ in make().named_parameters()}


# Whole models


@pytest.mark.parametrize("decoder", DECODERS)
def test_captions_have_the_same_bits_in_any_batch(decoder: str) -> None:
    """Four at a time, as a search has them: the same bits beside others."""
    model = build(of_images(decoder, positions="sinusoidal"), 0, TARGET).eval()
    source, mask = sources({}, 8)
    tokens = torch.randint(4, TARGET, (8, 5))
    with torch.no_grad():
        together = model(source, mask, tokens).logits
        for first in (0, 4):
            rows = slice(first, first + 4)
            assert torch.equal(model(source[rows], mask[rows], tokens[rows]).logits, together[rows])


@pytest.mark.parametrize("init", ["glorot", "uniform", "bahdanau15"])
def test_init_leaves_the_first_weights_of_the_network(init: str) -> None:
    settings = of_images(blocks=(1, 1), channels=32, self_attention=2).model_copy(update={"init": init})
    model = build(settings, 0, TARGET)
    net: Any = model.encoder.get_submodule("backbone")
    assert net.layer2[0].conv2.weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    assert (net.bn1.weight == 1).all()
    assert net.self_attention.gain == 0
    if init == "uniform":
        assert model.encoder.get_parameter("proj.weight").abs().max() <= settings.init_range
