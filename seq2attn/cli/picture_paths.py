"""Which pictures `caption` is asked for: files, those in folders, and paths that come line by line on standard input, in their order.

Folders are walked one level deep. It decodes nothing, but that a folder of clips is told from a clip by what is in it.
"""

import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from seq2attn.cli.stream import Stream
from seq2attn.data.images import frames_in, read_file
from seq2attn.data.picture_files import by_numbers, frames_of
from seq2attn.errors import UserError

_MAY_MOVE = (".gif", ".webp", ".png", ".tif", ".tiff")


class Wanted(NamedTuple):
    """One picture to describe. An empty path is an empty line: nothing to describe."""

    path: str
    problem: str | None = None  # why there is none, on one line that names it
    note: str | None = None  # on the folder that it is the first of


class Paths:
    def __init__(self, arguments: Sequence[str], clips: bool) -> None:
        """No argument at all, or "-", is standard input. Raises UserError where there is none."""
        self._arguments = deque(arguments or ["-"])
        self._clips = clips
        self._lines = Stream(paths=True) if "-" in self._arguments else None
        self._waiting: deque[Wanted] = deque()

    def take(self, most: int) -> list[Wanted]:
        """Waits for one line at the most, then gives all that are known, `most` at the most. Nothing: the end."""
        while len(self._waiting) < most and self._arguments:
            if self._arguments[0] != "-":
                self._waiting += wanted(self._arguments.popleft(), self._clips)
                continue
            if self._waiting:  # they shall not wait for a line
                break
            assert self._lines is not None
            lines = self._lines.take(most)
            for line in lines:
                self._waiting += wanted(line.text, self._clips)
            if not lines:
                self._arguments.popleft()
        return [self._waiting.popleft() for _ in range(min(most, len(self._waiting)))]


def wanted(path: str, clips: bool) -> list[Wanted]:
    """The pictures at a path: itself, or those in a folder."""
    try:
        if not path or not Path(path).is_dir():
            return [Wanted(path)]
        return _clips_in(path) if clips else _stills_in(path)
    except (OSError, ValueError) as error:
        return [Wanted(path, f"{path}: {getattr(error, 'strerror', None) or error}")]


def taken_otherwise(content: Sequence[bytes], path: str, clips: bool) -> str | None:
    """A warning where the content is described as what it hardly is: a still, a clip, or one clip of many. Raises UserError, naming the path, for no picture."""
    moves = frames_in(content[:1], path) > 1
    if not clips:
        return f"{path}: an animated image: its first frame is described, for the model reads stills" if moves else None
    if len(content) == 1:
        return None if moves else f"{path}: a still image: described as a clip of one frame, for the model reads clips"
    return f"{path}: a folder of animated images: described as one clip of their first frames; name them to describe each" if moves else None


def _stills_in(folder: str) -> list[Wanted]:
    found = frames_of(Path(folder))
    pictures = set(found)
    others = [entry for entry in Path(folder).iterdir() if not entry.name.startswith(".") and entry not in pictures]
    folders = sum(entry.is_dir() for entry in others)
    files = len(others) - folders
    left = [f"{count:,} {what}{'s' if count > 1 else ''}" for count, what in ((folders, "folder"), (files, "other file")) if count]
    if not found:
        return [Wanted(folder, f"{folder}: no pictures in this folder" + (f", only {' and '.join(left)}; folders are walked one level deep" if left else ""))]
    return _named(
        folder, found, f"{folder}: {' and '.join(left)} in it left out (pictures are known by their endings, folders walked one level deep)" if left else None
    )


def _clips_in(folder: str) -> list[Wanted]:
    frames = frames_of(Path(folder))
    folders = [entry for entry in Path(folder).iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    if not folders and not any(_moves(frame) for frame in frames):
        return [Wanted(folder, None if frames else f"{folder}: no pictures in this folder, so it is no clip")]
    return _named(folder, sorted([*folders, *frames], key=by_numbers), None)


def _named(folder: str, entries: Sequence[Path], note: str | None) -> list[Wanted]:
    names = [os.path.join(folder, entry.name) for entry in entries]
    return [Wanted(name, None, note if name == names[0] else None) for name in names]


def _moves(path: Path) -> bool:
    """Whether it is an animated image."""
    try:
        return path.suffix.lower() in _MAY_MOVE and frames_in([read_file(path)], str(path)) > 1
    except UserError:
        return False
