"""Attention of captions as image files: the part of an image that a model sees, and names of overlays."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from seq2attn import files
from seq2attn.cli.output import result_files
from seq2attn.cli.output.formats import one_path
from seq2attn.cli.plot_flags import Heads, select_head
from seq2attn.data.images.corpus import Box
from seq2attn.data.images.decoding import evenly_spaced
from seq2attn.data.images.pixels import display_pixels
from seq2attn.data.images.resizing import GREY, Pixels
from seq2attn.errors import UsageError
from seq2attn.inference import Caption, Captioner
from seq2attn.plotting import filmstrip, overlay
from seq2attn.plotting import words as words_of
from seq2attn.plotting.fonts import Fonts

_LONGEST_NAME = 180  # bytes of an image's name in an overlay's name, at most; file systems allow 255


class Part(NamedTuple):
    """The part of an image that a model sees, in the image's own proportions."""

    pixels_FYX3: Pixels  # the frames that the model reads
    corner: tuple[int, int]  # left and top of the part in the whole image, in these pixels
    width: int  # width of the whole image, in these pixels

    def boxes(self, boxes: Sequence[Box], width: int) -> list[Box]:
        """The boxes that lie in the part at least partly, in its pixels.

        The given boxes are in pixels of an image of that `width`.
        """
        scale, (left, top) = self.width / width, self.corner
        moved = [
            Box(
                box.word,
                box.left * scale - left,
                box.top * scale - top,
                box.right * scale - left,
                box.bottom * scale - top,
            )
            for box in boxes
        ]
        _, high, wide, _ = self.pixels_FYX3.shape
        return [
            box for box in moved if box.left < wide and box.right > 0 and box.top < high and box.bottom > 0
        ]


def visible_part(content: Sequence[bytes], where: str, captioner: Captioner) -> Part:
    """The part of an image that the (first) model sees.

    For "crop" it is the middle square, for "pad" the image with grey around it. Raises UserError, which names
    `where`, if the content is no image.
    """
    view = captioner.transforms[0]
    pixels_FYX3 = display_pixels(content, where, clip=captioner.clips)
    pixels_FYX3 = pixels_FYX3[evenly_spaced(len(pixels_FYX3), view.frames)]
    frames, high, wide, _ = pixels_FYX3.shape
    if view.fit == "stretch":
        return Part(pixels_FYX3, (0, 0), wide)
    side = min(high, wide) if view.fit == "crop" else max(high, wide)
    left, top = (wide - side) // 2, (high - side) // 2  # below 0 if grey is added
    if view.fit == "crop":
        return Part(pixels_FYX3[:, top : top + side, left : left + side], (left, top), wide)
    padded = np.empty((frames, side, side, 3), np.uint8)
    padded[:] = GREY
    padded[:, -top : high - top, -left : wide - left] = pixels_FYX3
    return Part(padded, (left, top), wide)


def save(
    pixels_FYX3: Pixels,
    words: Sequence[str],
    weights_TS: NDArray[np.floating],
    grid: tuple[int, int] | None,
    path: Path,
    boxes: Sequence[Box] = (),
    title: str = "",
) -> Fonts:
    """Write the overlay of a still or, without a grid, the film strip of a clip."""
    if grid is None:
        return filmstrip.save(pixels_FYX3, words, weights_TS, path, title=title)
    return overlay.save(pixels_FYX3[0], words, weights_TS, grid, path, boxes=boxes, title=title)


def caption_tokens(caption: Caption) -> tuple[list[str], NDArray[np.floating], list[int]]:
    """The words and punctuation of a caption, their weights (tokens, positions), and the token of each word.

    The words are those between white space. An empty caption gives empty results.
    """
    weights_PS = caption.subword_attention
    if weights_PS is not None and (view := words_of.of_caption(caption.words, caption.subwords, weights_PS)):
        return view.tokens, view.weights, view.of_words
    weights_TS = np.zeros((0, 0)) if caption.attention is None else caption.attention
    return caption.words, weights_TS, list(range(len(caption.words)))


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
