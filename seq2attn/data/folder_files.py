"""Which files of a folder are its own: not those of prepared folders and runs in it, and nothing hidden."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from seq2attn.data.corpus import shown
from seq2attn.data.formats.packed import bare

_FACTS = {
    "config.json",
    "dataset_info.json",
    "dataset_infos.json",
    "dataset_dict.json",
    "state.json",
    "prepared.json",
}
_NOTED = 5  # folders that are named


def is_run(folder: Path) -> bool:
    """Whether training wrote this folder."""
    parts = ("model.safetensors", "metrics.jsonl", "training")
    return (folder / "config.json").is_file() and any((folder / part).exists() for part in parts)


def tables_in(folder: Path, endings: Collection[str]) -> tuple[list[Path], list[str]]:
    """Files with one of these endings, packed or not, in and below the folder; and notes on others."""
    notes = [f"{folder.name}/{note}" for note in _left_out(folder)]
    if _names_files(folder / "README.md"):
        readme = f"{folder.name}/README.md names data_files"
        notes.append(f"{readme}: it is not followed, the files of the folder are read")
    files = (file for file in _files(folder) if file.name not in _FACTS)
    return sorted(file for file in files if Path(bare(file.name.lower())).suffix in endings), notes


def arrow_in(folder: Path) -> str | None:
    """The first Arrow file below the folder."""
    files = (file.relative_to(folder) for file in _files(folder) if file.suffix == ".arrow")
    return min(map(shown, files), default=None)


def is_own(name: str) -> bool:
    """Whether a file of that name may be data: not hidden, and no copy that an editor or office program
    keeps.
    """
    return not name.startswith((".", "~$", "#")) and not name.endswith("~") and name != "__MACOSX"


def _files(folder: Path) -> Iterator[Path]:
    for place, _ in _walk(folder):
        for entry in os.scandir(place):
            if is_own(entry.name) and entry.is_file():
                yield Path(entry.path)


def _left_out(folder: Path) -> list[str]:
    notes = [note for _, notes in _walk(folder) for note in notes]
    return notes[:_NOTED]


def _walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Each folder that belongs to this one, with notes on those in it that do not."""
    for place, names, _ in os.walk(folder):
        inside, notes = [], []
        for name in sorted(names):
            below = Path(place, name)
            if not is_own(name):
                continue
            if (below / "prepared.json").is_file():
                notes.append(f"{shown(below.relative_to(folder))} is prepared data, left out")
            elif is_run(below):
                notes.append(f"{shown(below.relative_to(folder))} is a trained run, left out")
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
