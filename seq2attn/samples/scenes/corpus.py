"""The corpus: the splits of scenes, and a scene as a row of a table.

This module knows the columns of a row. The modules beside it make scenes, images and captions.
"""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from seq2attn.samples.image_files import png
from seq2attn.samples.scenes.captions import captions
from seq2attn.samples.scenes.drawing import render
from seq2attn.samples.scenes.scene import Scene, stream

SIZES = {"train": 4_000, "valid": 500, "test": 500}


def splits(seed: int, sizes: Mapping[str, int]) -> dict[str, list[Scene]]:
    """The splits named in `sizes`, in its order. No two scenes have things of the same looks."""
    source = stream(seed)
    return {name: list(islice(source, size)) for name, size in sizes.items()}


def row(scene: Scene, number: int) -> dict[str, Any]:
    """The PNG of a scene, its five captions, and for each caption the boxes of the things that it names.

    A box is [word, left, top, right, bottom].
    """
    texts = captions(scene)
    return {
        "image": {"bytes": png(render(scene)), "path": f"{number:05}.png"},
        "captions": [caption.text for caption in texts],
        "boxes": [[[word, *thing.box] for word, thing in caption.named] for caption in texts],
    }


def rows(by_split: Mapping[str, list[Scene]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of each split, numbered from 1 through all of them."""
    numbers = iter(range(1, sum(map(len, by_split.values())) + 1))
    return {name: [row(scene, next(numbers)) for scene in scenes] for name, scenes in by_split.items()}
