"""What the CORPUS of a command line is: a bundled corpus, a folder, one file, or a dataset of the Hugging Face hub."""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from seq2attn.data import folder as folders
from seq2attn.data import tables
from seq2attn.data.columns import NESTED, choose
from seq2attn.data.corpus import Corpus, Row, split_name
from seq2attn.errors import UsageError, UserError

HUB = "hf:"
_PICTURES = {".jpg", ".jpeg", ".png", ".gif", ".webp", ".bmp", ".tif", ".tiff", ".mp4", ".avi", ".mov", ".webm", ".mkv"}
_CAPTIONS = re.compile(r".*\.token\.txt|dataset_(?!info|dict).*\.json|metadata\.(jsonl|csv)")  # Flickr's, Karpathy's, the `datasets` image folder's
_TABLES = (".parquet", ".jsonl", ".json", ".csv", ".tsv")


def open_corpus(name: str, source: str | None = None, target: str | None = None) -> Corpus:
    """The corpus of that name or path; `source` and `target` name its sides.

    Raises UserError when it is not there or is no corpus of text, UsageError when it takes the user to say what is meant.
    """
    if name == "phrases":
        from seq2attn.data.samples import phrases

        return replace(folders.open_folder(phrases.folder(), source or "en", target or "fr"), name=name)
    if name == "scenes":
        raise _no_images(name)
    if name.startswith(HUB):
        return _open_hub(name.removeprefix(HUB), source, target)
    path = Path(name)
    try:
        if path.is_dir():
            return _open_folder(path, source, target)
        if path.is_file():
            return _open_file(path, source, target)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    raise UserError(f"{name}: no such file or folder; the bundled corpus is called phrases, a dataset of the Hugging Face hub hf:OWNER/NAME")


def _open_file(path: Path, source: str | None, target: str | None) -> Corpus:
    kind = tables.kind(path)
    if kind in _PICTURES or _CAPTIONS.fullmatch(path.name):
        raise _no_images(path)
    if kind not in tables.KINDS:
        raise UserError(
            f"{path}: not a format that is known ({', '.join(tables.KINDS)}, each also as .gz); two files of text go into a folder, as train.en and train.de"
        )
    return tables.open_table(path, source, target)


def _open_folder(path: Path, source: str | None, target: str | None) -> Corpus:
    if (path / "prepared.json").is_file():
        raise UserError(f"{path} is prepared already: use it with `seq2attn train --data {path}`")
    if folders.languages(path):
        return folders.open_folder(path, source, target)
    if any(_CAPTIONS.fullmatch(file.name) for file in path.iterdir()):
        raise _no_images(path)
    if _is_saved(path) or _tables_in(path):
        return _open_hub(str(path), source, target)
    if any(file.suffix.lower() in _PICTURES for file in path.rglob("*")):
        raise _no_images(path)
    raise UserError(
        f"{path}: no corpus in this folder: it takes train.LANG for each of two languages (and valid.LANG, test.LANG), or files {' '.join(_TABLES)}"
    )


def _is_saved(path: Path) -> bool:
    """Whether `datasets` wrote this folder with save_to_disk."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _tables_in(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if tables.kind(file) in _TABLES and not any(part.startswith(".") for part in file.relative_to(path).parts))


def _no_images(name: object) -> UserError:
    return UserError(f"{name}: images and clips with captions cannot be prepared by this version, only text")


def _open_hub(name: str, source: str | None, target: str | None) -> Corpus:
    """A dataset of the hub, or a folder with the same layout: files of a format that `datasets` reads, or what its save_to_disk wrote."""
    path, config = (name, None) if name and Path(name).exists() else (name.rpartition(":")[::2] if ":" in name else (name, None))
    local = bool(path) and Path(path).exists()
    if not local and not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path):
        raise UsageError(f"{HUB}{name}: write {HUB}OWNER/NAME or {HUB}OWNER/NAME:CONFIG, or a folder that exists")
    where = path if local else HUB + name
    splits = _load(path, config, where, local)
    used: dict[str, list[Any]] = {}
    for split, dataset in splits.items():
        if ours := split_name(str(split)):
            used.setdefault(ours, []).append(dataset)
    if not used:
        raise UserError(f"{where}: no split train, validation or test; there are: {', '.join(map(str, splits))}")
    first = next(iter(used.values()))[0]
    example = _guarded(where, lambda: next(iter(first), None))
    if example is None:
        return Corpus(where, (None, None), lambda: iter(()))
    inside = example.get(NESTED)
    columns = choose(list(example), source, target, where, list(inside) if isinstance(inside, dict) else ())._replace(split=False)

    def rows() -> Iterator[Row]:
        for split, parts in sorted(used.items()):
            number = 0
            for part in parts:
                examples = iter(part)
                while (example := _guarded(where, lambda examples=examples: next(examples, None))) is not None:
                    number += 1
                    yield columns.row(example, f"{split}:{number}", split)

    ignored = [str(split) for split in splits if not split_name(str(split))]
    notes = [f"splits left out: {', '.join(ignored)}"] if ignored else []
    return Corpus(where, columns.languages, rows, _tables_in(Path(path)) if local else [], notes)


def _load(path: str, config: str | None, where: str, local: bool) -> dict[Any, Any]:
    """Split -> its examples, streamed: nothing is copied to a cache first."""
    import datasets

    if local and _is_saved(Path(path)):
        saved = _guarded(where, lambda: datasets.load_from_disk(path))
        return dict(saved) if isinstance(saved, datasets.DatasetDict) else {saved.split or "train": saved}

    def streamed() -> Any:
        with tempfile.TemporaryDirectory() as cache:  # only a lock comes into it
            builder = datasets.load_dataset_builder(path, config, cache_dir=cache)
        if hasattr(builder.config, "keep_default_na"):
            builder.config.keep_default_na = False  # the reader of CSV would take sentences such as "None" and "NA" for nothing
        return builder.as_streaming_dataset()

    return dict(_guarded(where, streamed))


def _guarded(where: str, action: Any) -> Any:
    """What `action` returns; whatever goes wrong in a foreign reader or on the network is the corpus's failure, in one line."""
    try:
        return action()
    except UserError:
        raise
    except Exception as error:
        message = " ".join(str(error).split())
        raise UserError(f"{where}: cannot be read as a dataset: {message[:300] or type(error).__name__}") from error
