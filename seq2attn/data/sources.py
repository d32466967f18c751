"""What the CORPUS of a command line is: a bundled corpus, a folder, one file, or a dataset of the Hugging Face hub; of text or of captioned pictures."""

import importlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from seq2attn.data import folder as folders
from seq2attn.data import tables
from seq2attn.data.captions import layouts, picture_tables
from seq2attn.data.captions.captioned import are_clips
from seq2attn.data.captions.files import Files
from seq2attn.data.columns import NESTED, choose
from seq2attn.data.corpus import Corpus, split_name
from seq2attn.data.images import MOST_BYTES
from seq2attn.data.picture_files import ENDINGS, walk
from seq2attn.data.pictures import PictureCorpus
from seq2attn.errors import UsageError, UserError

HUB = "hf:"
_SAMPLES = ("scenes", "clips")  # bundled corpora of pictures
_METADATA = re.compile(r"metadata\.(jsonl|csv|parquet)")  # of the image folder that `datasets` knows
_VIDEOS = {".mp4", ".avi", ".mov", ".webm", ".mkv"}
_TABLES = (".parquet", ".jsonl", ".json", ".csv", ".tsv")


def open_corpus(
    name: str,
    source: str | None = None,
    target: str | None = None,
    follow_links: bool = False,
) -> Corpus | PictureCorpus:
    """The corpus of that name or path; `source` and `target` name its sides. `follow_links`: images may be links out of it.

    Raises UserError when it is not there or is no corpus, UsageError when it takes the user to say what is meant.
    """
    corpus = _open(name, source, target, follow_links)
    if isinstance(corpus, PictureCorpus) and not corpus.clips and are_clips(corpus.pictures):
        return replace(corpus, clips=True)
    return corpus


def _open(name: str, source: str | None, target: str | None, follow_links: bool) -> Corpus | PictureCorpus:
    if name == "phrases":
        from seq2attn.data.samples import phrases

        return replace(folders.open_folder(phrases.folder(), source or "en", target or "fr"), name=name)
    if name in _SAMPLES:
        return _open_sample(name, source, target)
    hub = name.removeprefix(HUB) if name.startswith(HUB) else None
    path = Path(hub or name)
    try:
        if hub is not None:
            local = hub and path.is_dir() and not _is_saved(path)
            pictures = _open_tables(path, source, target, follow_links) if local else None
            return pictures or _open_hub(hub, source, target, follow_links)
        if path.is_dir():
            return _open_folder(path, source, target, follow_links)
        if path.is_file():
            return _open_file(path, source, target, follow_links)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    bundled = ", ".join(("phrases", *_SAMPLES))
    raise UserError(f"{name}: no such file or folder; the bundled corpora are called {bundled}, a dataset of the Hugging Face hub hf:OWNER/NAME")


def _open_sample(name: str, source: str | None, target: str | None) -> PictureCorpus:
    folder: Path = importlib.import_module(f"seq2attn.data.samples.{name}").folder()
    corpus = _open_tables(folder, source, target)
    if corpus is None:
        raise UserError(f"{name}: has no column {source} of pictures")
    return replace(corpus, name=name, language=corpus.language or "en")


def _open_file(path: Path, source: str | None, target: str | None, follow_links: bool) -> Corpus | PictureCorpus:
    kind = tables.kind(path)
    if kind in ENDINGS | _VIDEOS:
        raise UserError(f"{path}: a picture without captions; a corpus has both, as a folder of pictures with metadata.jsonl in it")
    if (known := layouts.opener(path)) is not None:
        return known(path, source, target, follow_links)
    if kind not in tables.KINDS:
        raise UserError(
            f"{path}: not a format that is known ({', '.join(tables.KINDS)}, each also as .gz); two files of text go into a folder, as train.en and train.de"
        )
    pictures = picture_tables.open_tables(str(path), path.parent, [(path, None)], source, target, follow_links) if kind in _TABLES else None
    return pictures or tables.open_table(path, source, target)


def _open_folder(path: Path, source: str | None, target: str | None, follow_links: bool) -> Corpus | PictureCorpus:
    if (path / "prepared.json").is_file():
        raise UserError(f"{path} is prepared already: use it with `seq2attn train --data {path}`")
    if folders.languages(path):
        return folders.open_folder(path, source, target)
    if (known := layouts.opener(path)) is not None:
        return known(path, source, target, follow_links)
    if _is_saved(path):
        return _open_hub(str(path), source, target, follow_links)
    holds_images = any(Path(name).suffix.lower() in ENDINGS | _VIDEOS for *_, names in walk(path, True) for name in names)
    described = any(_METADATA.fullmatch(table.name) for table in _tables_in(path))
    if holds_images and not described and (inside := layouts.nested(path)):
        return inside[1](inside[0], source, target, follow_links)
    if pictures := _open_tables(path, source, target, follow_links):
        return pictures
    if holds_images:
        raise layouts.refusal(path)
    if _tables_in(path):
        return _open_hub(str(path), source, target, follow_links)
    raise UserError(
        f"{path}: no corpus in this folder: it takes train.LANG for each of two languages (and valid.LANG, test.LANG), or files {' '.join(_TABLES)}"
    )


def _open_tables(path: Path, source: str | None, target: str | None, follow_links: bool = False) -> PictureCorpus | None:
    """A folder of tables with pictures in them, or beside them; None when they have none. The split is in the name of the table or of a folder on its way."""
    found = _tables_in(path)
    metadata = [table for table in found if _METADATA.fullmatch(table.name)]
    splits = [(table, _split_of(table.relative_to(path))) for table in metadata or found]
    divided = [(table, split) for table, split in splits if split]
    if not divided and len(splits) > 1 and not metadata:
        return None  # `datasets` may know what they are
    try:
        corpus = picture_tables.open_tables(str(path), path, divided or splits, source, target, follow_links)
    except UserError as error:
        if metadata or isinstance(error, UsageError):
            raise
        return None  # not as we read tables: `datasets` has the word
    if corpus is None and metadata:
        raise UserError(f"{metadata[0]}: no column file_name, image or clip; --source NAME says which one has the pictures")
    if corpus is not None and len(divided or splits) < len(found):
        left_out = sorted({str(table.relative_to(path)) for table in found} - {str(table.relative_to(path)) for table, _ in divided or splits})
        corpus.notes.append(f"tables left out: {', '.join(left_out[:5])}{' ...' if len(left_out) > 5 else ''}")
    return corpus


def _split_of(table: Path) -> str | None:
    stem = re.sub(r"-\d{5}-of-\d{5}.*", "", table.name.partition(".")[0])  # pieces of a split, as the hub numbers them
    return next(filter(None, map(split_name, (stem, *reversed(table.parts[:-1])))), None)


def _is_saved(path: Path) -> bool:
    """Whether `datasets` wrote this folder with save_to_disk."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _tables_in(path: Path) -> list[Path]:
    return sorted(file for file in path.rglob("*") if tables.kind(file) in _TABLES and not any(part.startswith(".") for part in file.relative_to(path).parts))


def _open_hub(name: str, source: str | None, target: str | None, follow_links: bool = False) -> Corpus | PictureCorpus:
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
    ignored = [str(split) for split in splits if not split_name(str(split))]
    notes = [f"splits left out: {', '.join(ignored)}"] if ignored else []
    inputs = _tables_in(Path(path)) if local else []

    def examples() -> Iterator[tuple[str, str, Any]]:
        for split, parts in sorted(used.items()):
            number = 0
            for part in parts:
                rest = iter(part)
                while (example := _guarded(where, lambda rest=rest: next(rest, None))) is not None:
                    number += 1
                    yield split, f"{split}:{number}", example

    if pictures := picture_tables.choose(example, source, target, where):
        locate = _locate(where, Files(Path(path), follow_links) if local else None)
        return picture_tables.corpus_of(
            where, lambda: (picture_tables.PictureRow(row, pictures, locate, place, split) for split, place, row in examples()), pictures, inputs, notes
        )
    inside = example.get(NESTED)
    columns = choose(list(example), source, target, where, list(inside) if isinstance(inside, dict) else ())._replace(split=False)
    return Corpus(where, columns.languages, lambda: (columns.row(row, place, split) for split, place, row in examples()), inputs, notes)


def _locate(where: str, files: Files | None) -> picture_tables.Locate:
    """How a picture is read of which a dataset has the path alone: below its own folder, or where the hub says."""

    def locate(name: str, place: str) -> tuple[str, Any]:
        if files is not None:
            absolute = os.path.abspath(files.root)
            name = os.path.relpath(name, absolute) if name.startswith(absolute + os.sep) else name
            checked = files.checked(name, place)
            return checked, lambda: files.content(checked, place)
        return name.rpartition("/")[2], lambda: _remote(where, name, place)

    return locate


def _remote(where: str, name: str, place: str) -> list[bytes]:
    import datasets
    from datasets.utils.file_utils import xopen

    if not name.rpartition("::")[2].startswith((HUB + "//", datasets.config.HF_ENDPOINT + "/")):
        raise UserError(f"{where}: {place}: its picture is elsewhere, as {name[:100]}")

    def read() -> bytes:
        with xopen(name, "rb") as file:
            data: bytes = file.read(MOST_BYTES + 1)
            return data

    data = _guarded(f"{where}: {place}", read)
    if len(data) > MOST_BYTES:
        raise UserError(f"{where}: {place}: a file of more than {MOST_BYTES >> 20} MiB where an image is wanted")
    return [data]


def _load(path: str, config: str | None, where: str, local: bool) -> dict[Any, Any]:
    """Split -> its examples, streamed: nothing is copied to a cache first."""
    import datasets

    if local and _is_saved(Path(path)):
        saved = _guarded(where, lambda: datasets.load_from_disk(path))
        return {name: _undecoded(part) for name, part in (saved if isinstance(saved, datasets.DatasetDict) else {saved.split or "train": saved}).items()}

    def streamed() -> Any:
        with tempfile.TemporaryDirectory() as cache:  # only a lock comes into it
            builder = datasets.load_dataset_builder(path, config, cache_dir=cache)
        if hasattr(builder.config, "keep_default_na"):
            builder.config.keep_default_na = False  # the reader of CSV would take sentences such as "None" and "NA" for nothing
        return builder.as_streaming_dataset()

    return {name: _undecoded(part) for name, part in _guarded(where, streamed).items()}


def _undecoded(dataset: Any) -> Any:
    """The same examples, images and the like as the bytes that they are."""
    import datasets

    def decoded(feature: Any) -> bool:
        return isinstance(feature, (datasets.Image, datasets.Audio, datasets.Video)) or (hasattr(feature, "feature") and decoded(feature.feature))

    if not any(map(decoded, (dataset.features or {}).values())):
        return dataset
    return (dataset.to_iterable_dataset() if isinstance(dataset, datasets.Dataset) else dataset).decode(False)


def _guarded(where: str, action: Any) -> Any:
    """What `action` returns; whatever goes wrong in a foreign reader or on the network is the corpus's failure, in one line."""
    try:
        return action()
    except UserError:
        raise
    except Exception as error:
        message = " ".join(str(error).split())
        raise UserError(f"{where}: cannot be read as a dataset: {message[:300] or type(error).__name__}") from error
