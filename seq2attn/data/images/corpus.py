"""The types of captioned images: a box, an image, and a corpus that yields its images one by one.

This module knows no format of captions or of images.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from seq2attn.config import IMAGES, Modality
from seq2attn.errors import UserError

if TYPE_CHECKING:
    from seq2attn.data.preparation import Preparation

FARTHEST = 1e6  # largest absolute value of a coordinate or word number of a box


class Box(NamedTuple):
    """The place of an object that a caption names, in pixels. Right and bottom are outside.

    In a corpus these are pixels of the image as it is stored, in a prepared folder of the image as a person
    sees it.
    """

    word: int  # number of the caption's white-space word that names it, from 0
    left: float
    top: float
    right: float
    bottom: float


class CaptionedImage(NamedTuple):
    """An image or a clip with its captions. The pixels are read when `content` is called, and not before."""

    name: str  # name for people, unique in its corpus: "1000268201_693b08cb0e.jpg"
    # The encoded file, or the frames of a clip in order. Raises UserError if it is missing or not readable.
    content: Callable[[], list[bytes]]
    captions: tuple[str, ...]
    place: str  # name of its place for people: "Flickr8k.token.txt:17"
    split: str | None = None  # "train", "valid", "test..."; None: the corpus is not divided yet
    boxes: tuple[tuple[Box, ...], ...] = ()  # one tuple a caption, or none at all


@dataclass(frozen=True)
class ImageCorpus:
    """Captioned images. `images()` reads all of them once, in order, and holds one image at a time."""

    modality: ClassVar[Modality] = IMAGES
    default_tokenizer: ClassVar[str] = "word"
    format: ClassVar[int] = 3

    name: str
    language: str | None  # language of the captions
    images: Callable[[], Iterator[CaptionedImage]]
    clips: bool = False  # whether it holds clips: a folder of frames or an animated image a row
    inputs: list[Path] = field(default_factory=list)  # the files of captions and splits that are read
    notes: list[str] = field(default_factory=list)  # decisions that the user is told of

    @property
    def languages(self) -> tuple[None, str | None]:
        """Of the sources, which have none, and of the captions."""
        return None, self.language

    def prepare(self, request: "Preparation") -> dict[str, Any]:
        from seq2attn.data.images.prepare import prepare_images

        return prepare_images(self, request)


class LinkOut(UserError):
    """An image is behind a link that leads out of its corpus, and such links are not followed."""
