"""The images of a corpus, each decoded once by threads, so that training meets none that cannot be decoded.

This module knows no model and no format of a corpus.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from seq2attn.data.images import decoding
from seq2attn.data.images.boxes import apply_exif_to_boxes
from seq2attn.data.images.corpus import Box, CaptionedImage, ImageCorpus, LinkOut
from seq2attn.errors import UserError
from seq2attn.progress import Progress

_EXAMPLES = 3  # missing images that are named
_MAX_WAITING = 1 << 28  # bytes, about, of the files that wait to be written


class ReadImage(NamedTuple):
    """An image with its encoded files. Its boxes are in pixels of the image as a person sees it."""

    image: CaptionedImage
    content: list[bytes]
    shape: tuple[int, int, int]  # frames, width, height


@dataclass
class Missing:
    """Images that captions name and that do not exist or cannot be decoded."""

    count: int = 0
    examples: list[str] = field(default_factory=list)
    links: int = 0  # number of them that are behind links that are not followed
    link: str = ""  # the message about the first of these

    def add(self, error: UserError) -> None:
        self.count += 1
        if isinstance(error, LinkOut):
            self.links += 1
            self.link = self.link or str(error)
        if len(self.examples) < _EXAMPLES:
            self.examples.append(str(error))

    def __str__(self) -> str:
        return "; ".join(self.examples) + ("; ..." if self.count > len(self.examples) else "")


def read_images(
    corpus: ImageCorpus, missing: Missing, max_missing: float, workers: int, progress: Progress
) -> Iterator[ReadImage]:
    """The images that can be decoded, in order. The others are counted in `missing`.

    Raises UserError at the end if their share is larger than `max_missing`.
    """
    number = 0
    for number, image in enumerate(_read_ahead(corpus, workers), 1):
        if isinstance(image, UserError):
            missing.add(image)
        else:
            yield image
        if number % 500 == 0:
            progress(number, None)
    progress(number, number)
    if missing.count <= max_missing * number:
        return
    if missing.links:
        count = f"{missing.links:,} of {number:,} images are reached by links alone"
        raise UserError(f"{corpus.name}: {count}: {missing.link}")
    raise UserError(
        f"{corpus.name}: {missing.count:,} of {number:,} images are missing or damaged: {missing}; "
        f"{max_missing:.0%} are left out at most: mend them, or allow more with `max_missing`"
    )


def _read_ahead(corpus: ImageCorpus, workers: int) -> Iterator[ReadImage | UserError]:
    """Each image, decoded once, in order, or its error. Threads help: Pillow releases Python's lock."""

    def read(image: CaptionedImage) -> ReadImage | UserError:
        try:
            content = image.content()
            shape = decoding.check(content, image.name, clip=corpus.clips)
            return ReadImage(image._replace(boxes=_upright_boxes(image, content, shape[1:])), content, shape)
        except UserError as error:
            return error

    images = corpus.images()
    with ThreadPoolExecutor(workers) as pool:
        ahead, largest = workers, 1.0
        futures = [pool.submit(read, image) for image in islice(images, ahead)]
        while futures:
            image = futures.pop(0).result()
            size = 0 if isinstance(image, UserError) else sum(map(len, image.content))
            largest = max(0.9 * largest, size)  # of the last ones; files of one corpus are much alike
            ahead = int(min(4 * workers, max(1, _MAX_WAITING // largest)))
            futures += [pool.submit(read, image) for image in islice(images, max(0, ahead - len(futures)))]
            yield image


def _upright_boxes(
    image: CaptionedImage, content: list[bytes], size: tuple[int, int]
) -> tuple[tuple[Box, ...], ...]:
    """The boxes of an image as it is stored, converted to the image as a person sees it."""
    if not any(image.boxes):
        return image.boxes
    return tuple(tuple(apply_exif_to_boxes(content, image.name, boxes, size)) for boxes in image.boxes)
