"""A model of a preset that trains for a few updates, saves, is loaded as any run, and decodes; and what each
update and each step of decoding does on the device.

The model has the preset's own depth and parts. It is narrow, because widths change no count.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tiny
import torch
from before_runs import ImageRows, TextRows, rows

from seq2attn import config
from seq2attn.config import Config
from seq2attn.data.batches import Pairs
from seq2attn.data.images.transforms import CaptionedImages, ImageTransform
from seq2attn.errors import UsageError
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
class Training:
    """What a training did, update by update."""

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)  # of the gradients
    counts: list[dict[str, int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def last(self) -> Summary:
        return counts.summary(self.counts[-1])


class Decoding(NamedTuple):
    """What a search does: in each step, and besides. Copies and waits of a step may be fractions."""

    step: Summary
    besides: Summary
    outputs: list[str]


def settings_of(preset: str, updates: int, changes: Sequence[str] = ()) -> Config:
    """The narrow preset, to be trained for so many updates of one batch each."""
    return narrow(preset, [f"train.max_steps={updates}", "train.accumulate=1", "train.log_every=1", *changes])


def narrow(preset: str, changes: Sequence[str]) -> Config:
    """The preset with all sizes divided by one number, so that those that are equal stay equal."""
    settings = config.load(preset, list(changes))
    heads = [(part.size, part.heads) for part in _parts(settings) if getattr(part, "heads", 1) > 1]
    # a head of 8 numbers is the smallest that every kernel of attention takes
    most = min((size // (8 * count) for size, count in heads if size), default=16)
    for divisor in (16, 8, 4, 2):
        if divisor <= most:
            with contextlib.suppress(UsageError):
                return config.load(preset, [*changes, *_sizes(settings, divisor)])
    return settings


def _parts(settings: Config) -> list[Any]:
    model = settings.model
    return [model, model.encoder, model.decoder, model.attention]


def _sizes(settings: Config, divisor: int) -> list[str]:
    sizes = []
    for part in _parts(settings):
        for name in ("embedding", "size", "readout_size", "feedforward", "channels"):
            if getattr(part, name, None) is not None:
                sizes.append(f"{part.path}.{name}={getattr(part, name) // divisor}")
    if settings.model.encoder.kind == "image":
        sizes.append("model.encoder.image_size=32")
    return sizes


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


def new_run(path: Path, settings: Config) -> directory.Run:
    """A run directory with tiny tokenizers."""
    is_text = settings.model.modality.has_vocabulary
    names = ("source", "target") if is_text else ("target",)
    path.parent.mkdir(parents=True, exist_ok=True)
    for name in names:
        tiny.tokenizer(name).save(path.parent / name)
    return directory.create(
        path,
        settings,
        source_size=tiny.tokenizer("source").size if is_text else 0,
        target_size=tiny.tokenizer("target").size,
        languages=(None, None),
        tokenizers={f"{name}.model": (path.parent / name).read_bytes() for name in names},
        corpus="random",
        force=False,
    )


def train(
    path: Path,
    settings: Config,
    format: Any,
    *,
    source: int = 8,
    target: int = 8,
    stop_after: int | None = None,
    device: str = "cuda:0",
) -> Training:
    """Train on sentences of about so many tokens, or go on if there is a run.

    It ends as if interrupted after `stop_after` updates.
    """
    run = directory.open_run(path, trained=False) if directory.is_run(path) else new_run(path, settings)
    torch.manual_seed(1)
    place, result = torch.device(device), Training()
    model = build(settings.model, run.source_size, run.target_size).to(place)
    data, metric = pairs(settings, source, target), settings.train.metric
    training = trainer.train(
        model,
        run,
        data,
        data,
        world=World(place),
        format=format,
        validate=lambda model: events.Scores({metric: 0.0}),
        reward_function=None if settings.train.self_critical.start_step is None else no_reward,
        stop=lambda: stop_after is not None and len(result.losses) >= stop_after,
    )
    counts.reset()
    began = time.perf_counter()
    for event in training:
        if isinstance(event, events.Update):
            result.counts.append(counts.read())
            result.seconds.append(time.perf_counter() - began)
            result.losses.append(event.loss)
            result.norms.append(event.norm)
        counts.reset()
        began = time.perf_counter()
    return result


def no_reward(*arguments: object) -> Any:
    raise AssertionError("self-critical training begins later")


def decode(path: Path, format: Any, device: str = "cuda:0") -> dict[str, Decoding]:
    """Greedy search and beam search with a trained run, as the commands do; and one with attention."""
    settings = directory.open_run(path).config
    system: Any
    if settings.model.modality.has_vocabulary:
        system = Translator.load(path, device=device, precision=format)
        inputs: list[Any] = tiny.ENGLISH[:PAIRS]
        search = system.translate
    else:
        system = Captioner.load(path, device=device, precision=format)
        inputs, search = images(settings), system.caption
    results = {}
    for name, beam in (("greedy", 1), ("beam", settings.search.beam if settings.search.beam > 1 else 5)):
        few, many = (
            _search(partial(search, inputs, beam=beam, min_length=steps, max_length=steps)) for steps in STEPS
        )
        each = [(b - a) / (STEPS[1] - STEPS[0]) for a, b in zip(few[0], many[0], strict=True)]
        besides = [a - STEPS[0] * step for a, step in zip(few[0], each, strict=True)]
        results[name] = Decoding(Summary(*each), Summary(*besides), many[1])
    search(inputs[:2], beam=2, max_length=4, attention=True)
    return results


def _search(search: Callable[[], list[list[Any]]]) -> tuple[Summary, list[str]]:
    counts.reset()
    outputs = search()
    return counts.summary(counts.read()), [str(ranked[0]) for ranked in outputs]
