"""Captioned images as a model takes them, and their batches.

They are pixels of the model's size, augmented in training, or features that were computed before. Threads
decode images, because Pillow releases Python's lock. This module knows no model.
"""

import copy
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seq2attn.config import ImageEncoderConfig, TrainConfig
from seq2attn.data.batches import Batch, Pairs, collate_target, plan
from seq2attn.data.images.augmentation import Augmentation
from seq2attn.data.images.dataset import CaptionedSplit
from seq2attn.data.images.pixels import model_pixels
from seq2attn.data.sampled_ids import SampledIds, Sampler

THREADS = 4  # threads that decode; more would wait for each other and for the files


class ImageTransform(NamedTuple):
    """How images become the pixels of a model."""

    side: int  # pixels
    fit: str  # one of resizing.FITS
    frames: int  # frames of a clip, at most; 1: stills

    @classmethod
    def of(cls, encoder: ImageEncoderConfig) -> "ImageTransform":
        """The transform that the settings of an encoder describe."""
        return cls(encoder.image_size, encoder.resize, encoder.max_frames)

    def pixels(
        self,
        content: Sequence[bytes],
        where: str,
        augmentation: Augmentation | None = None,
        seed: int | None = None,
    ) -> NDArray[np.uint8]:
        """The pixels (F, side, side, 3). Raises UserError, which names `where`, if `content` is no image."""
        return model_pixels(
            content,
            where,
            self.side,
            self.fit,
            clip=self.frames > 1,
            frames=self.frames,
            augmentation=augmentation,
            seed=seed,
        )


def stack_images(frames: Sequence[NDArray[np.uint8]], clips: bool) -> tuple[Tensor, Tensor]:
    """A batch of images, each (F, Y, X, 3), and the mask of its real frames.

    Stills are (I, 3, Y, X) with a mask (I, 1), clips (I, F, 3, Y, X) with a mask (I, F).
    """
    lengths = np.array([len(image) for image in frames])
    longest = int(lengths.max()) if clips else 1
    pixels = np.zeros((len(frames), longest, *frames[0].shape[1:]), np.uint8)
    for place, image in enumerate(frames):
        pixels[place, : len(image)] = image[:longest]
    source = torch.from_numpy(pixels).movedim(-1, -3)
    return source if clips else source[:, 0], torch.from_numpy(np.arange(longest) < lengths[:, None])


class CaptionedImages(Pairs):
    """The captions of a split, each with its image."""

    ahead = True

    def __init__(
        self,
        split: CaptionedSplit,
        view: ImageTransform,
        settings: TrainConfig | None = None,
        features: NDArray[np.float16] | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        """`settings` give the augmentation and the number of captions of an image in a batch.

        Without them there is no augmentation, and an image has all its captions. `features`, (images, C, h,
        w) or (images, F, C, h, w), take the place of pixels. A clip with fewer than F frames has NaN in the
        last ones. With a `sampler` each epoch cuts the captions into subwords anew.
        """
        self.split, self.view, self.features, self.sampler = split, view, features, sampler
        self._last: tuple[tuple[int, int], CaptionedImages] | None = None  # an epoch is asked for often
        self.augmentation = None
        if settings is not None and (settings.max_crop or settings.flip or settings.color_jitter):
            self.augmentation = Augmentation(settings.max_crop, settings.flip, settings.color_jitter)
        self.captions = None if settings is None else settings.captions_per_image
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="decode")

    @property
    def source_lengths(self) -> NDArray[np.integer]:
        return np.zeros(len(self.split), np.int32)

    @property
    def target_lengths(self) -> NDArray[np.integer]:
        return self.split.target_lengths

    def content(self) -> Iterator[NDArray[Any] | memoryview]:
        yield from (self.split.target_lengths, self.split.image_of)
        if self.split.target_ids:
            yield np.concatenate(self.split.target_ids)
        yield from self.split.frames_content()

    def of_epoch(self, seed: int, epoch: int) -> Pairs:
        if self.sampler is None:
            return self
        if self._last is None or self._last[0] != (seed, epoch):
            lines = [caption for of_image in self.split.captions for caption in of_image]
            ids = SampledIds(
                self.sampler, lambda start, stop: lines[start:stop], len(lines), (seed, epoch, 1)
            )
            own = copy.copy(self)
            own.split, own.sampler, own._last = self.split.with_targets(ids.all()), None, None
            self._last = (seed, epoch), own
        return self._last[1]

    def plan(self, batch_tokens: int, seed: int, epoch: int) -> list[NDArray[np.int64]]:
        """The rows of each batch of one epoch. All rows of an image are in one batch, which encodes it once.

        With `captions_per_image`, an image has that many of its captions, and others in each epoch.
        """
        first, lengths = self.split.first, self.split.target_lengths
        rows = self._rows(seed, epoch)
        longest = np.array([lengths[captions].max() for captions in rows])
        counts = np.array([len(captions) for captions in rows])
        batches = plan(np.zeros(len(first) - 1, np.int32), longest, batch_tokens, seed, epoch, counts)
        return [np.sort(np.concatenate([rows[image] for image in batch])) for batch in batches]

    def _rows(self, seed: int, epoch: int) -> list[NDArray[np.int64]]:
        """The captions of each image in an epoch: consecutive ones, from a random start for each image."""
        first = self.split.first
        every = [np.arange(start, end) for start, end in itertools.pairwise(first)]
        if self.captions is None:
            return every
        begin = np.random.default_rng([seed, 1]).integers(1 << 30, size=len(every)) + epoch * self.captions
        return [
            captions[(start + np.arange(min(self.captions, len(captions)))) % len(captions)]
            for captions, start in zip(every, begin, strict=True)
        ]

    def batch(self, rows: NDArray[np.integer], draw: int | None) -> Batch:
        numbers, source_of = np.unique(self.split.image_of[rows], return_inverse=True)
        source, mask = self.sources(numbers, draw)
        targets = collate_target([self.split.target_ids[row] for row in rows])
        return Batch(
            source,
            mask,
            *targets,
            torch.from_numpy(source_of.astype(np.int64)),
            torch.from_numpy(numbers.astype(np.int64)),
        )

    def sources(
        self, numbers: Sequence[int] | NDArray[np.integer], draw: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """The pixels or features of those images as a batch, and the mask of their real frames."""
        if self.features is not None:
            features = torch.from_numpy(self.features[np.asarray(numbers)])
            if self.view.frames == 1:
                return features, torch.ones(len(features), 1, dtype=torch.bool)
            mask = ~features[:, :, 0, 0, 0].isnan()
            longest = int(mask.sum(1).max())
            return features[:, :longest].nan_to_num(0.0), mask[:, :longest]
        augmentation = None if draw is None else self.augmentation

        def pixels(image: int) -> NDArray[np.uint8]:
            return self.view.pixels(
                self.split.content(image),
                self.split.names[image],
                augmentation,
                None if augmentation is None else hash((draw, image)) & (2**63 - 1),
            )

        return stack_images(list(self.pool.map(pixels, map(int, numbers))), self.view.frames > 1)
