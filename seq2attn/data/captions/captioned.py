"""What holds of the pictures of any layout: names are unique, each has a caption, and whether they are clips.
Knows no format of captions.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from seq2attn.data.columns import LANGUAGE
from seq2attn.data.corpus import is_blank
from seq2attn.data.images import frames_in
from seq2attn.data.pictures import Picture
from seq2attn.errors import UsageError, UserError

_LOOKED_AT = 4  # pictures, to say whether they are clips


def captioned(pictures: Iterable[Picture], where: str, notes: list[str]) -> Iterator[Picture]:
    """Those that have a caption; how many have none comes into `notes` at the end. Raises UserError when none
    has one.
    """
    with_one = without = 0
    taken: set[str] = set()
    for picture in map(_legible, pictures):
        if not picture.captions:
            without += 1
            continue
        with_one += 1
        if picture.name in taken:
            picture = picture._replace(name=f"{picture.name} ({picture.place})")
        taken.add(picture.name)
        yield picture
    if without and not with_one:
        raise UserError(f"{where}: none of its {without:,} pictures has a caption")
    note = f"{without:,} {'picture has' if without == 1 else 'pictures have'} no caption and {'is' if without == 1 else 'are'} left out"
    if without and note not in notes:
        notes.append(note)


def _legible(picture: Picture) -> Picture:
    """The picture without the captions in which there is nothing to read."""
    if not any(map(is_blank, picture.captions)):
        return picture
    numbers = [number for number, caption in enumerate(picture.captions) if not is_blank(caption)]
    boxes = tuple(picture.boxes[number] for number in numbers) if picture.boxes else ()
    return picture._replace(captions=tuple(picture.captions[number] for number in numbers), boxes=boxes)


def are_clips(pictures: Callable[[], Iterator[Picture]]) -> bool:
    """Whether the first pictures that are there all have more frames than one."""
    several = []
    for picture in islice(pictures(), _LOOKED_AT):
        try:
            content = picture.content()
            several.append(frames_in(content, picture.name) > 1)
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
