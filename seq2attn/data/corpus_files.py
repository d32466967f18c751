"""The files of a folder that are part of a corpus.

Hidden files, and files of prepared folders and runs in the folder, are not.
"""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from seq2attn.data.formats.packed import bare
from seq2attn.data.formats.text import printable

# files that programs write about data
_METADATA = "config.json dataset_info.json dataset_infos.json dataset_dict.json state.json prepared.json"
_MOST_NOTES = 5  # folders that are named


def is_run(folder: Path) -> bool:
    """Whether training wrote this folder."""
    parts = ("model.safetensors", "metrics.jsonl", "training")
    return (folder / "config.json").is_file() and any((folder / part).exists() for part in parts)


def tables_in(
    folder: Path, endings: Collection[str], follow_links: bool = False
) -> tuple[list[Path], list[str]]:
    """Files with one of these endings, packed or not, in and below the folder; and notes on other folders.

    Links to folders are entered with `follow_links`.
    """
    notes = [
        f"{folder.name}/{note}" for _, folder_notes in _walk(folder, follow_links) for note in folder_notes
    ][:_MOST_NOTES]
    if _names_files(folder / "README.md"):
        readme = f"{folder.name}/README.md names data_files"
        notes.append(f"{readme}: it is not followed, the files of the folder are read")
    files = (file for file in _files(folder, follow_links) if file.name not in _METADATA.split())
    return sorted(file for file in files if Path(bare(file.name.lower())).suffix in endings), notes


def arrow_in(folder: Path, follow_links: bool = False) -> str | None:
    """The first Arrow file below the folder."""
    files = (file.relative_to(folder) for file in _files(folder, follow_links) if file.suffix == ".arrow")
    return min(map(printable, files), default=None)


def is_own(name: str) -> bool:
    """Whether a file of that name may be data.

    A hidden file is not, nor a copy that an editor or an office program keeps.
    """
    return not name.startswith((".", "~$", "#")) and not name.endswith("~") and name != "__MACOSX"


def walk(root: Path, follow_links: bool = False) -> Iterator[tuple[str, list[str], list[str]]]:
    """As `os.walk`. With `follow_links`, links to folders are entered, but no folder twice: loops end."""
    entered: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=follow_links):
        if follow_links:
            try:
                facts = os.stat(folder)
            except OSError:  # removed meanwhile
                continue
            if (facts.st_dev, facts.st_ino) in entered:
                folders.clear()
                continue
            entered.add((facts.st_dev, facts.st_ino))
        yield folder, folders, files


def _files(folder: Path, follow_links: bool) -> Iterator[Path]:
    for place, _ in _walk(folder, follow_links):
        for entry in os.scandir(place):
            if is_own(entry.name) and entry.is_file():
                yield Path(entry.path)


def _walk(root: Path, follow_links: bool) -> Iterator[tuple[Path, list[str]]]:
    """Each folder that belongs to the corpus, with notes on those in it that do not."""
    for place, names, _ in walk(root, follow_links):
        inside, notes = [], []
        for name in sorted(names):
            below = Path(place, name)
            if not is_own(name):
                continue
            if (below / "prepared.json").is_file():
                notes.append(f"{printable(below.relative_to(root))} is prepared data, left out")
            elif is_run(below):
                notes.append(f"{printable(below.relative_to(root))} is a trained run, left out")
            else:
                inside.append(name)
        names[:] = inside
        yield Path(place), notes


def _names_files(readme: Path) -> bool:
    try:
        with readme.open("rb") as file:
            return b"data_files" in file.read(1 << 16)
    except OSError:
        return False
