"""The corpus: the splits of clips, and a clip as a row of a table.

A clip and its twin are in the same split. This module knows the columns of a row. The modules beside it make
clips, frames and captions.
"""

from collections.abc import Mapping
from itertools import chain, islice
from typing import Any

from seq2attn.samples.clips.captions import captions
from seq2attn.samples.clips.clip import Clip, stream
from seq2attn.samples.clips.frames import durations, render
from seq2attn.samples.image_files import gif

SIZES = {"train": 4_000, "valid": 250, "test": 250}


def splits(seed: int, sizes: Mapping[str, int]) -> dict[str, list[Clip]]:
    """The splits named in `sizes`, in its order; no deeds are in two.

    Twins follow each other; of an odd number, the last clip has none.
    """
    source = stream(seed)
    return {
        name: list(chain.from_iterable(islice(source, (size + 1) // 2)))[:size]
        for name, size in sizes.items()
    }


def row(clip: Clip, number: int) -> dict[str, Any]:
    """A clip's animated GIF and its three captions."""
    frames = render(clip)
    return {
        "clip": {"bytes": gif(list(frames), durations(len(frames))), "path": f"{number:05}.gif"},
        "captions": list(captions(clip)),
    }


def rows(by_split: Mapping[str, list[Clip]]) -> dict[str, list[dict[str, Any]]]:
    """Rows of each split, numbered from 1 through all of them."""
    numbers = iter(range(1, sum(map(len, by_split.values())) + 1))
    return {name: [row(clip, next(numbers)) for clip in clips] for name, clips in by_split.items()}
