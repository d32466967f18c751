"""Karpathy's `dataset_*.json` (Karpathy and Fei-Fei 2015).

Such a file has Flickr8k, Flickr30k or COCO in one list, with the splits that papers use. The images are
beside the file, under the `filepath` that it gives, or anywhere below. The file is read as a stream. It knows
no image format.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from seq2attn.data.corpus import split_name
from seq2attn.data.formats.json_lists import lists_in, records
from seq2attn.data.formats.text import one_line
from seq2attn.data.images.captioned import language_of, no_columns, with_captions
from seq2attn.data.images.corpus import CaptionedImage, ImageCorpus
from seq2attn.data.images.lookup import Files
from seq2attn.errors import UsageError, UserError

NAME = re.compile(r"dataset_(?!infos?\b|dict\b).*\.json")


def is_karpathy(path: Path) -> bool:
    """Whether a file has this format by its first lists, whatever its name."""
    return path.suffix.lower() == ".json" and lists_in(path, "images", "sentences") == {"images", "sentences"}


def files_of_captions(folder: Path) -> list[Path]:
    """The files of this format in a folder: by their names, or else by their content."""
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    usual = [file for file in files if NAME.fullmatch(file.name)]
    return usual or [file for file in files if is_karpathy(file)]


def open_karpathy(
    path: Path, source: str | None, target: str | None, follow_links: bool = False
) -> ImageCorpus:
    """`path` is the file or its folder. Raises UsageError if the folder has several."""
    no_columns(str(path), source)
    folder = path if path.is_dir() else path.parent
    candidates = [path] if folder is not path else files_of_captions(path)
    if len(candidates) != 1:
        names = ", ".join(file.name for file in candidates) or "no dataset_*.json"
        raise UsageError(f"{path}: {names}: name the file instead of its folder")
    file, files, notes = candidates[0], Files(folder, follow_links), list[str]()

    def images() -> Iterator[CaptionedImage]:
        for _, number, record in records(file, "images"):
            place = f"{file}:{number}"
            name = files.checked(_text(record, "filename", place), place)
            below = record.get("filepath")
            folders = (files.checked(below, place), "") if isinstance(below, str) and below else ("",)
            content = partial(files.content, name, place, folders, anywhere=True)
            yield CaptionedImage(
                name, content, tuple(_captions(record, place)), f"{file.name}:{number}", _split(record, place)
            )

    return ImageCorpus(
        str(path),
        language_of(target),
        lambda: with_captions(images(), str(path), notes),
        False,
        [file],
        notes,
    )


def _split(record: Mapping[str, object], place: str) -> str | None:
    if record.get("split") is None:
        return None
    cell = _text(record, "split", place)
    # COCO's images that are in neither validation nor test, which all papers train on
    split = "train" if cell == "restval" else split_name(cell)
    if split is None:
        raise UserError(f'{place}: the split is "{cell[:40]}"; it can be train, restval, val and test')
    return split


def _captions(record: Mapping[str, object], place: str) -> Iterator[str]:
    sentences = record.get("sentences")
    if not isinstance(sentences, list):
        raise UserError(f'{place}: no list "sentences"')
    for sentence in sentences:
        if not isinstance(sentence, dict):
            raise UserError(f'{place}: a sentence is no object with "raw"')
        if text := one_line(_text(sentence, "raw", place).strip(), place):
            yield text


def _text(record: Mapping[str, object], key: str, place: str) -> str:
    value = record.get(key)
    if not isinstance(value, str):
        raise UserError(f'{place}: no text "{key}"; it has: {", ".join(map(str, record)) or "nothing"}')
    return value
