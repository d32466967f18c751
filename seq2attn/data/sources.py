"""What a CORPUS argument is: a bundled corpus, a folder, one file, or a dataset of the Hugging Face hub.

A corpus is of text or of captioned images. A reader opens a path of its kind, and returns None for others.
Readers are tried in the order of their list.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from seq2attn.data import bundled, corpus_files, hf_datasets, table_folder
from seq2attn.data.bundled import bundled_folder
from seq2attn.data.corpus import ReadingOptions
from seq2attn.data.formats import records
from seq2attn.data.formats.bad_rows import SHARE
from seq2attn.data.formats.text import printable
from seq2attn.data.images import layouts
from seq2attn.data.images.captioned import are_clips
from seq2attn.data.images.corpus import ImageCorpus
from seq2attn.data.images.files import ENDINGS
from seq2attn.data.preparation import AnyCorpus
from seq2attn.data.table_folder import ENDINGS as TABLES
from seq2attn.data.text import folder as text_folder
from seq2attn.data.text import tables
from seq2attn.data.text.corpus import Corpus
from seq2attn.errors import UserError

HUB = "hf:"
_VIDEOS = {".mp4", ".avi", ".mov", ".webm", ".mkv"}
_SHEETS = {".xlsx", ".xls", ".ods"}

Reader = Callable[[Path, ReadingOptions], AnyCorpus | None]


def open_corpus(
    name: str,
    source: str | None = None,
    target: str | None = None,
    max_bad: float = SHARE,
    follow_links: bool = False,
) -> AnyCorpus:
    """The corpus with that name or path. `source` and `target` name its sides.

    At most the share `max_bad` of the rows of a table of text may be bad. With `follow_links`, links may lead
    out of a folder of images or tables. Raises UserError if it does not exist or is no corpus, and UsageError
    if the user must say what to read.
    """
    if printable(name) != name:
        raise UserError(f"{printable(name)}: a path that is not UTF-8; rename it")
    corpus = _open(name, ReadingOptions(source, target, max_bad, follow_links))
    if isinstance(corpus, ImageCorpus) and not corpus.clips and are_clips(corpus.images):
        return replace(corpus, clips=True)
    return corpus


def _open(name: str, options: ReadingOptions) -> AnyCorpus:
    if name in bundled.NAMES:
        return _open_bundled(name, options)
    hub = name.removeprefix(HUB) if name.startswith(HUB) else None
    path = Path(hub or name)
    try:
        if hub is not None:
            return _open_hub(hub, path, options)
        if path.is_dir() or path.is_file():
            for reader in FOLDER_READERS if path.is_dir() else FILE_READERS:
                if (corpus := reader(path, options)) is not None:
                    return corpus
        elif path.exists():
            raise UserError(f"{path}: neither a file nor a folder; a corpus is read more than once")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    known = f"name a bundled corpus ({', '.join(bundled.NAMES)})"
    hint = f"{known}, or a dataset of the Hugging Face hub as {HUB}OWNER/NAME"
    raise UserError(f"{name}: no such file or folder; {hint}")


def _open_bundled(name: str, options: ReadingOptions) -> AnyCorpus:
    folder = bundled_folder(name)
    if name in bundled.TEXT:
        corpus = text_folder.open_folder(folder, options.source or "en", options.target or "fr")
        return replace(corpus, name=name)
    images = table_folder.open_tables(folder, options)
    if not isinstance(images, ImageCorpus):
        raise UserError(f"{name}: has no column {options.source} of images", setting="source")
    return replace(images, name=name, language=images.language or "en")


def _open_hub(name: str, path: Path, options: ReadingOptions) -> AnyCorpus:
    if not (name and path.is_dir()):
        return hf_datasets.open_hub(name, options, HUB + name)
    return _saved_dataset(path, options) or table_folder.open_tables(path, options)


# Readers of a file or a folder


def _captioned_layout(path: Path, options: ReadingOptions) -> ImageCorpus | None:
    """Flickr's, Karpathy's and COCO's files of captions."""
    opener = layouts.opener(path)
    return opener(path, options.source, options.target, options.follow_links) if opener else None


# Readers of a file


def _image_alone(path: Path, options: ReadingOptions) -> None:
    if records.ending(path) in ENDINGS | _VIDEOS:
        way_out = "a corpus has both, as a folder of images with metadata.jsonl in it"
        raise UserError(f"{path}: an image without captions; {way_out}")


def _unknown_format(path: Path, options: ReadingOptions) -> None:
    if records.ending(path) in _SHEETS and not path.stat().st_size:
        raise UserError(f"{path}: not a format that is known: a spreadsheet: save it as CSV (UTF-8) first")
    if not records.format_of(path):
        formats = f"{', '.join(records.FORMATS)}, each also packed"
        way_out = "two files of text go into a folder, as train.en and train.de"
        raise UserError(f"{path}: not a format that is known ({formats}); {way_out}")


def _image_table(path: Path, options: ReadingOptions) -> ImageCorpus | None:
    if records.format_of(path) not in TABLES:
        return None
    return table_folder.open_images(path, path.parent, [(path, None)], options)


def _text_table(path: Path, options: ReadingOptions) -> Corpus:
    return tables.open_table(path, options.source, options.target, options.max_bad)


FILE_READERS: tuple[Reader, ...] = (
    _image_alone,
    _captioned_layout,
    _unknown_format,
    _image_table,
    _text_table,
)


# Readers of a folder


def _no_raw_data(path: Path, options: ReadingOptions) -> None:
    for prepared in (path, path.resolve().parent):
        if (prepared / "prepared.json").is_file() and (prepared is path or hf_datasets.is_saved(path)):
            use = f"use it with `seq2attn train --data {prepared}`"
            raise UserError(f"{prepared} is prepared already: {use}")
    if corpus_files.is_run(path):
        raise UserError(f"{path}: a trained run, no corpus: use it with `seq2attn translate {path}`")


def _aligned_text(path: Path, options: ReadingOptions) -> Corpus | None:
    if not text_folder.languages(path):
        return None
    return text_folder.open_folder(path, options.source, options.target)


def _saved_dataset(path: Path, options: ReadingOptions) -> AnyCorpus | None:
    return hf_datasets.open_saved(path, options) if hf_datasets.is_saved(path) else None


def _nested_layout(path: Path, options: ReadingOptions) -> ImageCorpus | None:
    """A known layout one folder below, as archives are unpacked."""
    if not _holds_images(path) or table_folder.has_metadata(path, options.follow_links):
        return None
    folder = layouts.nested(path)
    return _captioned_layout(folder, options) if folder is not None else None


def _tables(path: Path, options: ReadingOptions) -> AnyCorpus:
    holds_images = _holds_images(path)
    files, notes = corpus_files.tables_in(path, TABLES, options.follow_links)
    if files:
        return table_folder.open_tables(path, options, holds_images)
    if holds_images:
        raise layouts.refusal(path)
    forms = f"train.LANG for each of two languages (and valid.LANG, test.LANG), or files {' '.join(TABLES)}"
    raise UserError("; ".join([f"{path}: no corpus in this folder: it takes {forms}", *notes]))


def _holds_images(path: Path) -> bool:
    names = (name for *_, files in corpus_files.walk(path, True) for name in files)
    return any(Path(name).suffix.lower() in ENDINGS | _VIDEOS for name in names)


FOLDER_READERS: tuple[Reader, ...] = (
    _no_raw_data,
    _aligned_text,
    _captioned_layout,
    _saved_dataset,
    _nested_layout,
    _tables,
)
