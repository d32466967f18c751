"""The files of the images that captions name.

All are below one folder, unless a link leads out of it and the user allows that. This module knows no format
of captions.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from seq2attn.data.corpus_files import walk
from seq2attn.data.images.corpus import LinkOut
from seq2attn.data.images.files import read_file, read_frames
from seq2attn.errors import UserError

ALLOW = "allow links with `follow_links` (in training, the setting data.follow_links=true)"


class Files:
    """The files below `root`, by the paths that captions have for them. `root` itself may be a link."""

    def __init__(self, root: Path, follow_links: bool = False) -> None:
        """`follow_links`: whether links below the root may lead out of it."""
        self.root = root
        self.follow_links = follow_links
        self._by_name: dict[str, list[str]] | None = None
        self._by_folded: dict[str, list[str]] = {}
        self._outward: list[Path] | None = None

    def checked(self, name: str, place: str) -> str:
        """Return `name` if it is a path below the root.

        Raises UserError for a name that leads, or could lead, elsewhere.
        """
        parts = re.split(r"[/\\]", name)
        if (
            not name.strip()
            or not parts[0]
            or ".." in parts
            or "\0" in name
            or re.match(r"[A-Za-z][\w+.-]*://", name)
        ):
            problem = f"{name[:100]!r} is no path inside {self.root}"
            raise UserError(f"{place}: {problem}; images stand below the folder of their captions")
        return name

    def content(
        self, name: str, place: str, folders: tuple[str, ...] = ("",), anywhere: bool = False
    ) -> list[bytes]:
        """The file of that name in one of `folders`, or anywhere below the root by its last part.

        A folder gives its frames, as `read_frames` does. Raises UserError if there is no such file, more
        than one, or if it cannot be read, and LinkOut if it lies behind a link that is not followed.
        """
        path = self._find(name, place, folders, anywhere)
        if path.is_symlink() and not path.exists():
            raise UserError(f"{place}: {name} is a link to {_target(path)}, which is not there")
        if not self.follow_links:
            self._refuse_link_out(path, name, place)
        if not path.is_dir():
            return [read_file(path)]
        return read_frames(
            path, lambda frame: self.content(frame.relative_to(self.root).as_posix(), place)[0]
        )

    def _find(self, name: str, place: str, folders: tuple[str, ...], anywhere: bool) -> Path:
        for folder in folders:
            if os.path.lexists(path := self.root / folder / name):
                return path
        paths = self._named(Path(name).name) if anywhere else []
        if len(paths) > 1:
            places = f"{paths[0]} and {paths[1]} in {self.root}"
            raise UserError(f"{place}: {name} is there more than once: {places}")
        if paths:
            return self.root / paths[0]
        if not self.follow_links and (links := self._links_out()):
            raise LinkOut(
                f"{place}: no image {name} in {self.root}; "
                f"{links[0].relative_to(self.root)} is a link to {_target(links[0])}, "
                f"outside of {self.root}: {ALLOW}"
            )
        raise UserError(f"{place}: no image {name} in {self.root}")

    def _named(self, name: str) -> list[str]:
        """Paths below the root whose last part is `name`, or else `name` in another case; each file once."""
        index = self._index()
        paths = index.get(name) or self._by_folded.get(name.casefold(), [])
        if len(paths) < 2:
            return paths
        return list({os.path.realpath(self.root / path): path for path in reversed(paths)}.values())[::-1]

    def _index(self) -> dict[str, list[str]]:
        if self._by_name is None:
            index: dict[str, list[str]] = {}
            for folder, folders, files in walk(self.root, self.follow_links):
                below = os.path.relpath(folder, self.root)
                for name in (*folders, *files):
                    path = name if below == "." else os.path.join(below, name)
                    index.setdefault(name, []).append(path)
                    self._by_folded.setdefault(name.casefold(), []).append(path)
            self._by_name = index
        return self._by_name

    def _refuse_link_out(self, path: Path, name: str, place: str) -> None:
        root = os.path.realpath(self.root)
        if Path(os.path.realpath(path)).is_relative_to(root):
            return
        link = next((part for part in self._parts(path) if _leads_out(part, root)), path)
        subject = name if link == path else f"{name} lies behind {link.relative_to(self.root)}, which"
        raise LinkOut(f"{place}: {subject} is a link to {_target(link)}, outside of {self.root}: {ALLOW}")

    def _parts(self, path: Path) -> Iterator[Path]:
        """The folders from the root to the path, without the root, and the path itself."""
        here = self.root
        for part in path.relative_to(self.root).parts:
            here = here / part
            yield here

    def _links_out(self) -> list[Path]:
        """Folders below the root that are links to a place outside."""
        if self._outward is None:
            root = os.path.realpath(self.root)
            paths = (Path(folder, name) for folder, folders, _ in walk(self.root) for name in sorted(folders))
            self._outward = [path for path in paths if _leads_out(path, root)]
        return self._outward


def _leads_out(path: Path, root: str) -> bool:
    return path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(root)


def _target(link: Path) -> str:
    """The path to which a link leads, after all links."""
    return os.path.realpath(link)
