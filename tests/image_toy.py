"""Captioned images to test with: one coloured half of a small noisy image, or clips in which it moves;
corpora, prepared folders and tiny models of them.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import numpy as np
import torch
from PIL import Image

from seq2attn import config
from seq2attn.config import Config
from seq2attn.data.images.corpus import Box, CaptionedImage, ImageCorpus
from seq2attn.data.images.transforms import CaptionedImages, ImageTransform
from seq2attn.data.prepare import prepare as prepare_folder
from seq2attn.data.prepared import Prepared
from seq2attn.data.tokenizer import EOS, Tokenizer
from seq2attn.errors import UserError
from seq2attn.evaluation.rewards import cider_rewards
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.runs import directory
from seq2attn.runs.directory import Run
from seq2attn.runs.tensors import save_weights
from seq2attn.training import trainer
from seq2attn.training.distributed import World
from seq2attn.training.events import Event

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 50, 220)}
PLACES = ("left", "right", "top", "bottom")
SIDE = 16
ALONE = World(torch.device("cpu"))


def encoded(pixels: np.ndarray, form: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form, **options)
    return file.getvalue()


def pixels(colour: str, place: str, seed: int, side: int = SIDE) -> np.ndarray:
    """Grey, with one half painted, and noise of its own."""
    values = np.full((side, side, 3), 90)
    half = side // 2
    part = {"left": np.s_[:, :half], "right": np.s_[:, half:], "top": np.s_[:half], "bottom": np.s_[half:]}[
        place
    ]
    values[part] = COLOURS[colour]
    return np.clip(values + np.random.default_rng(seed).integers(-15, 16, values.shape), 0, 255).astype(
        np.uint8
    )


def words(colour: str, place: str, count: int) -> tuple[str, ...]:
    """Captions of 2, 4, 6, ... words."""
    return tuple(" ".join(["there is"] * number + [colour, place]) for number in range(count))


def image(
    number: int,
    captions: int = 2,
    split: str | None = None,
    content: Sequence[bytes] | None = None,
    frames: int = 1,
) -> CaptionedImage:
    """The image of that number: each of the twelve kinds comes in its turn. A clip of `frames` begins on
    one side and ends on the other.
    """
    colour, place = list(COLOURS)[number % 3], PLACES[number // 3 % 4]
    other = PLACES[(number // 3 + 1) % 4]
    shown = [
        encoded(pixels(colour, place if 2 * frame < frames else other, 1000 * number + frame))
        for frame in range(frames)
    ]
    stills = list(content) if content is not None else shown
    return CaptionedImage(
        f"{number:03}.png",
        lambda: stills,
        words(colour, place, captions),
        f"captions.txt:{number + 1}",
        split,
    )


def broken(number: int, problem: str = "no such file") -> CaptionedImage:
    def content() -> list[bytes]:
        raise UserError(f"{number:03}.png: {problem}")

    return image(number)._replace(content=content)


def corpus(images: Sequence[CaptionedImage], clips: bool = False) -> ImageCorpus:
    def read() -> Iterator[CaptionedImage]:
        yield from images

    return ImageCorpus("toy", "en", read, clips)


def prepare(
    path: Path, images: Sequence[CaptionedImage], clips: bool = False, **options: object
) -> dict[str, object]:
    """The report of what stands prepared at `path` afterwards."""
    data = config.DataConfig.model_validate(
        {name: options.pop(name) for name in list(options) if name in config.DataConfig.model_fields}
    )
    with patch("seq2attn.data.prepare.open_corpus", return_value=corpus(images, clips)):
        return prepare_folder("toy", path, data, **options)  # type: ignore[arg-type]


def folder(
    path: Path, train: int = 48, valid: int = 12, captions: int = 2, frames: tuple[int, ...] = ()
) -> Prepared:
    """Prepared at `path`: stills, or clips whose numbers of frames come in turn."""
    images = [
        image(
            number,
            captions,
            "train" if number < train else "valid",
            frames=frames[number % len(frames)] if frames else 1,
        )
        for number in range(train + valid)
    ]
    prepare(path, images, bool(frames))
    return Prepared(path)


def tokenizer() -> Tokenizer:
    return Tokenizer.train(
        [
            caption
            for number in range(12)
            for caption in words(list(COLOURS)[number % 3], PLACES[number // 3], 3)
        ],
        100,
        "word",
        False,
    )


def settings(*changes: str) -> Config:
    """A tiny residual network of 4 x 4 positions and a GRU with attention, 20 steps, validated by loss;
    changed by `train.lr=1` and the like.
    """
    tree: dict[str, Any] = {
        "model": {
            "embedding": 8,
            "dropout": 0.1,
            "encoder": {
                "kind": "image",
                "backbone": "resnet",
                "blocks": [1],
                "channels": 8,
                "image_size": SIDE,
                "size": 8,
                "positions": "sinusoidal",
            },
            "decoder": {"cell": "gru", "size": 16, "bridge": "mean"},
            "attention": {"size": 8},
        },
        "train": {
            "max_steps": 20,
            "batch_tokens": 60,
            "lr": 0.01,
            "warmup": 4,
            "schedule": "constant",
            "validate_every": 5,
            "log_every": 2,
            "metric": "loss",
            "label_smoothing": 0.0,
        },
        "search": {"max_length": 8},
    }
    config.assign_all(tree, changes)
    if tree["model"]["encoder"]["backbone"] != "resnet":  # whose these are alone
        tree["model"]["encoder"] = {
            name: value
            for name, value in tree["model"]["encoder"].items()
            if name not in ("blocks", "channels")
        }
    return config.validate(tree, "test")


def model(conf: Config, vocabulary: int, seed: int = 1, sharpness: float | None = None) -> Seq2Seq:
    """With its first weights or, with a sharpness, random ones that make outputs of several lengths, the
    surer of themselves the larger it is.
    """
    torch.manual_seed(seed)
    net = build(conf.model, 0, vocabulary)
    if sharpness is not None:
        with torch.no_grad():
            for name, weight in net.named_parameters():
                if not name.startswith("encoder.backbone"):
                    weight.copy_(torch.randn_like(weight) * sharpness / max(weight.shape[-1], 9) ** 0.5)
            net.decoder.output.bias[EOS] += sharpness
    return net


def views(
    of: Prepared, conf: Config, features: dict[str, np.ndarray] | None = None
) -> tuple[CaptionedImages, CaptionedImages]:
    """Training and validation, of pixels or of what was made of them."""
    assert conf.model.encoder.kind == "image"
    view, features = ImageTransform.of(conf.model.encoder), features or {}
    train, valid = of.captioned_split("train"), of.captioned_split("valid")
    return CaptionedImages(train, view, conf.train, features.get("train")), CaptionedImages(
        valid, view, None, features.get("valid")
    )


def run_at(path: Path, conf: Config, of: Prepared) -> Run:
    """A run of those settings, new or gone on with."""
    vocabulary = of.target_tokenizer.size
    if not directory.is_run(path):
        content = {"target.model": (of.path / "target.model").read_bytes()}
        directory.create(
            path,
            conf,
            source_size=0,
            target_size=vocabulary,
            languages=(None, "en"),
            tokenizers=content,
            corpus="toy",
            force=False,
        )
    return replace(directory.open_run(path, trained=False), config=conf)


def events(
    path: Path,
    conf: Config,
    of: Prepared,
    net: Seq2Seq | None = None,
    features: dict[str, np.ndarray] | None = None,
    **options: object,
) -> Iterator[Event]:
    """Of a run at `path`, new or gone on with; judged by CIDEr-D where it is self-critical."""
    if conf.train.self_critical.start_step is not None and "reward_function" not in options:
        options["reward_function"] = cider_rewards(
            of.captioned_split("train").captions, of.target_tokenizer, conf
        )
    net = net if net is not None else model(conf, of.target_tokenizer.size, conf.train.seed)
    training, validation = views(of, conf, features)
    pairs = options.pop("training", training)
    yield from trainer.train(net, run_at(path, conf, of), pairs, validation, **({"world": ALONE} | options))  # type: ignore[arg-type]


def fit(*arguments: Any, **options: object) -> list[Event]:
    return list(events(*arguments, **options))


def save_run(path: Path, conf: Config, seed: int = 1) -> Path:
    """A run directory whose best weights are those of `model(conf, ..., seed, 3.0)`."""
    own = tokenizer()
    own.save(path.parent / "target.bin")
    content = {"target.model": (path.parent / "target.bin").read_bytes()}
    run = directory.create(
        path,
        conf,
        source_size=0,
        target_size=own.size,
        languages=(None, "en"),
        tokenizers=content,
        corpus="toy",
        force=False,
    )
    save_weights(run, model(conf, own.size, seed, 3.0))
    return path


def boxed(number: int) -> CaptionedImage:
    half = SIDE / 2
    return image(number)._replace(
        boxes=((Box(0, 0, 0, half, SIDE),), (Box(2, 0, 0, half, SIDE), Box(3, 1.5, 2, half, SIDE)))
    )


def images_of(of: CaptionedImages) -> list[np.ndarray]:
    return [
        cast(np.ndarray, of.view.pixels(of.split.content(number), "toy"))
        for number in range(len(of.split.names))
    ]
