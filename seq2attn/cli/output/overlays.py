"""Attention of captions as image files: the part of an image that a model sees, and names of overlays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seq2attn import files
from seq2attn.cli.output import result_files
from seq2attn.cli.output.formats import one_path
from seq2attn.data.images import visible
from seq2attn.data.images.corpus import Box
from seq2attn.data.images.resizing import Pixels
from seq2attn.data.images.visible import Part
from seq2attn.errors import UsageError
from seq2attn.inference import Caption, Captioner
from seq2attn.inference.caption_panels import caption_tokens
from seq2attn.inference.heads import Heads, select_head
from seq2attn.plotting import filmstrip, overlay
from seq2attn.plotting.fonts import Fonts
from seq2attn.plotting.style import Style

_LONGEST_NAME = 180  # bytes of an image's name in an overlay's name, at most; file systems allow 255


def visible_part(content: Sequence[bytes], where: str, captioner: Captioner) -> Part:
    """The part of an image that the (first) model sees. Errors: see `data.images.visible`."""
    return visible.visible_part(content, where, captioner.view)


def save(
    pixels_FYX3: Pixels,
    words: Sequence[str],
    weights_TS: NDArray[np.floating],
    grid: tuple[int, int] | None,
    path: Path,
    boxes: Sequence[Box] = (),
    title: str = "",
    style: Style | None = None,
) -> Fonts:
    """Write the overlay of a still or, without a grid, the film strip of a clip."""
    if grid is None:
        return filmstrip.save(pixels_FYX3, words, weights_TS, path, title=title, style=style)
    return overlay.save(pixels_FYX3[0], words, weights_TS, grid, path, boxes=boxes, title=title, style=style)


class OverlayFolder:
    """Overlays of many images in one folder. Each has the name of its image: dog.png.

    A second image of that name gives dog-2.png, and the second best caption of an image dog.2.png.
    """

    def __init__(self, path: Path, run: str, heads: Heads) -> None:
        """Create the folder if it is missing.

        `heads` chooses a layer or a head of the run's attention, which the title of a drawing names; without
        a choice the mean is drawn without a title.
        """
        with files.refused(path):
            path.mkdir(exist_ok=True)
        files.sweep(path)
        self._path, self._run, self._heads = path, run, heads
        self._names: set[str] = set()
        self._unseen: set[str] = set()

    def paths(self, image: str, count: int) -> list[Path]:
        """Files for `count` captions of one more image.

        Raises UsageError if the image is in this folder, so that it could be overwritten.
        """
        place = Path(image)
        if place.absolute().parent.resolve() == self._path.resolve():
            raise UsageError(
                f"--attention {self._path}: {image} is in it, and could be overwritten; name another folder"
            )
        stem = one_path(place.stem or place.resolve().name or "image")
        stem = stem.encode()[:_LONGEST_NAME].decode("utf-8", "ignore")
        number = 1
        names = _ranked(stem, count)
        while not self._names.isdisjoint(map(str.casefold, names)):
            number += 1
            names = _ranked(f"{stem}-{number}", count)
        self._names.update(map(str.casefold, names))
        return [self._path / f"{name}.png" for name in names]

    def draw(self, pixels_FYX3: Pixels, captions: Sequence[Caption], paths: Sequence[Path]) -> None:
        """Draw the attention of each caption over the frames (F, Y, X, 3) to its path."""
        for caption, path in zip(captions, paths, strict=True):
            caption, title = select_head(caption, self._heads, self._run)
            words, weights_TS, _ = caption_tokens(caption)
            fonts = save(pixels_FYX3, words, weights_TS, caption.grid, path, title=title)
            unseen = [character for character in fonts.unseen() if character not in self._unseen]
            result_files.warn_of_fonts(unseen, page=False)
            self._unseen.update(unseen)


def _ranked(name: str, count: int) -> list[str]:
    return [f"{name}.{rank}" if rank > 1 else name for rank in range(1, count + 1)]
