"""Training on captioned images: it learns, goes on as if it had never stopped, is the same over batches and
processes; frozen, thawed and kept features.
"""

import importlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import image_toy as toy
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from toy import After

from seq2attn.data.images.dataset import CaptionedSplit
from seq2attn.data.images.transforms import CaptionedImages, ImageTransform
from seq2attn.data.prepared import Prepared
from seq2attn.errors import UserError
from seq2attn.inference import Captioner, feature_cache
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.models.vision.pretrained import pretrained
from seq2attn.own_code import allow_code
from seq2attn.runs import directory
from seq2attn.runs.tensors import read_tensors
from seq2attn.tasks import training as command
from seq2attn.tasks.captioning_data import CaptioningData
from seq2attn.training import resume, trainer
from seq2attn.training.events import Event, Finished, Interrupted, Scores, Update, Validation
from seq2attn.training.microbatches import microbatch
from seq2attn.training.objectives.cross_entropy import CrossEntropy
from seq2attn.training.sharding import ShardedModel, whole

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return toy.folder(tmp_path_factory.mktemp("stills") / "out", 24, 6)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return toy.folder(tmp_path_factory.mktemp("clips") / "out", 12, 4, 1, frames=(3, 1, 4, 2))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights for the first stage of a ResNet-18, norms and their statistics among them."""
    torch.manual_seed(77)
    net = toy.model(toy.settings("model.encoder.backbone=resnet18", "model.encoder.stages=1"), 20)
    tensors = {name: tensor.detach().clone() for name, tensor in net.encoder.backbone.state_dict().items()}
    for name in [name for name in tensors if name.endswith(".weight") and tensors[name].dim() == 1]:
        tensors[name.removesuffix("weight") + "running_mean"] = torch.randn_like(tensors[name]) * 0.1
        tensors[name.removesuffix("weight") + "running_var"] = torch.rand_like(tensors[name]) + 0.5
    path = tmp_path_factory.mktemp("weights") / "resnet.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def from_file(published: Path, *changes: str) -> list[str]:
    return [
        "model.encoder.backbone=resnet18",
        "model.encoder.stages=1",
        "model.encoder.norm=batch",
        f"model.encoder.weights={published}",
        *changes,
    ]


def with_published(conf: toy.Config, of: Prepared, seed: int = 1) -> Seq2Seq:
    net = toy.model(conf, of.target_tokenizer.size, seed)
    pretrained(net, conf.model)
    return net


def everything(path: Path) -> tuple[trainer.State, dict[str, torch.Tensor], list[dict[str, object]]]:
    """The last state, its tensors, and the log but for what a clock says."""
    loaded = resume.load_state(directory.open_run(path, trained=False))
    assert loaded is not None
    lines = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    return *loaded, [
        {name: value for name, value in line.items() if name not in ("speed", "elapsed")} for line in lines
    ]


def assert_same(one: Path, other: Path) -> None:
    (state, tensors, log), (state_2, tensors_2, log_2) = everything(one), everything(other)
    assert (state.step, state.epoch, state.position, state.best) == (
        state_2.step,
        state_2.epoch,
        state_2.position,
        state_2.best,
    )
    assert tensors.keys() == tensors_2.keys()
    assert [name for name in tensors if not torch.equal(tensors[name], tensors_2[name])] == []
    assert log == log_2


def backbone_of(model: Seq2Seq) -> dict[str, torch.Tensor]:
    return {
        name: tensor.detach().clone()
        for name, tensor in model.encoder.get_submodule("backbone").state_dict().items()
    }


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> list[str]:
    return [name for name in before if not torch.equal(before[name], after[name])]


# Learning


@pytest.mark.slow
def test_captioner_learns_colours_and_places(tmp_path: Path) -> None:
    of = toy.folder(tmp_path / "data", 72, 24, 1)
    conf = toy.settings(
        "train.max_steps=150", "train.validate_every=150", "model.dropout=0.0", "train.batch_tokens=36"
    )
    net = toy.model(conf, of.target_tokenizer.size)
    toy.fit(tmp_path / "run", conf, of, net)
    split = of.captioned_split("valid")
    captioner = Captioner(net, of.target_tokenizer, conf)
    found = captioner.caption(
        [captioner.decode_pixels(split.content(number), "toy") for number in range(24)], beam=2
    )
    right = sum(
        captions[0].text == references[0] for captions, references in zip(found, split.captions, strict=True)
    )
    assert right >= 22


@pytest.mark.slow
def test_captioner_learns_directions_of_clips(tmp_path: Path) -> None:
    """The same images in one order or the other: what tells the two apart is time alone."""
    images = []
    for number in range(48):
        ends = ("left", "right") if number % 2 else ("right", "left")
        frames = [
            toy.encoded(toy.pixels("red", place, 10 * number + k))
            for k, place in enumerate((ends[0], ends[0], ends[1]))
        ]
        images.append(
            toy.image(number, 0, "train" if number < 40 else "valid", frames)._replace(
                captions=(f"to {ends[1]}",)
            )
        )
    toy.prepare(tmp_path / "data", images, clips=True)
    of = Prepared(tmp_path / "data")
    conf = toy.settings(
        "model.encoder.max_frames=3", "train.max_steps=80", "train.validate_every=80", "model.dropout=0.0"
    )
    net = toy.model(conf, of.target_tokenizer.size)
    toy.fit(tmp_path / "run", conf, of, net)
    split, captioner = of.captioned_split("valid"), Captioner(net, of.target_tokenizer, conf)
    found = captioner.caption(
        [captioner.decode_pixels(split.content(number), "toy") for number in range(8)], beam=1
    )
    assert [captions[0].text for captions in found] == [references[0] for references in split.captions]


# Going on


VARIANTS = {
    "plain": (),
    "varied": (
        "train.max_crop=0.3",
        "train.flip=true",
        "train.color_jitter=0.2",
        "train.captions_per_image=1",
    ),
    "thawed": (
        "train.unfreeze_step=8",
        "train.backbone_lr_factor=0.3",
        "train.weight_decay=0.1",
        "train.optimizer=adamw",
    ),
    "thawed-before": ("train.unfreeze_step=3", "train.ema=0.9"),
    "critical": ("train.self_critical.start_step=8", "train.self_critical.samples=2"),
    "penalised": ("train.doubly_stochastic=0.5",),
}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(changes, id=name, marks=() if name == "critical" else pytest.mark.slow)
        for name, changes in VARIANTS.items()
    ],
)
def test_resume_after_six_and_six_steps_is_bit_for_bit_twelve(
    tmp_path: Path, stills: Prepared, changes: tuple[str, ...]
) -> None:
    conf = toy.settings("train.max_steps=12", *changes)
    toy.fit(tmp_path / "whole", conf, stills)
    stop = After(6)
    first = stop.watch(toy.events(tmp_path / "cut", conf, stills, stop=stop))
    assert (first[-1].reason, first[-1].step) == ("interrupted", 6)  # type: ignore[union-attr]
    torch.manual_seed(999)
    again = toy.fit(tmp_path / "cut", conf, stills, toy.model(conf, stills.target_tokenizer.size, 7))
    assert next(event for event in again if isinstance(event, Update)).step == 7
    assert_same(tmp_path / "whole", tmp_path / "cut")


def test_backbone_thaws_in_the_same_model_after_it_was_stopped_before(
    tmp_path: Path, stills: Prepared
) -> None:
    """What training froze for a while it gives back: whoever goes on with the model trains all of it."""
    conf = toy.settings("train.max_steps=12", "train.unfreeze_step=8")
    toy.fit(tmp_path / "whole", conf, stills)
    net, stop = toy.model(conf, stills.target_tokenizer.size), After(6)
    stop.watch(toy.events(tmp_path / "cut", conf, stills, net, stop=stop))
    assert all(parameter.requires_grad for parameter in net.parameters())
    toy.fit(tmp_path / "cut", conf, stills, net)
    assert_same(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.slow
def test_resume_of_clips_is_exact(tmp_path: Path, clips: Prepared) -> None:
    conf = toy.settings(
        "train.max_steps=8", "model.encoder.max_frames=4", "train.flip=true", "train.validate_every=4"
    )
    toy.fit(tmp_path / "whole", conf, clips)
    stop = After(4)
    stop.watch(toy.events(tmp_path / "cut", conf, clips, stop=stop))
    toy.fit(tmp_path / "cut", conf, clips)
    assert_same(tmp_path / "whole", tmp_path / "cut")


# Over batches, processes and formats


def test_update_of_two_batches_equals_one_large_batch(
    tmp_path: Path, stills: Prepared, float64: None
) -> None:
    found = []
    for parts in (1, 3):
        conf = toy.settings(
            f"train.accumulate={parts}",
            "train.max_steps=4",
            "model.dropout=0.0",
            "train.doubly_stochastic=0.3",
        )
        net = toy.model(conf, stills.target_tokenizer.size)
        training, _ = toy.views(stills, conf)
        order = [np.arange(0, 48)] if parts == 1 else [np.arange(0, 10), np.arange(10, 32), np.arange(32, 48)]
        training.plan = lambda *_, order=order: order  # type: ignore[method-assign]
        toy.fit(tmp_path / str(parts), conf, stills, net, training=training)
        found.append({name: tensor.clone() for name, tensor in net.state_dict().items()})
    for name, tensor in found[0].items():
        torch.testing.assert_close(tensor, found[1][name], rtol=1e-8, atol=1e-10)


WORKER = """
import sys
sys.path[:0] = {paths!r}
import torch, image_toy as toy
from pathlib import Path
from toy import After
from seq2attn.data.prepared import Prepared
from seq2attn.tasks.captioning_data import CaptioningData
from seq2attn.training.distributed import init_distributed
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
conf, of = toy.settings(*{changes!r}), Prepared({data!r})
with init_distributed(torch.device("cpu")) as world:
    if world.is_main:
        toy.run_at(Path({path!r}), conf, of)
    world.barrier()
    for steps in {stops!r}:
        net = toy.model(conf, of.target_tokenizer.size, 1 if world.is_main else 99)
        task, stop = CaptioningData(conf, of, net, world), After(steps)
        validate = task.validation_of(stop, lambda done, total: None)
        stop.watch(toy.events(Path({path!r}), conf, of, net, world=world, stop=stop, validate=validate))
"""


def two_processes(path: Path, of: Prepared, changes: tuple[str, ...], *stops: int) -> None:
    """Two processes train a run at `path`, as often as there are `stops`: steps until it ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = [str(ROOT / "tests"), str(ROOT / "tests" / "training")]
    code = WORKER.format(
        paths=paths, changes=changes, data=str(of.path), path=str(path), stops=stops or (10**9,)
    )
    place = {
        "PYTHONPATH": str(ROOT),
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
    }
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            env=os.environ | place | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    answers = [(worker.communicate(timeout=240)[1], worker.returncode) for worker in workers]
    assert answers == [("", 0), ("", 0)]


@pytest.mark.slow
def test_two_processes_equal_one(tmp_path: Path, stills: Prepared, float64: None) -> None:
    """With images varied at random, a backbone that thaws in between under weight decay, and captions that
    are drawn at the end.
    """
    common = (
        "train.max_steps=9",
        "train.max_crop=0.2",
        "train.unfreeze_step=4",
        "train.optimizer=adamw",
        "train.weight_decay=0.5",
        "train.self_critical.start_step=7",
        "train.self_critical.samples=2",
    )
    toy.fit(tmp_path / "one", toy.settings(*common, "train.accumulate=2"), stills)
    two_processes(tmp_path / "two", stills, common)
    (state, alone, _), (state_2, both, _) = everything(tmp_path / "one"), everything(tmp_path / "two")
    assert (state.step, state.epoch, state.position) == (state_2.step, state_2.epoch, state_2.position)
    assert alone.keys() == both.keys()
    for name, tensor in alone.items():
        torch.testing.assert_close(tensor, both[name], rtol=1e-7, atol=1e-10)


SHARDED = {
    "recurrent": (),
    "sampled": ("model.attention.normaliser=hard-sample",),
    "clips": ("model.encoder.max_frames=4",),
    "transformer": (
        *("model.decoder.kind=transformer", "model.decoder.size=8", "model.decoder.layers=2"),
        *("model.decoder.heads=2", "model.decoder.feedforward=16", "model.attention.score=scaled-dot"),
    ),
}


@pytest.fixture
def alone_in_a_group() -> Iterator[None]:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("alone_in_a_group")
@pytest.mark.parametrize("kind", SHARDED)
def test_shards_of_images_have_the_gradient_of_whole_weights(
    stills: Prepared, clips: Prepared, kind: str
) -> None:
    of = clips if kind == "clips" else stills
    conf = toy.settings(*SHARDED[kind])
    pairs, _ = toy.views(of, conf)
    batch = microbatch(pairs, np.arange(6), 1, toy.ALONE.device)
    losses, gradients = [], []
    for in_shards in (False, True):
        net = toy.model(conf, of.target_tokenizer.size)
        shards = ShardedModel(net, toy.ALONE) if in_shards else None
        objective = CrossEntropy(net, conf.train, nullcontext, -1.0)
        torch.manual_seed(5)
        sums = shards.sums(objective, batch, 5, last=True) if shards else objective(batch, 5)
        sums.objective.backward()
        losses.append(sums.loss.item())
        own = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
        gradients.append(whole(own))
    assert losses[0] == losses[1]
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SHARDED)
def test_shards_of_images_train_as_one_process(
    tmp_path: Path, stills: Prepared, clips: Prepared, float64: None, kind: str
) -> None:
    """Validated by captions, saved by two processes, and continued by them."""
    of = clips if kind == "clips" else stills
    common = (
        *("train.max_steps=8", "train.validate_every=4", "train.metric=cider", "train.ema=0.9"),
        *("train.optimizer=adamw", "train.weight_decay=0.1", "train.doubly_stochastic=0.1"),
        *SHARDED[kind],
    )
    conf = toy.settings(*common, "train.accumulate=2")
    net = toy.model(conf, of.target_tokenizer.size)
    validate = CaptioningData(conf, of, net, toy.ALONE).validation_of(lambda: False, quiet_progress)
    toy.fit(tmp_path / "one", conf, of, net, validate=validate)
    two_processes(tmp_path / "two", of, (*common, "train.shard=true"), 5, 10**9)
    (state, alone, log), (state_2, both, log_2) = everything(tmp_path / "one"), everything(tmp_path / "two")
    assert (state.step, state.epoch, state.position) == (state_2.step, state_2.epoch, state_2.position)
    assert state.best is not None
    assert state_2.best is not None
    assert state.best.step == state_2.best.step
    assert alone.keys() == both.keys()
    for name, tensor in alone.items():
        torch.testing.assert_close(tensor, both[name], rtol=1e-7, atol=1e-10)
    for line, line_2 in zip(log, log_2, strict=True):
        assert line == pytest.approx(line_2, rel=1e-7)


def quiet_progress(done: int, total: int) -> None: ...


@pytest.mark.parametrize(
    "more",
    [(), ("train.self_critical.start_step=2", "train.self_critical.samples=2")],
    ids=["plain", "critical"],
)
def test_half_precision_learns(tmp_path: Path, stills: Prepared, more: tuple[str, ...]) -> None:
    conf = toy.settings("train.max_steps=6", "train.doubly_stochastic=0.1", "train.log_every=1", *more)
    net = toy.model(conf, stills.target_tokenizer.size)
    losses = [
        event.loss
        for event in toy.fit(tmp_path / "run", conf, stills, net, format="bf16")
        if isinstance(event, Update)
    ]
    assert len(losses) == 6
    assert losses[1] < losses[0]
    assert all(parameter.dtype == torch.float32 for parameter in net.parameters())


# The backbone: frozen, thawed, slower


def test_backbone_thaws_at_its_step(tmp_path: Path, stills: Prepared) -> None:
    """Weight decay and averages of the gradient leave it alone before, too."""
    conf = toy.settings(
        "train.max_steps=8",
        "train.unfreeze_step=5",
        "train.optimizer=adamw",
        "train.weight_decay=0.5",
        "train.warmup=0",
    )
    net = toy.model(conf, stills.target_tokenizer.size)
    first, own = backbone_of(net), net.encoder.get_parameter("proj.weight").detach().clone()
    rates = {}
    for event in toy.events(tmp_path / "run", conf, stills, net):
        if isinstance(event, Update):
            rates[event.step] = changed(first, backbone_of(net))
            assert not torch.equal(net.encoder.get_parameter("proj.weight"), own)
    assert [bool(rates[step]) for step in range(1, 9)] == [False] * 5 + [True] * 3
    assert set(rates[8]) == {name for name, _ in net.encoder.get_submodule("backbone").named_parameters()}


def test_backbone_has_its_own_rate(tmp_path: Path, stills: Prepared) -> None:
    steps = {}
    for factor in (1.0, 0.25):
        conf = toy.settings(
            "train.max_steps=1",
            "train.optimizer=sgd",
            "train.warmup=0",
            "train.clip_norm=0",
            f"train.backbone_lr_factor={factor}",
        )
        net = toy.model(conf, stills.target_tokenizer.size)
        before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
        toy.fit(tmp_path / str(factor), conf, stills, net)
        steps[factor] = {
            name: parameter.detach() - before[name] for name, parameter in net.named_parameters()
        }
    for name, step in steps[1.0].items():
        scale = 0.25 if name.startswith("encoder.backbone.") else 1.0
        torch.testing.assert_close(steps[0.25][name], step * scale, rtol=1e-3, atol=1e-7)
    assert any(
        step.abs().max() > 1e-5 for name, step in steps[1.0].items() if name.startswith("encoder.backbone.")
    )


@pytest.fixture
def frozen(published: Path) -> toy.Config:
    return toy.settings(
        *from_file(published, "model.encoder.frozen=true", "train.max_steps=6", "model.dropout=0.0")
    )


def test_frozen_backbone_does_not_change(tmp_path: Path, stills: Prepared, frozen: toy.Config) -> None:
    net = with_published(frozen, stills)
    first = backbone_of(net)
    toy.fit(tmp_path / "run", frozen, stills, net)
    assert changed(first, backbone_of(net)) == []
    assert not any(
        parameter.requires_grad for parameter in net.encoder.get_submodule("backbone").parameters()
    )
    kept = read_tensors(tmp_path / "run" / "model.safetensors")
    assert all(
        torch.equal(kept[f"encoder.backbone.{name}"], tensor)
        for name, tensor in first.items()
        if f"encoder.backbone.{name}" in kept
    )


def made_by(conf: toy.Config, of: Prepared, net: Seq2Seq, cache: Path) -> dict[str, np.ndarray]:
    return {
        name: feature_cache.features(of.captioned_split(name), net.encoder, conf.model.encoder, cache, quiet)
        for name in ("train", "valid")
    }  # type: ignore[arg-type]


def quiet(stage: str, done: int, total: int | None) -> None: ...


@pytest.mark.parametrize("moving", [False, True], ids=["stills", "clips"])
def test_training_on_cached_features_equals_training_on_pixels(
    tmp_path: Path, stills: Prepared, clips: Prepared, frozen: toy.Config, moving: bool
) -> None:
    of, conf = (
        (clips, toy.config.change(frozen, ["model.encoder.max_frames=4"])) if moving else (stills, frozen)
    )
    losses, weights = [], []
    features = made_by(conf, of, with_published(conf, of), tmp_path / "cache")
    assert features["train"].dtype == np.float16
    assert features["train"].shape == ((12, 4, 64, 4, 4) if moving else (24, 64, 4, 4))
    for name, kept in (("pixels", None), ("features", features)):
        net = with_published(conf, of)
        found = toy.fit(tmp_path / name, conf, of, net, kept)
        losses.append([event.loss for event in found if isinstance(event, Update | Validation)])
        weights.append({key: tensor.clone() for key, tensor in net.state_dict().items()})
    assert losses[0] == pytest.approx(losses[1], rel=3e-3)
    assert losses[0][-1] < losses[0][0]
    for key, tensor in weights[0].items():
        torch.testing.assert_close(tensor, weights[1][key], rtol=0.05, atol=0.01)


def test_cached_features_are_those_of_each_image(
    tmp_path: Path, stills: Prepared, frozen: toy.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever number is looked at together; made once, and read afterwards."""
    net, split = with_published(frozen, stills), stills.captioned_split("train")
    features = made_by(frozen, stills, net, tmp_path)["train"]
    images = toy.images_of(CaptionedImages(split, ImageTransform.of(frozen.model.encoder), None))  # type: ignore[arg-type]
    pixels = torch.from_numpy(np.stack([image[0] for image in images])).movedim(-1, 1)
    assert np.array_equal(features, net.encoder.features(pixels).half().numpy())
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    monkeypatch.setattr(feature_cache, "_make", None)
    # the decoder's weights have no part in it
    again = made_by(frozen, stills, with_published(frozen, stills, 9), tmp_path)["train"]
    assert np.array_equal(again, features)
    assert sorted(tmp_path.iterdir()) == files


@pytest.mark.parametrize(
    "change",
    [
        "model.encoder.image_size=20",
        "model.encoder.resize=crop",
        "model.encoder.mean=[0.1,0.2,0.3]",
        "model.encoder.std=[0.3,0.3,0.3]",
        "model.encoder.max_frames=2",
        "weights",
        "images",
        "model.encoder.size=16",
    ],
)
def test_feature_key_depends_on_settings_weights_and_images(
    tmp_path: Path, stills: Prepared, frozen: toy.Config, change: str
) -> None:
    split, net = stills.captioned_split("valid"), with_published(frozen, stills)
    key = feature_cache._key(split, net.encoder, frozen.model.encoder)  # type: ignore[arg-type]
    conf = frozen
    if change == "weights":
        with torch.no_grad():
            net.encoder.get_parameter("backbone.conv1.weight")[0, 0, 0, 0] += 1e-3
    elif change == "images":
        toy.prepare(
            tmp_path / "other",
            [
                toy.image(number + 100 * (number == 3), 1, split)
                for number, split in enumerate(["train", "valid"] * 6)
            ],
        )
        split = Prepared(tmp_path / "other").captioned_split("valid")
    else:
        conf = toy.config.change(frozen, [change])
        net = with_published(conf, stills)
    assert (feature_cache._key(split, net.encoder, conf.model.encoder) == key) == (
        change == "model.encoder.size=16"
    )  # type: ignore[arg-type]


def test_feature_key_depends_on_code_of_an_external_backbone(
    tmp_path: Path, stills: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same name and the same weights."""
    monkeypatch.syspath_prepend(str(tmp_path))
    conf = toy.settings("model.encoder.backbone=changing_backbone:make", "model.encoder.frozen=true")
    split, keys = stills.captioned_split("valid"), []
    for after in ("ReLU", "ReLU", "Sigmoid"):
        (tmp_path / "changing_backbone.py").write_text(
            "from torch import nn\n\n"
            f"def make():\n    return nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.{after}())\n"
        )
        monkeypatch.delitem(sys.modules, "changing_backbone", raising=False)
        importlib.invalidate_caches()
        with allow_code():
            net = toy.model(conf, stills.target_tokenizer.size)
        keys.append(feature_cache._key(split, net.encoder, conf.model.encoder))  # type: ignore[arg-type]
    assert keys[0] == keys[1]
    assert keys[0] != keys[2]


def test_feature_cache_reports_a_full_disk_in_one_line(
    tmp_path: Path, stills: Prepared, frozen: toy.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, split = with_published(frozen, stills), stills.captioned_split("valid")
    (tmp_path / "file").write_text("")
    with pytest.raises(
        UserError, match=r"make room, or remove the file, or set XDG_CACHE_HOME to another folder$"
    ):
        feature_cache.features(split, net.encoder, frozen.model.encoder, tmp_path / "file" / "cache", quiet)  # type: ignore[arg-type]
    features = feature_cache.features(split, net.encoder, frozen.model.encoder, tmp_path / "cache", quiet)  # type: ignore[arg-type]
    (path,) = (tmp_path / "cache").iterdir()
    del features
    whole = path.read_bytes()
    for damaged in (whole[:500], whole[:50], b"", b"PK\x03\x04" + whole):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"\.npy: .*; make room, or remove the file"):
            feature_cache.features(split, net.encoder, frozen.model.encoder, tmp_path / "cache", quiet)  # type: ignore[arg-type]
    path.unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", full)
    with pytest.raises(UserError, match=r"\.npy: No space left on device; make room"):
        feature_cache.features(split, net.encoder, frozen.model.encoder, tmp_path / "cache", quiet)  # type: ignore[arg-type]
    assert list((tmp_path / "cache").iterdir()) == []


def test_features_of_a_resumed_run_are_of_its_own_backbone(
    tmp_path: Path, stills: Prepared, frozen: toy.Config
) -> None:
    """The file of published weights may be gone by then; a run that has saved nothing yet still starts from
    it.
    """
    toy.run_at(tmp_path / "run", frozen, stills)
    run = directory.open_run(tmp_path / "run", trained=False)
    first = backbone_of(with_published(frozen, stills))
    assert changed(first, backbone_of(command.build_model(frozen, stills, toy.ALONE, run))) == []
    toy.fit(tmp_path / "run", frozen, stills, with_published(frozen, stills))
    gone = toy.config.change(frozen, ["model.encoder.weights=gone.safetensors"])
    assert changed(first, backbone_of(command.build_model(gone, stills, toy.ALONE, run))) == []
    assert changed(first, backbone_of(command.build_model(frozen, stills, toy.ALONE, None))) == []


@pytest.mark.parametrize(
    ("more", "kept"),
    [
        ((), {"train", "valid"}),
        (("train.flip=true",), {"valid"}),
        (("train.color_jitter=0.1",), {"valid"}),
        (("train.max_crop=0.1",), {"valid"}),
    ],
)
def test_features_are_cached_where_nothing_varies(
    tmp_path: Path,
    stills: Prepared,
    frozen: toy.Config,
    more: tuple[str, ...],
    kept: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    conf = toy.config.change(frozen, more)
    task = CaptioningData(conf, stills, with_published(conf, stills), toy.ALONE)
    assert {
        name for name, of in (("train", task.training), ("valid", task.validation)) if of.features is not None
    } == kept  # type: ignore[attr-defined]
    thawed = toy.settings()
    task = CaptioningData(thawed, stills, toy.model(thawed, stills.target_tokenizer.size), toy.ALONE)
    assert task.training.features is None  # type: ignore[attr-defined]
    assert task.validation.features is None  # type: ignore[attr-defined]
    assert task.example("a.png", "one", "two") == "  image      a.png\n  reference  one\n  caption    two"


# Validation


@pytest.mark.parametrize("keep", [False, True])
def test_validation_scores_the_models_captions(
    tmp_path: Path, stills: Prepared, frozen: toy.Config, keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of as many images as asked for, from pixels or kept features; it ends when training is to stop."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    conf = toy.config.change(frozen if keep else toy.settings(), ["train.validate_sentences=4"])
    net = with_published(conf, stills) if keep else toy.model(conf, stills.target_tokenizer.size)
    task = CaptioningData(conf, stills, net, toy.ALONE)
    calls = []
    scores = task.validation_of(lambda: bool(calls.append(1)), lambda done, total: None)(net)
    assert calls
    split = stills.captioned_split("valid")
    captioner = Captioner(net, stills.target_tokenizer, conf)
    answers = [
        captioner.caption([captioner.decode_pixels(split.content(number), "toy")])[0][0].text
        for number in range(4)
    ]
    assert scores.sample == (split.names[2], split.captions[2][0], answers[2])
    assert set(scores.values) == {"bleu", "cider"}
    with pytest.raises(Interrupted):
        task.validation_of(lambda: True, lambda done, total: None)(net)


def test_validation_scores_are_full_where_captions_are_references(
    tmp_path: Path, stills: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    conf = toy.settings()
    net = toy.model(conf, stills.target_tokenizer.size)
    task = CaptioningData(conf, stills, net, toy.ALONE)
    split = stills.captioned_split("valid")
    monkeypatch.setattr(
        "seq2attn.tasks.captioning_data.caption",
        lambda captioner, split, numbers, **_: [split.captions[number][1] for number in numbers],
    )
    values = task.validation_of(lambda: False, lambda done, total: None)(net).values
    assert values["bleu"] == pytest.approx(100)
    assert values["cider"] > 0.4 * 10 * (100 if values["cider"] > 20 else 1)
    monkeypatch.setattr(
        "seq2attn.tasks.captioning_data.caption",
        lambda captioner, split, numbers, **_: ["nothing"] * len(numbers),
    )
    assert task.validation_of(lambda: False, lambda done, total: None)(net).values["cider"] == 0
    assert len(split) == 12


def test_best_weights_by_cider_are_saved(tmp_path: Path, stills: Prepared) -> None:
    given = iter([1.0, 7.0, 3.0, 5.0])
    conf = toy.settings("train.metric=cider")
    weights: list[torch.Tensor] = []

    def validate(model: Seq2Seq) -> Scores:
        weights.append(model.encoder.get_parameter("proj.weight").detach().clone())
        return Scores({"bleu": 100.0 - len(weights), "cider": next(given)})

    found = toy.fit(tmp_path / "run", conf, stills, validate=validate)
    assert [event.best for event in found if isinstance(event, Validation)] == [True, True, False, False]
    assert isinstance(found[-1], Finished)
    assert found[-1].best_step == 10
    assert torch.equal(
        read_tensors(tmp_path / "run" / "model.safetensors")["encoder.proj.weight"], weights[1]
    )


def test_missing_image_ends_training_in_its_turn(
    tmp_path: Path, stills: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are made beside training: what goes wrong there is raised here, in one line."""
    before = CaptionedSplit.content
    monkeypatch.setattr(
        CaptionedSplit, "content", lambda split, number: [b"?"] if number == 3 else before(split, number)
    )
    events: Iterator[Event] = toy.events(tmp_path / "run", toy.settings(), stills)
    with pytest.raises(UserError, match=r"^003\.png: not an image"):
        list(events)


@pytest.mark.parametrize("moving", [False, True], ids=["stills", "clips"])
def test_validation_has_the_attention_of_a_few_images_by_name(
    stills: Prepared, clips: Prepared, moving: bool
) -> None:
    of, conf = (
        (clips if moving else stills),
        toy.settings(*(["model.encoder.max_frames=4"] if moving else [])),
    )
    net = toy.model(conf, of.target_tokenizer.size)
    own = CaptioningData(conf, of, net, toy.ALONE).validation_of(lambda: False, quiet_progress)(net).attention
    assert own is not None
    assert {pair.name for pair in own.pairs} <= set(of.captioned_split("valid").names)
    assert len({pair.name for pair in own.pairs}) == 3
    for pair, weights in zip(own.pairs, own.weights, strict=True):
        assert weights.shape[2:] == pair.shape
        assert (pair.grid is None, pair.frames is None) == (moving, not moving)
