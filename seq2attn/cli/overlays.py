"""What the words of captions looked at, as pictures in files: the part of a picture that a model sees, and names for the overlays of many.

Knows captions and pictures, and no search.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seq2attn.cli import console
from seq2attn.cli.formats import one_path
from seq2attn.data import images
from seq2attn.data.images import Pixels
from seq2attn.errors import UsageError
from seq2attn.inference import Caption, Captioner
from seq2attn.plotting import overlay
from seq2attn.plotting.fonts import Fonts

_LONGEST_NAME = 180  # bytes of it that an overlay's name keeps: file systems take 255


def shown(content: Sequence[bytes], where: str, captioner: Captioner) -> Pixels:
    """(F, Y, X, 3): the frames that the (first) model reads of a picture, in their own proportions, and of each the part that it sees."""
    view = captioner.views[0]
    pixels_FYX3 = images.pixels(content, where, clip=captioner.clips)
    if captioner.clips:
        pixels_FYX3 = pixels_FYX3[images.spaced(len(pixels_FYX3), view.frames)]
    return framed(pixels_FYX3, view.fit)[0]


def framed(pixels_FYX3: Pixels, fit: str) -> tuple[Pixels, tuple[int, int]]:
    """What a model of that fit sees of pictures, and where its left upper corner is in them: of "crop" the middle square, of "pad" grey around them."""
    _, high, wide, _ = pixels_FYX3.shape
    if fit == "crop":
        side = min(high, wide)
        top, left = (high - side) // 2, (wide - side) // 2
        return pixels_FYX3[:, top : top + side, left : left + side], (left, top)
    if fit == "pad":
        side = max(high, wide)
        top, left = (side - high) // 2, (side - wide) // 2
        padded = np.empty((len(pixels_FYX3), side, side, 3), np.uint8)
        padded[:] = images.GREY
        padded[:, top : top + high, left : left + wide] = pixels_FYX3
        return padded, (-left, -top)
    return pixels_FYX3, (0, 0)


def save(pixels_FYX3: Pixels, caption: Caption, path: Path, boxes: Sequence[tuple[int, float, float, float, float]] = ()) -> Fonts:
    """The overlay of a still, or the film strip of a clip, by the ending of the path."""
    assert caption.attention is not None
    if caption.grid is None:
        return overlay.save_clip(pixels_FYX3, caption.words, caption.attention[:, : len(pixels_FYX3)], path)
    return overlay.save(pixels_FYX3[0], caption.words, caption.attention, caption.grid, path, boxes=boxes)


def warn_of(unseen: Sequence[str]) -> None:
    """One line on the characters that no font has, if any."""
    if unseen:
        some = " ".join(unseen[:10]) + (" ..." if len(unseen) > 10 else "")
        console.warn(
            f"no installed font has {some}: the picture names what it cannot draw; install a font for it (the Noto fonts have every script), "
            "or write .html, which the reader's browser draws"
        )


class Folder:
    """Overlays of many pictures, each named after its picture: dog.png; of two that are called so, dog-2.png; of its second best caption, dog.2.png."""

    def __init__(self, path: Path) -> None:
        """Makes the folder where it is missing."""
        path.mkdir(exist_ok=True)
        self._path = path
        self._taken: set[str] = set()
        self._unseen: set[str] = set()

    def names(self, picture: str, count: int) -> list[Path]:
        """Files for `count` captions of one more picture. Raises UsageError where pictures of this very folder would be written over."""
        place = Path(picture)
        if place.absolute().parent.resolve() == self._path.resolve():
            raise UsageError(f"--attention {self._path}: {picture} is in it, and could be written over; name another folder")
        stem = one_path(place.stem or place.resolve().name or "picture")
        stem = stem.encode()[:_LONGEST_NAME].decode("utf-8", "ignore")
        name, number = stem, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{stem}-{number}"
        self._taken.add(name.casefold())
        return [self._path / (f"{name}.{rank}.png" if rank > 1 else f"{name}.png") for rank in range(1, count + 1)]

    def draw(self, pixels_FYX3: Pixels, captions: Sequence[Caption], paths: Sequence[Path]) -> None:
        for caption, path in zip(captions, paths, strict=True):
            unseen = [character for character in save(pixels_FYX3, caption, path).unseen() if character not in self._unseen]
            warn_of(unseen)
            self._unseen.update(unseen)
