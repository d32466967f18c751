"""Where the pictures of a corpus lie: names in files of captions to files below one folder, and never out of it. Knows no format of captions."""

import os
import re
from pathlib import Path

from seq2attn.data.images import read_file
from seq2attn.data.picture_files import frames_in
from seq2attn.errors import UserError


class Files:
    """The files below `root`, by the paths that captions have for them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._by_name: dict[str, list[str]] | None = None

    def checked(self, name: str, place: str) -> str:
        """`name` as it is, if it is a path below the root. Raises UserError for one that leads, or is meant to lead, elsewhere."""
        parts = re.split(r"[/\\]", name)
        if not name.strip() or not parts[0] or ".." in parts or "\0" in name or re.match(r"[A-Za-z][\w+.-]*://", name):
            raise UserError(f"{place}: {name[:100]!r} is no path inside {self.root}; pictures stand below the folder of their captions")
        return name

    def content(self, name: str, place: str, folders: tuple[str, ...] = ("",), anywhere: bool = False) -> list[bytes]:
        """The file of that name in one of `folders`, or anywhere below the root by its last part; of a folder, its frames as `frames_in` has them.

        Raises UserError when there is none, more than one, or it cannot be read.
        """
        path = self._find(name, place, folders, anywhere)
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(self.root)):
            raise UserError(f"{place}: {name} is a link out of {self.root}")
        if not path.is_dir():
            return [read_file(path)]
        return frames_in(path, lambda frame: self.content(frame.relative_to(self.root).as_posix(), place)[0])

    def _find(self, name: str, place: str, folders: tuple[str, ...], anywhere: bool) -> Path:
        for folder in folders:
            if os.path.exists(path := self.root / folder / name):
                return path
        found = self._index().get(Path(name).name, []) if anywhere else []
        if len(found) > 1:
            raise UserError(f"{place}: {name} is there more than once: {found[0]} and {found[1]} in {self.root}")
        if not found:
            raise UserError(f"{place}: no picture {name} in {self.root}")
        return self.root / found[0]

    def _index(self) -> dict[str, list[str]]:
        if self._by_name is None:
            index: dict[str, list[str]] = {}
            for folder, folders, files in os.walk(self.root):
                for name in (*folders, *files):
                    index.setdefault(name, []).append(os.path.relpath(os.path.join(folder, name), self.root))
            self._by_name = index
        return self._by_name
