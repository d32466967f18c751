"""Tiny captioned images and random models that describe them, quick to make: for tests of what is around a
model rather than of the model.
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from seq2attn import config
from seq2attn.config import Config
from seq2attn.data.images.corpus import Box, CaptionedImage, ImageCorpus
from seq2attn.data.prepare import prepare as prepare_folder
from seq2attn.data.prepared import Prepared
from seq2attn.data.tokenizer import EOS
from seq2attn.models.seq2seq import build
from seq2attn.runs import directory
from seq2attn.runs.tensors import save_weights

COLOURS = {"red": (220, 20, 20), "green": (20, 160, 20), "blue": (20, 20, 220)}
SPLITS = {"train": 12, "valid": 3, "test": 6, "test_plain": 2}
WIDTH, HEIGHT = 64, 32


def captions(number: int) -> tuple[str, ...]:
    """One to three of an image: a bar of a colour on one side."""
    colour, side = [*COLOURS][number % 3], ("left", "right")[number % 2]
    every = (
        f"a {colour} bar on the {side}",
        f"the bar is {colour}",
        f"on the {side} of it is a {colour} bar .",
    )
    return every[: 1 + number % 3]


def boxes(number: int) -> tuple[tuple[Box, ...], ...]:
    """The bar's, by the word "bar" of each caption."""
    left = number % 2 * WIDTH // 2
    return tuple(
        (Box(caption.split().index("bar"), left, 0, left + WIDTH // 2, HEIGHT),)
        for caption in captions(number)
    )


def png(number: int) -> bytes:
    pixels = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    left = number % 2 * WIDTH // 2
    pixels[:, left : left + WIDTH // 2] = [*COLOURS.values()][number % 3]
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def corpus(boxed: bool = True, clips: bool = False) -> ImageCorpus:
    def images() -> Iterator[CaptionedImage]:
        first = 0
        for split, count in SPLITS.items():
            for number in range(first, first + count):
                frames = [png(number), png(number + 1)] if clips else [png(number)]
                content = lambda frames=frames: frames
                has = boxes(number) if boxed and split != "test_plain" else ()
                yield CaptionedImage(
                    f"{number}.png", content, captions(number), f"captions:{number}", split, has
                )
            first += count

    return ImageCorpus("bars", "en", images, clips)


def numbers(split: str) -> range:
    """Those of a split's images."""
    first = sum(list(SPLITS.values())[: [*SPLITS].index(split)])
    return range(first, first + SPLITS[split])


def prepare(out: Path, patch: pytest.MonkeyPatch, of: ImageCorpus | None = None) -> Path:
    """The folder, now with that corpus or with our own."""
    patch.setattr("seq2attn.data.prepare.open_corpus", lambda *name, **options: of or corpus())
    prepare_folder("bars", out, config.DataConfig(vocab_size=60), shrink=True)
    return out


def settings(encoder: dict[str, object] | None = None, **decoder: object) -> Config:
    model = {
        "embedding": 12,
        "encoder": {
            "kind": "image",
            "backbone": "resnet",
            "blocks": [1],
            "channels": 4,
            "image_size": 32,
            "size": 8,
            "positions": "sinusoidal",
        }
        | (encoder or {}),
        "decoder": {"size": 16, "query_state": "previous", "context_to": ["input", "readout"]} | decoder,
        "attention": {"score": "additive", "size": 8},
    }
    return config.validate({"model": model, "search": {"max_length": 12}}, "tests")


def save_run(path: Path, data: Path, seed: int = 1, **parts: Any) -> Path:
    """A run directory of random weights with sharp outputs, as if trained on that prepared folder."""
    there, of = Prepared(data), settings(**parts)
    size = there.target_tokenizer.size
    files = {"target.model": (data / "target.model").read_bytes()}
    run = directory.create(
        path,
        of,
        source_size=0,
        target_size=size,
        languages=(None, "en"),
        tokenizers=files,
        corpus=str(data),
        force=False,
    )
    torch.manual_seed(seed)
    model = build(of.model, 0, size)
    with torch.no_grad():
        for weight in model.decoder.parameters():
            weight.copy_(torch.randn_like(weight) * 3 / max(weight.shape[-1], 9) ** 0.5)
        model.decoder.output.bias[EOS] += 3
    save_weights(run, model)
    return path
