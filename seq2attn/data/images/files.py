"""Images as files: one file, a folder of frames, or all images below a folder. It decodes nothing."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

from seq2attn.data.corpus_files import walk
from seq2attn.data.images.decoding import MOST_FRAMES, evenly_spaced
from seq2attn.data.images.opening import MOST_BYTES
from seq2attn.errors import UserError

_ENDINGS = ".jpg .jpeg .png .gif .webp .bmp .tif .tiff .ppm .pgm .pbm .pnm .apng"
ENDINGS = frozenset(_ENDINGS.split())
_MOST_TOGETHER = 4 * MOST_BYTES  # of all frames of a clip


def read_file(path: Path) -> bytes:
    """The bytes of a file of at most MOST_BYTES.

    Raises UserError, which names the path, if it is missing, too large or no regular file.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe would wait for ever
            kind = "a folder" if stat.S_ISDIR(mode) else "not a file"
            raise UserError(f"{path}: {kind} where an image is wanted")
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        link = path.is_symlink()
        problem = f"a link to {os.readlink(path)}, which is not there" if link else "no such file"
        raise UserError(f"{path}: {problem}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    if len(data) > MOST_BYTES:
        raise UserError(f"{path}: a file of more than {MOST_BYTES >> 20} MiB where an image is wanted")
    return data


def content_of(path: Path, clip: bool = False) -> list[bytes]:
    """The content of a file or, for a clip, the frames in a folder (see `read_frames`).

    Raises UserError, which names the path, if it cannot be read.
    """
    if not path.is_dir():
        return [read_file(path)]
    if not clip:
        raise UserError(f"{path}: a folder, not an image")
    return read_frames(path)


def read_frames(folder: Path, read: Callable[[Path], bytes] = read_file) -> list[bytes]:
    """The encoded frames of a clip in the order of their numbers: at most MOST_FRAMES, evenly spaced.

    Raises UserError if there are none, or if they are too large together.
    """
    files = frame_files(folder)
    if not files:
        raise UserError(f"{folder}: no images in this folder, so it is no clip")
    content, total = [], 0
    for number in evenly_spaced(len(files), MOST_FRAMES):
        content.append(read(files[number]))
        total += len(content[-1])
        if total > _MOST_TOGETHER:
            raise UserError(f"{folder}: frames of more than {_MOST_TOGETHER >> 20} MiB together")
    return content


def frame_files(folder: Path) -> list[Path]:
    """The images in a folder, without hidden files: 2.png before 10.png.

    Raises UserError if the folder cannot be read.
    """
    try:
        files = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()
        ]
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}") from None
    return sorted(files, key=by_numbers)


def image_files(root: Path, follow_links: bool = False) -> Iterator[Path]:
    """All images below a folder in the order of their paths, without hidden files.

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


def by_numbers(path: Path) -> list[str | int]:
    """The sorting key of a name in which numbers count as numbers."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]
