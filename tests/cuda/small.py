"""Presets made small, with a few pairs to train on. Widths change no count of operations, so that the depth
and the parts of a preset are its own.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tiny
from before_runs import ImageRows, TextRows, rows

from seq2attn import config
from seq2attn.config import Config
from seq2attn.data.batches import Pairs
from seq2attn.data.images.transforms import CaptionedImages, ImageTransform
from seq2attn.errors import UsageError
from seq2attn.runs import directory

PAIRS = 4  # of a batch, of lengths that differ a little


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


def vocabulary() -> int:
    """Entries of the vocabulary of either side."""
    return tiny.tokenizer("target").size


def pairs(settings: Config, source: int, target: int) -> Pairs:
    draw = np.random.default_rng(1)
    entries = vocabulary()

    def sequences(length: int) -> list[list[int]]:
        # EOS makes one more token
        return [draw.integers(4, entries, size=length - 1 - i % 3).tolist() for i in range(PAIRS)]

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
        source_size=vocabulary() if is_text else 0,
        target_size=vocabulary(),
        languages=(None, None),
        tokenizers={f"{name}.model": (path.parent / name).read_bytes() for name in names},
        corpus="random",
        force=False,
    )
