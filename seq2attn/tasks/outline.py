"""Facts about runs and prepared folders, read from their JSON before anything heavy is imported.

So a mistake in a name is reported at once. A file that cannot be read here is skipped: the code that opens
the run or the folder reports what is wrong with it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seq2attn import strict_json
from seq2attn.config import Modality, of_encoder, of_report
from seq2attn.errors import UsageError, UserError
from seq2attn.tasks.task import refuse_other_modality

MOST = 16 << 20  # bytes of a file, at most
_BUNDLED = ("phrases", "scenes", "clips")


class Outline(NamedTuple):
    """A run: its path, its modality, its corpus and the names of its sides."""

    path: str
    modality: Modality
    corpus: str
    source: str | None
    target: str | None


def of_run(run: str) -> list[Outline | None]:
    """The outline of each member of an ensemble, None if unreadable. Raises UserError without a run."""
    members = [run] if Path(run).is_dir() else [name.strip() for name in run.split(",") if name.strip()]
    return [_of_member(member) for member in members]


def check_names(splits: Sequence[str]) -> None:
    """Raise UsageError for the name of a split that is a path or not printable."""
    for name in splits:
        if name.startswith(".") or not name.isprintable() or any(separator in name for separator in "/\\"):
            problem = f"split {name}: a split has a plain name, as test, and no path"
            raise UsageError(f"{problem}; `data` names the folder", setting="split")


def check_splits(folder: Path, splits: Sequence[str], run: Outline | None) -> None:
    """Raise UserError if a prepared folder is missing, lacks a split, or is not for this run."""
    report = folder / "prepared.json"
    if not folder.exists():
        raise UserError(f"{folder}: no such folder; make one with `seq2attn prepare CORPUS {folder}`")
    if not report.is_file():
        return
    tree = _json(report)
    names = _at(tree, "splits")
    if run is not None:
        modality = of_report(tree if isinstance(tree, dict) else {})
        refuse_other_modality(folder, modality, run.path, run.modality)
    if isinstance(names, dict):
        _check(str(folder), splits, list(map(str, names)))


def check_corpus(run: Outline, splits: Sequence[str]) -> None:
    """Raise UserError if the run's corpus lacks a split, as far as its files tell.

    It is for a corpus that is not prepared yet.
    """
    from seq2attn.data.corpus import split_name
    from seq2attn.data.sources import open_corpus
    from seq2attn.data.text import folder

    path = Path(run.corpus)
    try:
        if run.corpus not in _BUNDLED and not (path.is_dir() and folder.languages(path)):
            return
        files = open_corpus(run.corpus, run.source, run.target).inputs
    except (UserError, OSError, ValueError):
        return
    names = {split_name(file.name.partition(".")[0]) for file in files} - {None}
    _check(run.corpus, splits, sorted(map(str, names)))


def _check(where: str, splits: Sequence[str], names: Sequence[str]) -> None:
    for name in splits:
        if name not in names:
            raise UserError(f"{where}: no split {name}; there are {', '.join(names)}")


def _of_member(path: str) -> Outline | None:
    file = Path(path, "config.json")
    if not Path(path).is_dir():
        raise UserError(f"{path}: no such run directory; `seq2attn train` makes one")
    if not file.is_file():
        raise UserError(f"{path}: not a run directory: it has no config.json")
    tree = _json(file)
    corpus = _at(tree, "corpus")
    if not isinstance(corpus, str):
        return None
    source, target = (_at(tree, "config", "data", side) for side in ("source", "target"))
    names = [side if isinstance(side, str) else None for side in (source, target)]
    encoder = _at(tree, "config", "model", "encoder")
    return Outline(path, of_encoder(encoder if isinstance(encoder, dict) else {}), corpus, *names)


def _json(file: Path) -> Any:
    try:
        if file.stat().st_size > MOST:
            return None
        return strict_json.parse(file.read_text(encoding="utf-8"), constants=True)
    except (OSError, ValueError):
        return None


def _at(tree: Any, *keys: str) -> Any:
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    return tree
