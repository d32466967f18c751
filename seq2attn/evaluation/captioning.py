"""A captioner on the images of a split: its captions, the likelihood of the references, and its pointing."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from seq2attn.data.formats.text import is_blank
from seq2attn.data.images.dataset import CaptionedSplit
from seq2attn.data.images.transforms import ImageTransform
from seq2attn.evaluation import forced_decoding
from seq2attn.evaluation.forced_decoding import Block, Likelihood
from seq2attn.evaluation.pointing import Box, Counts, Fit, Pointing, pointing, total
from seq2attn.inference import Caption, Captioner
from seq2attn.inference.captioner import Pixels
from seq2attn.inference.options import DEFAULTS, SearchOptions
from seq2attn.progress import Progress, silent

BLOCK = 128  # images between two reports of progress, at most
BYTES = 1 << 28  # bytes of pixels in one block


def load_images(
    captioner: Captioner,
    split: CaptionedSplit,
    numbers: Sequence[int],
    features: NDArray[np.float16] | None = None,
) -> list[list[Pixels]]:
    """Those images as each member of a captioner takes them: pixels, or `features` if they are given.

    `features` were computed before (see `inference.feature_cache`). A clip has NaN in place of the frames
    that it does not have; they are left out.
    """
    if features is None:
        return [captioner.decode_pixels(split.content(number), split.names[number]) for number in numbers]
    images = [np.asarray(features[number]) for number in numbers]
    return [[one[~np.isnan(one[:, 0, 0, 0])] if one.ndim == 4 else one] for one in images]


def image_blocks(captioner: Captioner, count: int) -> Iterator[range]:
    """The numbers from 0 to `count` in blocks, each of as many images as may be held decoded."""
    most = max(1, min(BLOCK, BYTES // sum(view.side**2 * 3 * view.frames for view in captioner.transforms)))
    return (range(start, min(start + most, count)) for start in range(0, count, most))


def caption(
    captioner: Captioner,
    split: CaptionedSplit,
    numbers: Sequence[int],
    options: SearchOptions = DEFAULTS,
    *,
    first: int = 0,
    features: NDArray[np.float16] | None = None,
    progress: Progress = silent,
) -> list[str]:
    """The best caption of each of those images, as text on one line.

    `first` is the number of the first one, which seeds what is drawn for it.
    """
    options = replace(options, attention=False)
    outputs: list[str] = []
    for block in image_blocks(captioner, len(numbers)):
        progress(block.start, len(numbers))
        images = load_images(captioner, split, [numbers[place] for place in block], features)
        ranked = captioner.caption(images, options, first=first + block.start)
        outputs += [" ".join(captions[0].text.split("\n")) for captions in ranked]
    progress(len(numbers), len(numbers))
    return outputs


class Forced(NamedTuple):
    """The result of forcing the captions of a split on a model."""

    likelihood: Likelihood
    pointing: Pointing | None  # if there are boxes, and attention over a grid


def force(
    captioner: Captioner,
    split: CaptionedSplit,
    options: SearchOptions = DEFAULTS,
    *,
    progress: Progress = silent,
) -> Forced:
    """Force every caption of every image on the model, in one pass.

    Returns the likelihood of all captions, and whether attention at each word with a box lies in the box.
    Captions are left out and counted if they are blank, or if they have more tokens than an output can have:
    no model was trained on them. Of the options, `seed` and `batch_tokens` have an effect.
    """
    points = split.boxes is not None and captioner.attends and not captioner.clips
    boxes = [of_caption for of_image in split.boxes or () for of_caption in of_image]
    counts: list[Counts] = []
    count = len(split.names)

    def blocks() -> Iterator[Block]:
        for numbers in image_blocks(captioner, count):
            progress(numbers.start, count)
            images = zip(numbers, load_images(captioner, split, numbers), strict=True)
            yield Block(
                [image for number, image in images for _ in split.captions[number]],
                [caption for number in numbers for caption in split.captions[number]],
                int(split.first[numbers.start]),
                attention=points,
            )
        progress(count, count)

    def add_counts(block: Block, captions: Sequence[Caption]) -> None:
        if points:
            for number, output in enumerate(captions, block.first):
                image = int(split.image_of[number])
                where = f"{split.path}, {split.names[image]}"
                counts.append(
                    _pointing(output, boxes[number], split.sizes[image], captioner.transforms[0], where)
                )

    likelihood = forced_decoding.force(
        captioner, blocks(), lambda caption: not is_blank(caption.text), options, take=add_counts
    )
    return Forced(likelihood, total(counts) if points else None)


def _pointing(
    caption: Caption, boxes: Sequence[Box], size: tuple[int, int], view: ImageTransform, where: str
) -> Counts:
    """The attention of a caption against its boxes."""
    assert caption.attention is not None
    assert caption.grid is not None
    return pointing(caption.attention, caption.grid, size, view.side, cast(Fit, view.fit), boxes, where)
