"""What a model makes of the captioned images of a split: its captions, how likely it finds the references,
and where it looks when it names a thing.

Knows a Captioner by what it does.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Unpack, cast

import numpy as np
from numpy.typing import NDArray

from seq2attn.data.formats.text import is_blank
from seq2attn.data.images.dataset import CaptionedSplit
from seq2attn.data.images.transforms import ImageTransform
from seq2attn.evaluation.forcing import within_bounds
from seq2attn.evaluation.model import Likelihood, Search
from seq2attn.evaluation.pointing import Counts, Fit, Pointing, pointing, total
from seq2attn.inference import Captioner
from seq2attn.inference.results import Caption

BLOCK = 128  # images between two signs of progress, at most
BYTES = 1 << 28  # of pixels in one block

Progress = Callable[[int, int], None]  # done, total


def seen(
    captioner: Captioner,
    split: CaptionedSplit,
    numbers: Sequence[int],
    made: NDArray[np.float16] | None = None,
) -> list[list[NDArray[Any]]]:
    """What each member of a captioner is given of those images: pixels, or the features that were made of
    them before.
    """
    if made is None:
        return [captioner.decode_pixels(split.content(number), split.names[number]) for number in numbers]
    features = [np.asarray(made[number]) for number in numbers]
    return [[one[~np.isnan(one[:, 0, 0, 0])] if one.ndim == 4 else one] for one in features]


def blocks(captioner: Captioner, count: int) -> Iterator[range]:
    """The numbers from 0 to `count`, as many at a time as may be held decoded."""
    most = max(1, min(BLOCK, BYTES // sum(view.side**2 * 3 * view.frames for view in captioner.transforms)))
    return (range(start, min(start + most, count)) for start in range(0, count, most))


def caption(
    captioner: Captioner,
    split: CaptionedSplit,
    numbers: Sequence[int],
    *,
    made: NDArray[np.float16] | None = None,
    seed: int = 1,
    progress: Progress = lambda done, total: None,
    **search: Unpack[Search],
) -> list[str]:
    """The best caption of each of those images, as text on one line."""
    outputs: list[str] = []
    for block in blocks(captioner, len(numbers)):
        progress(block.start, len(numbers))
        images = seen(captioner, split, [numbers[place] for place in block], made)
        found = captioner.caption(images, attention=False, seed=seed, first=block.start, **search)
        outputs += [" ".join(captions[0].text.split("\n")) for captions in found]
    progress(len(numbers), len(numbers))
    return outputs


class Forced(NamedTuple):
    """What came of forcing the captions of a split on a model."""

    likelihood: Likelihood
    pointing: Pointing | None  # where there are boxes, and attention over a grid


def force(
    captioner: Captioner,
    split: CaptionedSplit,
    *,
    batch_tokens: int | None = None,
    seed: int = 1,
    progress: Progress = lambda done, total: None,
) -> Forced:
    """Every caption of every image forced on the model, in one pass: how likely all are, and whether each
    word that has a box is read where the box is.

    Captions that are blank, or of more tokens than an output can have, are left out and counted: the model
    never saw such a one.
    """
    log_p, tokens, scored = 0.0, 0, 0
    counts: list[Counts] | None = (
        [] if split.boxes is not None and captioner.attends and not captioner.clips else None
    )
    for numbers in blocks(captioner, len(split.names)):
        progress(numbers.start, len(split.names))
        captions = [caption for number in numbers for caption in split.captions[number]]
        texts = within_bounds(captions, captioner.target_tokenizer)
        images = [
            one
            for number, one in zip(numbers, seen(captioner, split, numbers), strict=True)
            for _ in split.captions[number]
        ]
        found = captioner.score_targets(
            images,
            texts,
            batch_tokens=batch_tokens,
            attention=counts is not None,
            seed=seed,
            first=int(split.first[numbers.start]),
        )
        real = [caption for caption in found if not is_blank(caption.text)]
        log_p += math.fsum(caption.log_probability for caption in real)
        tokens += sum(len(caption.tokens) + 1 for caption in real)
        scored += len(real)
        if counts is not None:
            counts += _pointed(captioner.transforms[0], split, numbers, found)
    progress(len(split.names), len(split.names))
    return Forced(
        Likelihood(log_p, tokens, scored, len(split) - scored), None if counts is None else total(counts)
    )


def _pointed(
    view: ImageTransform, split: CaptionedSplit, numbers: Sequence[int], found: Sequence[Caption]
) -> list[Counts]:
    """Of each caption of those images, its attention against its boxes."""
    assert split.boxes is not None
    boxed = [(number, boxes) for number in numbers for boxes in split.boxes[number]]
    counts = []
    for (number, boxes), caption in zip(boxed, found, strict=True):
        assert caption.attention is not None
        assert caption.grid is not None
        where = f"{split.path}, {split.names[number]}"
        counts.append(
            pointing(
                caption.attention,
                caption.grid,
                split.sizes[number],
                view.side,
                cast(Fit, view.fit),
                boxes,
                where,
            )
        )
    return counts
