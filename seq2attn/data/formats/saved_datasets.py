"""Folders that `datasets` writes with save_to_disk: the files that they name, which must lie in them.

This module loads no data set.
"""

from pathlib import Path
from typing import Any

from seq2attn import strict_json
from seq2attn.data.formats.text import printable
from seq2attn.errors import UserError

_MOST_BYTES = 1 << 24  # bytes of a JSON file, at most


def split_folders(folder: Path) -> dict[str, Path]:
    """The folder of each split. Raises UserError for a name that leads out of `folder`, or for damage."""
    index = folder / "dataset_dict.json"
    if not index.is_file():
        name = _facts(folder / "state.json").get("_split")
        arrow_files(folder)
        return {name if isinstance(name, str) and name else "train": folder}
    names = _facts(index).get("splits")
    if not isinstance(names, list) or not names:
        raise UserError(f"{index}: damaged: no list of splits; save the dataset again")
    folders = {}
    for name in names:
        _refuse_path(name, index)
        folders[name] = folder / name
        arrow_files(folders[name])
    return folders


def arrow_files(folder: Path) -> list[Path]:
    """The files that hold the rows of one split. Raises UserError for one that is missing or elsewhere."""
    state = folder / "state.json"
    entries = _facts(state).get("_data_files")
    if not isinstance(entries, list):
        raise UserError(f"{state}: damaged: no list of files; save the dataset again")
    files = []
    for entry in entries:
        name = entry.get("filename") if isinstance(entry, dict) else None
        _refuse_path(name, state)
        files.append(folder / str(name))
        if not files[-1].is_file():
            raise UserError(f"{files[-1]}: no such file, and {state.name} names it; save the dataset again")
    return files


def _facts(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("too large")
        facts = strict_json.parse(path.read_text(encoding="utf-8"), constants=True)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: damaged ({str(error)[:200]}); save the dataset again") from None
    if not isinstance(facts, dict):
        raise UserError(f"{path}: damaged: not an object; save the dataset again")
    return facts


def _refuse_path(name: object, where: Path) -> None:
    """Raise UserError for anything but the name of a file in the same folder."""
    plain = isinstance(name, str) and name.isprintable() and not set("/\\") & set(name)
    if not plain or name in ("", ".", ".."):
        problem = f"{printable(repr(name)[:100])} is no name in this folder"
        raise UserError(f"{where}: {problem}; save the dataset again")
