"""Datasets of the Hugging Face hub, streamed, and those that `datasets` has saved to disk, as corpora."""

import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seq2attn.data.corpus import NESTED, SPLIT_NAMES, ReadingOptions, Row, is_split, split_name
from seq2attn.data.corpus_files import tables_in
from seq2attn.data.formats.bad_rows import BadRow, without_bad
from seq2attn.data.formats.saved_datasets import arrow_files, split_folders
from seq2attn.data.formats.text import printable
from seq2attn.data.images import image_tables
from seq2attn.data.images.corpus import ImageCorpus
from seq2attn.data.images.lookup import Files
from seq2attn.data.images.opening import MOST_BYTES
from seq2attn.data.table_folder import ENDINGS
from seq2attn.data.text.columns import WITHOUT_TEXT, BadCell, choose_columns
from seq2attn.data.text.corpus import Corpus
from seq2attn.errors import UsageError, UserError


def is_saved(path: Path) -> bool:
    """Whether `datasets` wrote this folder with save_to_disk."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def open_hub(name: str, options: ReadingOptions, where: str) -> Corpus | ImageCorpus:
    """The dataset OWNER/NAME or OWNER/NAME:CONFIG; `where` is its name for people."""
    path, config = name.rpartition(":")[::2] if ":" in name else (name, None)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path):
        forms = "write hf:OWNER/NAME or hf:OWNER/NAME:CONFIG, or a folder that exists"
        raise UsageError(f"{where}: {forms}")
    return _of_datasets(_load(path, config, where), where, None, [], options)


def open_saved(path: Path, options: ReadingOptions) -> Corpus | ImageCorpus:
    """A folder that `datasets` wrote with save_to_disk."""
    if tables := tables_in(path, ENDINGS)[0]:
        both = f"a table, {tables[0].name}, beside files that `datasets` saved"
        raise UserError(f"{path}: {both}: name the file that is meant, or take the others out")
    folders = split_folders(path)
    import datasets

    where = str(path)
    splits = {
        name: _guarded(where, lambda folder=folder: _undecoded(datasets.load_from_disk(str(folder))))
        for name, folder in folders.items()
    }
    inputs = [file for name, folder in folders.items() if split_name(name) for file in arrow_files(folder)]
    return _of_datasets(splits, where, path, inputs, options)


def _of_datasets(
    datasets_by_split: dict[Any, Any],
    where: str,
    root: Path | None,
    inputs: list[Path],
    options: ReadingOptions,
) -> Corpus | ImageCorpus:
    """A corpus of datasets by split. `root` is their folder, if they have one."""
    splits = _known_splits(datasets_by_split, where)
    first = next(iter(splits.values()))[0]
    example = _guarded(where, lambda: next(iter(first), None))
    if example is None:
        return Corpus(where, (None, None), lambda: iter(()))
    ignored = [str(split) for split in datasets_by_split if not split_name(str(split))]
    notes = [f"splits left out: {', '.join(ignored)}"] if ignored else []

    def examples() -> Iterator[tuple[str, str, Any]]:
        for split, parts in sorted(splits.items()):
            number = 0
            for part in parts:
                rest = iter(part)
                while (example := _guarded(where, lambda rest=rest: next(rest, None))) is not None:
                    number += 1
                    yield split, f"{split}:{number}", example

    if images := image_tables.choose(example, options.source, options.target, where):
        locate = _locate(where, Files(root, options.follow_links) if root is not None else None)

        def image_rows() -> Iterator[image_tables.ImageRow]:
            for split, place, row in examples():
                yield image_tables.ImageRow(row, images, locate, place, split)

        return image_tables.corpus_of(where, image_rows, images, inputs, notes)
    inside = example.get(NESTED)
    nested = list(inside) if isinstance(inside, dict) else ()
    columns = choose_columns(list(example), options.source, options.target, where, nested)
    columns = columns._replace(split=False)

    def rows() -> Iterator[Row | BadRow]:
        for split, place, row in examples():
            try:
                yield columns.row(row, place, split)
            except BadCell as error:
                yield BadRow(f"{where}: {split}", int(place.rpartition(":")[2]), WITHOUT_TEXT, str(error))

    def good_rows() -> Iterator[Row]:
        return without_bad(rows(), options.max_bad, notes)

    return Corpus(where, columns.languages, good_rows, inputs, notes)


def _known_splits(datasets_by_split: dict[Any, Any], where: str) -> dict[str, list[Any]]:
    """The datasets of train, valid and test*. Raises UserError if there are none."""
    splits: dict[str, list[Any]] = {}
    for name, dataset in datasets_by_split.items():
        if str(name).lower().startswith("test") and not is_split(str(name)):
            problem = f"no folder may be called as its split {printable(repr(str(name))[:60])}"
            raise UserError(f"{where}: {problem}: {SPLIT_NAMES}")
        if split := split_name(str(name)):
            splits.setdefault(split, []).append(dataset)
    if not splits:
        names = ", ".join(map(str, datasets_by_split))
        raise UserError(f"{where}: no split train, validation or test; there are: {names}")
    return splits


def _locate(where: str, files: Files | None) -> image_tables.Locate:
    """A function that finds an image by its path in a dataset: below `files`, or (None) on the hub."""

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

    if not name.rpartition("::")[2].startswith(("hf://", datasets.config.HF_ENDPOINT + "/")):
        raise UserError(f"{where}: {place}: its image is elsewhere, as {name[:100]}")

    def read() -> bytes:
        with xopen(name, "rb") as file:
            data: bytes = file.read(MOST_BYTES + 1)
            return data

    data = _guarded(f"{where}: {place}", read)
    if len(data) > MOST_BYTES:
        size = f"a file of more than {MOST_BYTES >> 20} MiB"
        raise UserError(f"{where}: {place}: {size} where an image is wanted")
    return [data]


def _load(path: str, config: str | None, where: str) -> dict[Any, Any]:
    """Split -> its examples, streamed, without a copy in a cache."""
    import datasets

    def streamed() -> Any:
        with tempfile.TemporaryDirectory() as cache:  # holds a lock alone
            builder = datasets.load_dataset_builder(path, config, cache_dir=cache)
        if hasattr(builder.config, "keep_default_na"):
            # otherwise the reader of CSV would read the sentences "None" and "NA" as empty cells
            builder.config.keep_default_na = False
        return builder.as_streaming_dataset()

    return {name: _undecoded(part) for name, part in _guarded(where, streamed).items()}


def _undecoded(dataset: Any) -> Any:
    """The same examples, with images and the like as encoded bytes."""
    import datasets

    def decoded(feature: Any) -> bool:
        return isinstance(feature, (datasets.Image, datasets.Audio, datasets.Video)) or (
            hasattr(feature, "feature") and decoded(feature.feature)
        )

    if not any(map(decoded, (dataset.features or {}).values())):
        return dataset
    return (dataset.to_iterable_dataset() if isinstance(dataset, datasets.Dataset) else dataset).decode(False)


def _guarded(where: str, action: Any) -> Any:
    """The result of `action`.

    An exception of another library or of the network becomes a UserError of one line.
    """
    try:
        return action()
    except UserError:
        raise
    except Exception as error:
        message = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(f"{where}: cannot be read as a dataset: {message}") from error
