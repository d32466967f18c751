"""Folders that `datasets` writes with save_to_disk: which files they name, and that those stand in them.

It loads nothing.
"""

from pathlib import Path
from typing import Any

from seq2attn import strict_json
from seq2attn.data.corpus import shown
from seq2attn.errors import UserError

_SIZE = 1 << 24  # bytes of a file of facts


def splits(folder: Path) -> dict[str, Path]:
    """Split -> its folder.

    Raises UserError for names that lead out of the folder, and for what is damaged.
    """
    whole = folder / "dataset_dict.json"
    if not whole.is_file():
        name = _facts(folder / "state.json").get("_split")
        arrow_files(folder)
        return {name if isinstance(name, str) and name else "train": folder}
    names = _facts(whole).get("splits")
    if not isinstance(names, list) or not names:
        raise UserError(f"{whole}: damaged: no list of splits; save the dataset again")
    parts = {}
    for name in names:
        _refuse_path(name, whole)
        parts[name] = folder / name
        arrow_files(parts[name])
    return parts


def arrow_files(folder: Path) -> list[Path]:
    """The files that hold the rows of one split. Raises UserError for one that is elsewhere or not there."""
    state = folder / "state.json"
    listed = _facts(state).get("_data_files")
    if not isinstance(listed, list):
        raise UserError(f"{state}: damaged: no list of files; save the dataset again")
    files = []
    for one in listed:
        name = one.get("filename") if isinstance(one, dict) else None
        _refuse_path(name, state)
        files.append(folder / str(name))
        if not files[-1].is_file():
            raise UserError(f"{files[-1]}: no such file, and {state.name} names it; save the dataset again")
    return files


def _facts(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _SIZE:
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
    """Raise UserError for what is no name of a file in the same folder."""
    plain = isinstance(name, str) and name.isprintable() and not set("/\\") & set(name)
    if not plain or name in ("", ".", ".."):
        problem = f"{shown(repr(name)[:100])} is no name in this folder"
        raise UserError(f"{where}: {problem}; save the dataset again")
