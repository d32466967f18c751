"""What holds of the images of any layout: names are unique, each has a caption, and whether they are clips.
Knows no format of captions.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from seq2attn.data.columns import LANGUAGE
from seq2attn.data.corpus import is_blank
from seq2attn.data.images.corpus import CaptionedImage
from seq2attn.data.images.decoding import frames_in
from seq2attn.errors import UsageError, UserError

_LOOKED_AT = 4  # images, to say whether they are clips


def captioned(images: Iterable[CaptionedImage], where: str, notes: list[str]) -> Iterator[CaptionedImage]:
    """Those that have a caption; how many have none comes into `notes` at the end. Raises UserError when none
    has one.
    """
    with_one = without = 0
    taken: set[str] = set()
    for image in map(_legible, images):
        if not image.captions:
            without += 1
            continue
        with_one += 1
        if image.name in taken:
            image = image._replace(name=f"{image.name} ({image.place})")
        taken.add(image.name)
        yield image
    if without and not with_one:
        raise UserError(f"{where}: none of its {without:,} images has a caption")
    note = f"{without:,} {'image has' if without == 1 else 'images have'} no caption and {'is' if without == 1 else 'are'} left out"
    if without and note not in notes:
        notes.append(note)


def _legible(image: CaptionedImage) -> CaptionedImage:
    """The image without the captions in which there is nothing to read."""
    if not any(map(is_blank, image.captions)):
        return image
    numbers = [number for number, caption in enumerate(image.captions) if not is_blank(caption)]
    boxes = tuple(image.boxes[number] for number in numbers) if image.boxes else ()
    return image._replace(captions=tuple(image.captions[number] for number in numbers), boxes=boxes)


def are_clips(images: Callable[[], Iterator[CaptionedImage]]) -> bool:
    """Whether the first images that are there all have more frames than one."""
    several = []
    for image in islice(images(), _LOOKED_AT):
        try:
            content = image.content()
            several.append(frames_in(content, image.name) > 1)
        except UserError:
            continue  # what is missing or damaged is counted when it is prepared
    return bool(several) and all(several)


def language_of(target: str | None) -> str | None:
    """The language that `target` gives to captions that stand in no column: LANG or NAME:LANG."""
    language = target.rpartition(":")[2] if target else None
    if language and not LANGUAGE.fullmatch(language):
        raise UsageError(f"--target {target} is no language of captions, as in --target en")
    return language or None


def no_columns(where: str, source: str | None) -> None:
    if source is not None:
        raise UsageError(f"{where}: --source {source} names a column, and its captions stand in none")
