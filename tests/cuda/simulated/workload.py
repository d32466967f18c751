"""A model of a preset that trains for a few updates, saves, is loaded as any run, and decodes; and what each
update and each step of decoding does on the device.

The model has the preset's own depth and parts. It is narrow, because widths change no count.
"""

import contextlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
from before_runs import ImageRows, TextRows, rows

from seq2attn import config
from seq2attn.config import Config
from seq2attn.data.batches import Pairs
from seq2attn.data.images.transforms import CaptionedImages, ImageTransform
from seq2attn.inference import Captioner, Translator
from seq2attn.models.seq2seq import build
from seq2attn.runs import directory
from seq2attn.training import events, trainer
from seq2attn.training.distributed import World

from . import counts
from .counts import Summary

PAIRS = 4  # of a batch, of lengths that differ a little
STEPS = (4, 12)  # of two searches, whose difference is that of 8 steps


@dataclass
class Result:
    """What a preset did on the device."""

    losses: list[float] = field(default_factory=list)  # of each update
    norms: list[float] = field(default_factory=list)  # of each gradient
    updates: list[dict[str, int]] = field(default_factory=list)  # counts of each update
    seconds: list[float] = field(default_factory=list)
    decoding: dict[str, Summary] = field(default_factory=dict)  # of a step: "greedy", "beam"
    outputs: list[str] = field(default_factory=list)


def run(
    preset: str,
    format: Any = "bf16",
    *,
    source: int = 8,
    target: int = 8,
    updates: int = 2,
    changes: Sequence[str] = (),
    decode: bool = True,
    device: str = "cuda:0",
) -> Result:
    """Train the preset in that number format on sentences of about so many tokens, and decode."""
    settings = narrow(preset, [f"train.max_steps={updates}", "train.accumulate=1", *changes])
    result = Result()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run")
        train(path, settings, format, source, target, device, result)
        if decode:
            search(path, settings, format, device, result)
    return result


def narrow(preset: str, changes: Sequence[str]) -> Config:
    """The preset with small sizes. Sizes that do not fit together stay the preset's."""
    settings = config.load(preset, list(changes))
    sizes = []
    for side in ("encoder", "decoder"):
        part: Any = getattr(settings.model, side)
        if part.kind == "transformer":
            sizes += [f"model.{side}.size={8 * part.heads}", f"model.{side}.feedforward=32"]
            if settings.model.encoder.kind != "image":
                sizes += [f"model.embedding={8 * part.heads}"]
        elif part.kind in ("rnn", "conv"):
            sizes += [f"model.{side}.size=16"]
        else:
            sizes += ["model.encoder.image_size=64"]
    for count in range(len(sizes), 0, -1):
        with contextlib.suppress(Exception):
            return config.load(preset, [*changes, *sizes[:count]])
    return settings


def pairs(settings: Config, source: int, target: int) -> Pairs:
    draw = np.random.default_rng(1)
    vocabulary = tiny.tokenizer("target").size

    def sequences(length: int) -> list[list[int]]:
        # EOS makes one more token
        return [draw.integers(4, vocabulary, size=length - 1 - i % 3).tolist() for i in range(PAIRS)]

    if settings.model.modality.has_vocabulary:
        return TextRows(sequences(source), sequences(target))
    encoder: Any = settings.model.encoder
    split: Any = ImageRows(images(settings), [[ids] for ids in sequences(target)])
    return CaptionedImages(split, ImageTransform.of(encoder), None)


def images(settings: Config) -> list[bytes]:
    encoder: Any = settings.model.encoder
    return [content for content, _ in rows("clips" if encoder.clips else "scenes", "valid", PAIRS)]


def train(
    path: Path, settings: Config, format: Any, source: int, target: int, device: str, result: Result
) -> None:
    is_text = settings.model.modality.has_vocabulary
    sizes = {
        "source_size": tiny.tokenizer("source").size if is_text else 0,
        "target_size": tiny.tokenizer("target").size,
    }
    names = ("source", "target") if is_text else ("target",)
    for name in names:
        tiny.tokenizer(name).save(path.parent / name)
    tokenizers = {f"{name}.model": (path.parent / name).read_bytes() for name in names}
    run = directory.create(
        path, settings, **sizes, languages=(None, None), tokenizers=tokenizers, corpus="random", force=False
    )
    torch.manual_seed(1)
    place = torch.device(device)
    model = build(settings.model, *sizes.values()).to(place)
    data = pairs(settings, source, target)
    metric = settings.train.metric
    training = trainer.train(
        model,
        run,
        data,
        data,
        world=World(place),
        format=format,
        validate=lambda model: events.Scores({metric: 0.0}),
        reward_function=None if settings.train.self_critical.start_step is None else no_reward,
    )
    reset = counts.reset if place.type == "cuda" else (lambda: None)
    read = counts.read if place.type == "cuda" else dict
    reset()
    began = time.perf_counter()
    for event in training:
        if isinstance(event, events.Update):
            result.updates.append(read())
            result.seconds.append(time.perf_counter() - began)
            result.losses.append(event.loss)
            result.norms.append(event.norm)
        reset()
        began = time.perf_counter()


def no_reward(*arguments: object) -> Any:
    raise AssertionError("self-critical training begins later")


def search(path: Path, settings: Config, format: Any, device: str, result: Result) -> None:
    """Decode with the trained run, as the commands do."""
    system: Any
    if settings.model.modality.has_vocabulary:
        system = Translator.load(path, device=device, precision=format)
        inputs: list[Any] = tiny.ENGLISH[:PAIRS]
        decode = system.translate
    else:
        system = Captioner.load(path, device=device, precision=format)
        inputs, decode = images(settings), system.caption
    for name, beam in (("greedy", 1), ("beam", settings.search.beam if settings.search.beam > 1 else 5)):
        totals = []
        for steps in STEPS:
            if system.device.type == "cuda":
                counts.reset()
            outputs = decode(inputs, beam=beam, min_length=steps, max_length=steps)
            if system.device.type == "cuda":
                totals.append(counts.summary(counts.read()))
        if totals:
            few, many = totals
            differences = [(b - a) / (STEPS[1] - STEPS[0]) for a, b in zip(few, many, strict=True)]
            result.decoding[name] = Summary(*differences)  # type: ignore[arg-type]
        result.outputs += [ranked[0].text for ranked in outputs]
    decode(inputs[:2], beam=2, max_length=4, attention=True)
