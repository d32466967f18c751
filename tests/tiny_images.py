"""Tiny random models of images, and images for them: for tests of what is around a model that describes
rather than of the model.
"""

from pathlib import Path
from typing import Any

import numpy as np
import tiny
import torch
from PIL import Image

from seq2attn import config
from seq2attn.config import Config
from seq2attn.data.tokenizer import EOS
from seq2attn.inference import Captioner
from seq2attn.models.seq2seq import Seq2Seq, build
from seq2attn.runs import directory
from seq2attn.runs.tensors import save_weights

SIDE = 32


def settings(
    frames: int = 1,
    attention: dict[str, object] | None = None,
    encoder: dict[str, object] | None = None,
    **decoder: object,
) -> Config:
    """A model of a few thousand parameters that reads stills, or clips of so many `frames`; the others
    override model.attention, model.encoder and model.decoder.
    """
    recurrent = (
        {"size": 16, "query_state": "previous", "context_to": ["input", "readout"], "bridge": "mean"}
        if decoder.get("kind", "rnn") == "rnn"
        else {}
    )
    image = {
        "kind": "image",
        "backbone": "resnet",
        "blocks": [1, 1],
        "channels": 8,
        "image_size": SIDE,
        "size": 8,
        "max_frames": frames,
    }
    tree = {
        "data": {"joint": False},
        "model": {
            "embedding": 12,
            "encoder": image | (encoder or {}),
            "decoder": recurrent | decoder,
            "attention": {"score": "additive", "size": 8} | (attention or {}),
        },
    }
    return config.validate(tree, "tests")


def model(of: Config, seed: int = 1, sharpness: float = 3.0) -> Seq2Seq:
    """A random model, in training mode as training has it; the larger the sharpness, the surer of itself."""
    torch.manual_seed(seed)
    result = build(of.model, 0, tiny.tokenizer("target").size)
    with torch.no_grad():
        for weight in result.decoder.parameters():
            weight.copy_(torch.randn_like(weight) * sharpness / max(weight.shape[-1], 9) ** 0.5)
        result.decoder.output.bias[EOS] += sharpness  # so that captions end, some sooner and some later
    return result


def captioner(seed: int = 1, frames: int = 1, **changed: Any) -> Captioner:
    of = settings(frames, **changed)
    return Captioner(model(of, seed), tiny.tokenizer("target"), of, languages=(None, "fr"))


def save_run(path: Path, seed: int = 1, frames: int = 1, **changed: Any) -> Path:
    """A run directory whose best weights are those of `captioner(seed, frames, **changed)`."""
    of = settings(frames, **changed)
    tiny.tokenizer("target").save(path.parent / "target.bin")
    files = {"target.model": (path.parent / "target.bin").read_bytes()}
    run = directory.create(
        path,
        of,
        source_size=0,
        target_size=tiny.tokenizer("target").size,
        languages=(None, "fr"),
        tokenizers=files,
        corpus="tiny",
        force=False,
    )
    save_weights(run, model(of, seed))
    return path


def draw(path: Path, number: int, size: tuple[int, int] = (SIDE, SIDE)) -> Path:
    """An image like no other: two colours, divided at a place of its own."""
    chance = np.random.default_rng(number)
    pixels = np.empty((*size[::-1], 3), np.uint8)
    pixels[:] = chance.integers(0, 256, 3)
    pixels[chance.integers(4, size[1] - 4) :, chance.integers(4, size[0] - 4) :] = chance.integers(0, 256, 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path
