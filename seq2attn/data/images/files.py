"""Images as files: what stands in one or in a folder of frames, and which are below a folder. It decodes
nothing.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from seq2attn.data.images.decoding import MOST_BYTES, MOST_FRAMES, read_file, spaced
from seq2attn.errors import UserError

ENDINGS = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".png",
        ".gif",
        ".webp",
        ".bmp",
        ".tif",
        ".tiff",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".apng",
    }
)
_MOST_TOGETHER = 4 * MOST_BYTES  # of all frames of a clip


def content_of(path: Path, clip: bool = False) -> list[bytes]:
    """The file, or of a clip the frames of a folder as `frames_in` has them. Raises UserError, naming the
    path, where it cannot be read.
    """
    if not path.is_dir():
        return [read_file(path)]
    if not clip:
        raise UserError(f"{path}: a folder, not an image")
    return frames_in(path)


def frames_in(folder: Path, read: Callable[[Path], bytes] = read_file) -> list[bytes]:
    """What stands in the frames of a clip, in the order of their numbers: at most MOST_FRAMES, evenly spaced.
    Raises UserError where there are none or too large ones.
    """
    frames = frames_of(folder)
    if not frames:
        raise UserError(f"{folder}: no images in this folder, so it is no clip")
    content, total = [], 0
    for number in spaced(len(frames), MOST_FRAMES):
        content.append(read(frames[number]))
        total += len(content[-1])
        if total > _MOST_TOGETHER:
            raise UserError(f"{folder}: frames of more than {_MOST_TOGETHER >> 20} MiB together")
    return content


def frames_of(folder: Path) -> list[Path]:
    """Its images, hidden files aside: 2.png before 10.png. Raises UserError where it cannot be read."""
    try:
        found = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()
        ]
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}") from None
    return sorted(found, key=by_numbers)


def below(root: Path, follow_links: bool = False) -> Iterator[Path]:
    """All images in a folder and in those within it, hidden ones aside, in the order of their paths.

    Links to folders are entered with `follow_links`.
    """
    for folder, folders, files in walk(root, follow_links):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (
            path
            for name in sorted(files)
            if (path := Path(folder, name)).suffix.lower() in ENDINGS
            and not name.startswith(".")
            and path.is_file()
        )


def walk(root: Path, follow_links: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk` does; links to folders are entered with `follow_links`, none twice, so that loops end."""
    entered: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=follow_links):
        if follow_links:
            try:
                facts = os.stat(folder)
            except OSError:  # gone meanwhile
                continue
            if (facts.st_dev, facts.st_ino) in entered:
                folders.clear()
                continue
            entered.add((facts.st_dev, facts.st_ino))
        yield folder, folders, files


def by_numbers(path: Path) -> list[str | int]:
    """A key for sorting by name as a person would, who reads numbers in it as numbers."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]
