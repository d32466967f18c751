"""Rules for the images of every layout.

Their names are unique, each has a caption, and all are clips or none is. This module knows no format of
captions.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from seq2attn.data.corpus import LANGUAGE
from seq2attn.data.formats.text import is_blank
from seq2attn.data.images.corpus import CaptionedImage
from seq2attn.data.images.decoding import count_frames
from seq2attn.errors import UsageError, UserError

_SAMPLE = 4  # images that decide whether a corpus has clips


def with_captions(images: Iterable[CaptionedImage], where: str, notes: list[str]) -> Iterator[CaptionedImage]:
    """The images that have a caption, under different names.

    At the end, a note on the number of the others is added to `notes`. Raises UserError if there are images,
    and none has a caption.
    """
    with_one = without = 0
    names: set[str] = set()
    for image in map(_without_blank_captions, images):
        if not image.captions:
            without += 1
            continue
        with_one += 1
        if image.name in names:
            image = image._replace(name=f"{image.name} ({image.place})")
        names.add(image.name)
        yield image
    if without and not with_one:
        raise UserError(f"{where}: none of its {without:,} images has a caption")
    has, are = ("image has", "is") if without == 1 else ("images have", "are")
    note = f"{without:,} {has} no caption and {are} left out"
    if without and note not in notes:
        notes.append(note)


def _without_blank_captions(image: CaptionedImage) -> CaptionedImage:
    """The image without its captions that hold nothing to read."""
    if not any(map(is_blank, image.captions)):
        return image
    numbers = [number for number, caption in enumerate(image.captions) if not is_blank(caption)]
    boxes = tuple(image.boxes[number] for number in numbers) if image.boxes else ()
    return image._replace(captions=tuple(image.captions[number] for number in numbers), boxes=boxes)


def are_clips(images: Callable[[], Iterator[CaptionedImage]]) -> bool:
    """Whether all of the first images that can be read have more than one frame."""
    several = []
    for image in islice(images(), _SAMPLE):
        try:
            content = image.content()
            several.append(count_frames(content, image.name) > 1)
        except UserError:
            continue  # missing and damaged images are counted when the corpus is prepared
    return bool(several) and all(several)


def language_of(target: str | None) -> str | None:
    """The language in `target`, LANG or NAME:LANG, of captions that are in no column."""
    language = target.rpartition(":")[2] if target else None
    if language and not LANGUAGE.fullmatch(language):
        raise UsageError(f"`target` {target} is no language of captions, as in `target` en", setting="target")
    return language or None


def no_columns(where: str, source: str | None) -> None:
    """Raise UsageError if `source` names a column, for a layout that has none."""
    if source is not None:
        raise UsageError(
            f"{where}: `source` {source} names a column, and its captions are in none", setting="source"
        )
