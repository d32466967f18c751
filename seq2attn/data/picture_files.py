"""Pictures as files: what stands in one, or in those of a folder of frames. It decodes nothing."""

import re
from pathlib import Path

from seq2attn.data.images import MOST_FRAMES, read_file
from seq2attn.errors import UserError

ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm")


def content_of(path: Path, clip: bool = False) -> list[bytes]:
    """The file, or of a clip the frames of a folder in the order of their numbers. Raises UserError, naming the path, where it cannot be read."""
    if not path.is_dir():
        return [read_file(path)]
    if not clip:
        raise UserError(f"{path}: a folder, not a picture")
    frames = frames_of(path)
    if not frames:
        raise UserError(f"{path}: no pictures in this folder, so it is no clip")
    if len(frames) > MOST_FRAMES:
        raise UserError(f"{path}: a clip of {len(frames):,} frames; {MOST_FRAMES} are the most")
    return [read_file(frame) for frame in frames]


def frames_of(folder: Path) -> list[Path]:
    """Its pictures, hidden files aside: 2.png before 10.png. Raises UserError where it cannot be read."""
    try:
        found = [path for path in folder.iterdir() if path.suffix.lower() in ENDINGS and not path.name.startswith(".") and path.is_file()]
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}") from None
    return sorted(found, key=by_numbers)


def by_numbers(path: Path) -> list[str | int]:
    """A key for sorting by name as a person would, who reads numbers in it as numbers."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]
