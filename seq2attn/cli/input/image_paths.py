"""The images of `caption`, in order: files, images in folders, and paths on standard input, one a line.

Folders are searched one level deep. For a run that reads clips, the images of a folder are opened, to tell a
folder of clips from one clip.
"""

import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from seq2attn.cli.input.line_reader import LineReader
from seq2attn.data.images.decoding import count_frames
from seq2attn.data.images.files import ENDINGS, by_numbers, frame_files, read_file
from seq2attn.errors import UserError

_MAX_NAMED = 3  # files that a note on ignored files names
_LISTS = ("", ".txt", ".lst", ".list")  # endings of files that may list paths
_CAPTIONS = {
    ".txt",
    ".json",
    ".jsonl",
    ".csv",
    ".tsv",
    ".parquet",
    ".arrow",
    ".xml",
    ".yaml",
    ".yml",
    ".toml",
}
_BESIDE = _CAPTIONS | {".md", ".rst", ".html", ".htm", ".ini", ".db", ".log", ".pdf"}
_MAY_MOVE = (".gif", ".webp", ".png", ".tif", ".tiff")


class ImagePath(NamedTuple):
    """One image to describe. An empty path is an empty line."""

    path: str
    problem: str | None = None  # why there is no image; it names the path
    note: str | None = None  # note on the folder, with its first image


class ImagePaths:
    def __init__(self, arguments: Sequence[str], clips: bool) -> None:
        """No argument at all, or "-", means standard input. Raises UserError if it is missing."""
        self._arguments = deque(arguments or ["-"])
        self._clips = clips
        self._lines = LineReader(paths=True) if "-" in self._arguments else None
        self._queue: deque[ImagePath] = deque()

    def take(self, most: int) -> list[ImagePath]:
        """Wait for one line at most, then return at most `most` images. An empty list means the end."""
        while len(self._queue) < most and self._arguments:
            if self._arguments[0] != "-":
                self._queue += image_paths(self._arguments.popleft(), self._clips)
                continue
            if self._queue:  # known images do not wait for the next line
                break
            assert self._lines is not None
            lines = self._lines.take(most)
            for line in lines:
                self._queue += image_paths(line.text, self._clips)
            if not lines:
                self._arguments.popleft()
        return [self._queue.popleft() for _ in range(min(most, len(self._queue)))]


def image_paths(path: str, clips: bool) -> list[ImagePath]:
    """The images at a path: the file itself, or those in a folder."""
    try:
        if not path or not Path(path).is_dir():
            return [ImagePath(path)]
        return _clips_in(path) if clips else _stills_in(path)
    except UserError as error:
        return [ImagePath(path, str(error))]
    except (OSError, ValueError) as error:
        return [ImagePath(path, f"{path}: {getattr(error, 'strerror', None) or error}")]


def modality_warning(content: Sequence[bytes], path: str, clips: bool) -> str | None:
    """A warning if a clip is described as a still, or a still or several clips as one clip.

    Raises UserError, which names the path, if the content is no image.
    """
    moves = count_frames(content[:1], path) > 1
    if not clips:
        return (
            f"{path}: an animated image: its first frame is described, for the model reads stills"
            if moves
            else None
        )
    if len(content) == 1:
        return (
            None
            if moves
            else f"{path}: a still image: described as a clip of one frame, for the model reads clips"
        )
    return (
        f"{path}: a folder of animated images: described as one clip of their first frames; name them to "
        "describe each"
        if moves
        else None
    )


def advised(path: str, problem: str) -> str:
    """The problem of a path. If it is a text file that may list paths, the message says how to use it."""
    if " but text (" in problem and Path(path).suffix.lower() in _LISTS:
        return f"{problem}; if it lists images, give `-` instead and the file on standard input"
    return problem


def _stills_in(folder: str) -> list[ImagePath]:
    images = {*frame_files(Path(folder)), *_broken(folder)}
    others = [
        entry for entry in Path(folder).iterdir() if not entry.name.startswith(".") and entry not in images
    ]
    folders = sum(entry.is_dir() for entry in others)
    if not images:
        left = _counted(folders, len(others) - folders, "")
        only = f", only {left}; folders are searched one level deep" if left else ""
        return [ImagePath(folder, f"{folder}: no images in this folder{only}")]
    unknown = sorted(entry.name for entry in others if not entry.is_dir() and not _goes_with_images(entry))
    names = ", ".join(unknown[:_MAX_NAMED]) + (", ..." if len(unknown) > _MAX_NAMED else "")
    left = _counted(folders, len(unknown), f" ({names})")
    why = "images are recognised by their endings; folders are searched one level deep"
    return _named(
        folder, sorted(images, key=by_numbers), f"{folder}: {left} in it ignored ({why})" if left else None
    )


def _counted(folders: int, files: int, names: str) -> str:
    """The counts as text, such as "1 folder and 2 other files (a.mp4, b.heic)"."""
    counts = ((folders, "folder", ""), (files, "other file", names))
    return " and ".join(
        f"{count:,} {what}{'s' if count > 1 else ''}{after}" for count, what, after in counts if count
    )


def _goes_with_images(path: Path) -> bool:
    """Whether a file belongs beside images: captions, a licence, or a file of the operating system."""
    return path.suffix.lower() in _BESIDE or path.name.lower().startswith(("readme", "licen", "metadata."))


def _broken(folder: str) -> list[Path]:
    """Entries with the name of an image that are neither file nor folder: broken links, pipes, devices."""
    return [
        path
        for path in Path(folder).iterdir()
        if path.suffix.lower() in ENDINGS
        and not path.name.startswith(".")
        and not path.is_file()
        and not path.is_dir()
    ]


def _clips_in(folder: str) -> list[ImagePath]:
    frames, broken = frame_files(Path(folder)), _broken(folder)
    folders = [entry for entry in Path(folder).iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    if not folders and not any(_moves(frame) for frame in frames):
        return [
            ImagePath(folder, None if frames else f"{folder}: no images in this folder, so it is no clip")
        ]
    return _named(folder, sorted([*folders, *frames, *broken], key=by_numbers), None)


def _named(folder: str, entries: Sequence[Path], note: str | None) -> list[ImagePath]:
    names = [os.path.join(folder, entry.name) for entry in entries]
    return [ImagePath(name, None, note if name == names[0] else None) for name in names]


def _moves(path: Path) -> bool:
    """Whether it is an animated image."""
    try:
        return path.suffix.lower() in _MAY_MOVE and count_frames([read_file(path)], str(path)) > 1
    except UserError:
        return False
