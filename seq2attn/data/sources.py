"""What the CORPUS of a command line is: a bundled corpus, a folder, one file, or a dataset of the Hugging
Face hub; of text or of captioned images.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from seq2attn.data import folder_files, saved
from seq2attn.data.bundled import bundled_folder
from seq2attn.data.columns import NESTED, WITHOUT_TEXT, BadCell, choose
from seq2attn.data.corpus import SPLIT_NAMES, Corpus, Row, is_split, shown, split_name
from seq2attn.data.formats.bad_rows import SHARE, BadRow, without_bad
from seq2attn.data.images import image_tables, layouts
from seq2attn.data.images.captioned import are_clips
from seq2attn.data.images.corpus import ImageCorpus
from seq2attn.data.images.decoding import MOST_BYTES
from seq2attn.data.images.files import ENDINGS, walk
from seq2attn.data.images.lookup import Files
from seq2attn.data.text import folder as folders
from seq2attn.data.text import tables
from seq2attn.errors import UsageError, UserError

HUB = "hf:"
_SAMPLES = ("scenes", "clips")  # bundled corpora of images
_METADATA = re.compile(r"metadata\.(jsonl|csv|parquet)")  # of the image folder that `datasets` knows
_VIDEOS = {".mp4", ".avi", ".mov", ".webm", ".mkv"}
_SHEETS = {".xlsx", ".xls", ".ods"}
_TABLES = (".parquet", ".jsonl", ".json", ".csv", ".tsv")


class ReadingOptions(NamedTuple):
    """What the user says of how a corpus is read; see `open_corpus`."""

    source: str | None = None
    target: str | None = None
    max_bad: float = SHARE
    follow_links: bool = False


def open_corpus(
    name: str,
    source: str | None = None,
    target: str | None = None,
    max_bad: float = SHARE,
    follow_links: bool = False,
) -> Corpus | ImageCorpus:
    """The corpus of that name or path; `source` and `target` name its sides.

    Of the rows of a table of text, the share `max_bad` may be bad. With `follow_links`, images may be links
    out of it.
    Raises UserError when it is not there or is no corpus, UsageError when it takes the user to say what is
    meant.
    """
    if shown(name) != name:
        raise UserError(f"{shown(name)}: a path that is not UTF-8; rename it")
    corpus = _open(name, ReadingOptions(source, target, max_bad, follow_links))
    if isinstance(corpus, ImageCorpus) and not corpus.clips and are_clips(corpus.images):
        return replace(corpus, clips=True)
    return corpus


def _open(name: str, how: ReadingOptions) -> Corpus | ImageCorpus:
    if name == "phrases":
        return replace(
            folders.open_folder(bundled_folder(name), how.source or "en", how.target or "fr"), name=name
        )
    if name in _SAMPLES:
        return _open_sample(name, how)
    hub = name.removeprefix(HUB) if name.startswith(HUB) else None
    path = Path(hub or name)
    try:
        if hub is not None:
            if hub and path.is_dir():
                return _open_saved(path, how) if _is_saved(path) else _open_tables(path, how)
            return _open_hub(hub, how)
        if path.is_dir():
            return _open_folder(path, how)
        if path.is_file():
            return _open_file(path, how)
        if path.exists():
            raise UserError(f"{path}: neither a file nor a folder; a corpus is read more than once")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    bundled = ", ".join(("phrases", *_SAMPLES))
    raise UserError(
        f"{name}: no such file or folder; the bundled corpora are called {bundled}, a dataset of the Hugging Face hub hf:OWNER/NAME"
    )


def _open_sample(name: str, how: ReadingOptions) -> ImageCorpus:
    corpus = _open_tables(bundled_folder(name), how)
    if not isinstance(corpus, ImageCorpus):
        raise UserError(f"{name}: has no column {how.source} of images")
    return replace(corpus, name=name, language=corpus.language or "en")


def _open_file(path: Path, how: ReadingOptions) -> Corpus | ImageCorpus:
    kind = tables.kind(path)
    if kind in ENDINGS | _VIDEOS:
        raise UserError(
            f"{path}: an image without captions; a corpus has both, as a folder of images with metadata.jsonl in it"
        )
    if (known := layouts.opener(path)) is not None:
        return known(path, how.source, how.target, how.follow_links)
    if kind in _SHEETS and not path.stat().st_size:
        raise UserError(f"{path}: not a format that is known: a spreadsheet: save it as CSV (UTF-8) first")
    content = tables.content(path)
    if not content:
        raise UserError(
            f"{path}: not a format that is known ({', '.join(tables.KINDS)}, each also packed); two files of text go into a folder, as train.en and train.de"
        )
    images = _images(path, path.parent, [(path, None)], how) if content in _TABLES else None
    return images or tables.open_table(path, how.source, how.target, how.max_bad)


def _open_folder(path: Path, how: ReadingOptions) -> Corpus | ImageCorpus:
    for prepared in (path, path.resolve().parent):
        if (prepared / "prepared.json").is_file() and (prepared is path or _is_saved(path)):
            raise UserError(f"{prepared} is prepared already: use it with `seq2attn train --data {prepared}`")
    if folder_files.is_run(path):
        raise UserError(f"{path}: a trained run, no corpus: use it with `seq2attn translate {path}`")
    if folders.languages(path):
        return folders.open_folder(path, how.source, how.target)
    if (known := layouts.opener(path)) is not None:
        return known(path, how.source, how.target, how.follow_links)
    if _is_saved(path):
        return _open_saved(path, how)
    tables_here, notes = folder_files.tables_in(path, _TABLES)
    holds_images = any(
        Path(name).suffix.lower() in ENDINGS | _VIDEOS for *_, names in walk(path, True) for name in names
    )
    described = any(_METADATA.fullmatch(table.name) for table in tables_here)
    if holds_images and not described and (inside := layouts.nested(path)):
        folder, opens = inside
        return opens(folder, how.source, how.target, how.follow_links)
    if tables_here:
        return _open_tables(path, how, holds_images)
    if holds_images:
        raise layouts.refusal(path)
    wanted = f"train.LANG for each of two languages (and valid.LANG, test.LANG), or files {' '.join(_TABLES)}"
    raise UserError(
        f"{path}: no corpus in this folder: it takes {wanted}{''.join(f'; {note}' for note in notes)}"
    )


def _open_tables(path: Path, how: ReadingOptions, holds_images: bool = False) -> Corpus | ImageCorpus:
    """A folder of tables, of text or with images. The split is in the name of the table or of a folder on its
    way.

    Where it `holds_images` too, a table is one of text only if the user or the names of its columns say so.
    What a README.md says of other files is not followed: the tables of a folder are those that stand in it.
    """
    found, notes = folder_files.tables_in(path, _TABLES)
    loose = folder_files.arrow_in(path)
    if loose and found:
        both = f"tables, as {found[0].name}, beside Arrow files, as {loose}"
        raise UserError(f"{path}: {both}: name the one that is meant")
    if loose:
        raise UserError(f"{path}: Arrow files, as {loose}, alone: save them as Parquet or JSONL")
    metadata = [table for table in found if _METADATA.fullmatch(table.name)]
    splits: list[tuple[Path, str | None]] = [
        (table, _split_of(table.relative_to(path))) for table in metadata or found
    ]
    chosen = [one for one in splits if one[1]] or splits
    if not chosen:
        raise UserError(f"{path}: no tables in this folder; it takes files {' '.join(_TABLES)}")
    left_out = sorted(shown(table.relative_to(path)) for table in {*found} - {table for table, _ in chosen})
    if left_out:
        notes.append(f"tables left out: {', '.join(left_out[:5])}{' ...' if len(left_out) > 5 else ''}")
    corpus = _images(path, path, chosen, how)
    if corpus is None and metadata:
        raise UserError(
            f"{metadata[0]}: no column file_name, image or clip; --source NAME says which one has the images"
        )
    if corpus is not None:
        corpus.notes.extend(notes)
        return corpus
    if not holds_images or how.source or how.target:
        return _texts(path, chosen, how, notes)
    try:
        texts = _texts(path, chosen, how, notes)
    except UsageError:
        raise layouts.refusal(path) from None
    if not all(texts.languages):
        raise layouts.refusal(path)
    return texts


def _images(
    where: Path, root: Path, chosen: list[tuple[Path, str | None]], how: ReadingOptions
) -> ImageCorpus | None:
    """Tables of images; None where they are of text, and where the first row does not say."""
    try:
        return image_tables.open_tables(str(where), root, chosen, how.source, how.target, how.follow_links)
    except tables.BadRowMet:
        return None


def _texts(
    path: Path, chosen: list[tuple[Path, str | None]], how: ReadingOptions, notes: list[str]
) -> Corpus:
    """Tables of text, those of one split one after another."""
    in_order = sorted(chosen, key=lambda one: (str(one[1]), one[0]))
    parts = [(tables.of_pairs(table, how.source, how.target), split) for table, split in in_order]
    columns = [part.columns for part, _ in parts if part.columns]
    languages = columns[0].languages if columns else (None, None)
    for part, _ in parts:
        if part.columns and part.columns.languages != languages:
            others = f"where those of {parts[0][0].path.name} are {_sides(languages)}"
            raise UserError(f"{part.path}: its sides are {_sides(part.columns.languages)}, {others}")
        notes += part.notes
    names = [shown(part.path.relative_to(path).as_posix()) for part, _ in parts]
    more = f" and {len(names) - 5:,} more files" if len(names) > 5 else ""
    notes.append(f"from {', '.join(names[:5])}{more} in {path}")

    def rows() -> Iterator[Row | BadRow]:
        for part, split in parts:
            yield from part.rows(split)

    inputs = [part.path for part, _ in parts]
    return Corpus(str(path), languages, lambda: without_bad(rows(), how.max_bad, notes), inputs, notes)


def _sides(languages: tuple[str | None, str | None]) -> str:
    return " and ".join(language or "without a name" for language in languages)


def _split_of(table: Path) -> str | None:
    # parts of a split, as the hub numbers them
    stem = re.sub(r"-\d{5}-of-\d{5}.*", "", table.name.partition(".")[0])
    return next(filter(None, map(split_name, (stem, *reversed(table.parts[:-1])))), None)


def _is_saved(path: Path) -> bool:
    """Whether `datasets` wrote this folder with save_to_disk."""
    return (path / "dataset_dict.json").is_file() or (path / "state.json").is_file()


def _open_hub(name: str, how: ReadingOptions) -> Corpus | ImageCorpus:
    """A dataset of the hub."""
    path, config = name.rpartition(":")[::2] if ":" in name else (name, None)
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", path):
        raise UsageError(
            f"{HUB}{name}: write {HUB}OWNER/NAME or {HUB}OWNER/NAME:CONFIG, or a folder that exists"
        )
    where = HUB + name
    return _of_datasets(_load(path, config, where), where, None, [], how)


def _open_saved(path: Path, how: ReadingOptions) -> Corpus | ImageCorpus:
    """What `datasets` wrote with save_to_disk."""
    if found := folder_files.tables_in(path, _TABLES)[0]:
        both = f"a table, {found[0].name}, beside what `datasets` saved"
        raise UserError(f"{path}: {both}: name the file that is meant, or take the others out")
    parts = saved.splits(path)
    import datasets

    where = str(path)
    splits = {
        name: _guarded(where, lambda folder=folder: _undecoded(datasets.load_from_disk(str(folder))))
        for name, folder in parts.items()
    }
    used = [folder for name, folder in parts.items() if split_name(name)]
    inputs = [file for folder in used for file in saved.arrow_files(folder)]
    return _of_datasets(splits, where, path, inputs, how)


def _of_datasets(
    splits: dict[Any, Any], where: str, root: Path | None, inputs: list[Path], how: ReadingOptions
) -> Corpus | ImageCorpus:
    """A corpus of datasets by split; `root` is their folder where they have one."""
    used: dict[str, list[Any]] = {}
    for split, dataset in splits.items():
        if str(split).lower().startswith("test") and not is_split(str(split)):
            name = shown(repr(str(split))[:60])
            raise UserError(f"{where}: no folder may be called as its split {name}: {SPLIT_NAMES}")
        if ours := split_name(str(split)):
            used.setdefault(ours, []).append(dataset)
    if not used:
        raise UserError(
            f"{where}: no split train, validation or test; there are: {', '.join(map(str, splits))}"
        )
    first = next(iter(used.values()))[0]
    example = _guarded(where, lambda: next(iter(first), None))
    if example is None:
        return Corpus(where, (None, None), lambda: iter(()))
    ignored = [str(split) for split in splits if not split_name(str(split))]
    notes = [f"splits left out: {', '.join(ignored)}"] if ignored else []

    def examples() -> Iterator[tuple[str, str, Any]]:
        for split, parts in sorted(used.items()):
            number = 0
            for part in parts:
                rest = iter(part)
                while (example := _guarded(where, lambda rest=rest: next(rest, None))) is not None:
                    number += 1
                    yield split, f"{split}:{number}", example

    if images := image_tables.choose(example, how.source, how.target, where):
        locate = _locate(where, Files(root, how.follow_links) if root is not None else None)
        return image_tables.corpus_of(
            where,
            lambda: (
                image_tables.ImageRow(row, images, locate, place, split) for split, place, row in examples()
            ),
            images,
            inputs,
            notes,
        )
    inside = example.get(NESTED)
    columns = choose(
        list(example), how.source, how.target, where, list(inside) if isinstance(inside, dict) else ()
    )._replace(split=False)

    def rows() -> Iterator[Row | BadRow]:
        for split, place, row in examples():
            try:
                yield columns.row(row, place, split)
            except BadCell as error:
                yield BadRow(f"{where}: {split}", int(place.rpartition(":")[2]), WITHOUT_TEXT, str(error))

    return Corpus(where, columns.languages, lambda: without_bad(rows(), how.max_bad, notes), inputs, notes)


def _locate(where: str, files: Files | None) -> image_tables.Locate:
    """How an image is read of which a dataset has the path alone: below its own folder, or where the hub
    says.
    """

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
        raise UserError(f"{where}: {place}: its image is elsewhere, as {name[:100]}")

    def read() -> bytes:
        with xopen(name, "rb") as file:
            data: bytes = file.read(MOST_BYTES + 1)
            return data

    data = _guarded(f"{where}: {place}", read)
    if len(data) > MOST_BYTES:
        raise UserError(
            f"{where}: {place}: a file of more than {MOST_BYTES >> 20} MiB where an image is wanted"
        )
    return [data]


def _load(path: str, config: str | None, where: str) -> dict[Any, Any]:
    """Split -> its examples, streamed: nothing is copied to a cache first."""
    import datasets

    def streamed() -> Any:
        with tempfile.TemporaryDirectory() as cache:  # only a lock comes into it
            builder = datasets.load_dataset_builder(path, config, cache_dir=cache)
        if hasattr(builder.config, "keep_default_na"):
            # the reader of CSV would take sentences such as "None" and "NA" for nothing
            builder.config.keep_default_na = False
        return builder.as_streaming_dataset()

    return {name: _undecoded(part) for name, part in _guarded(where, streamed).items()}


def _undecoded(dataset: Any) -> Any:
    """The same examples, images and the like as the bytes that they are."""
    import datasets

    def decoded(feature: Any) -> bool:
        return isinstance(feature, (datasets.Image, datasets.Audio, datasets.Video)) or (
            hasattr(feature, "feature") and decoded(feature.feature)
        )

    if not any(map(decoded, (dataset.features or {}).values())):
        return dataset
    return (dataset.to_iterable_dataset() if isinstance(dataset, datasets.Dataset) else dataset).decode(False)


def _guarded(where: str, action: Any) -> Any:
    """What `action` returns; whatever goes wrong in a foreign reader or on the network is the corpus's
    failure, in one line.
    """
    try:
        return action()
    except UserError:
        raise
    except Exception as error:
        message = " ".join(str(error).split())
        raise UserError(
            f"{where}: cannot be read as a dataset: {message[:300] or type(error).__name__}"
        ) from error
