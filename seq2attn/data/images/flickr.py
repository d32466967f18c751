"""Flickr8k and Flickr30k as they are handed out (Hodosh et al. 2013; Young et al. 2014).

A file of captions has lines `NAME.jpg#K<TAB>caption`, or is a table as `caption_tables` reads it; lists of
names give the splits. The images are in the folder or anywhere below it. It knows no image format.
"""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from seq2attn.data.formats.lines import read_lines
from seq2attn.data.formats.text import one_line
from seq2attn.data.images.caption_tables import Form, captions_of, form_of
from seq2attn.data.images.captioned import language_of, no_columns, with_captions
from seq2attn.data.images.corpus import CaptionedImage, ImageCorpus
from seq2attn.data.images.lookup import Files
from seq2attn.errors import UsageError, UserError

NAME = re.compile(r".*\.token(\.txt)?")
_LIST = re.compile(r"(?:.*[^a-z])?(train|dev|val|valid|validation|test)(?:[^a-z]*|.*images?.*)\.txt")
_SPLITS = {"train": "train", "test": "test"}  # all other names mean validation


def files_of_captions(folder: Path) -> list[Path]:
    """The files of captions in a folder; *.token.txt if there is also a table of the same captions."""
    names = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    tokens = [file for file in names if NAME.fullmatch(file.name) and "lemma" not in file.name]
    return tokens or [file for file in names if is_table(file)]


def is_table(path: Path) -> bool:
    """Whether a file is a table of captions by its first line, and no ordinary .csv or .tsv."""
    name = path.name.lower().removesuffix(".gz")
    if not name.endswith((".txt", ".csv", ".tsv")) or not path.is_file() or (form := form_of(path)) is None:
        return False
    return name.endswith(".txt") or form.delimiter in "|;"


def open_flickr(
    path: Path, source: str | None, target: str | None, follow_links: bool = False
) -> ImageCorpus:
    """`path` is the folder, or its file of captions. Raises UsageError if the user must name that file."""
    no_columns(str(path), source)
    folder = path if path.is_dir() else path.parent
    tokens = [path] if folder is not path else files_of_captions(path)
    if len(tokens) != 1:
        names = ", ".join(file.name for file in tokens) or "no file of captions"
        raise UsageError(f"{path}: {names}: name the file of captions instead of its folder")
    token = tokens[0]
    others = (file for file in sorted(folder.iterdir()) if file != token and not NAME.fullmatch(file.name))
    lists = [(file, match[1]) for file in others if (match := _LIST.fullmatch(file.name.lower()))]
    files, notes = Files(folder, follow_links), list[str]()
    form = None if NAME.fullmatch(token.name) else form_of(token)

    def images() -> Iterator[CaptionedImage]:
        split_of = _split_of(lists)
        captions = _captions(token, files) if form is None else _table_captions(token, form, files, notes)
        unlisted = sum(1 for name in captions if name not in split_of) if lists else 0
        uncaptioned = sum(1 for name in split_of if name not in captions)
        for count, of, lack in (
            (unlisted, token.name, "in no list of a split, and left out"),
            (uncaptioned, "the lists", f"not in {token.name}"),
        ):
            note = (
                f"{count:,} image of {of} is {lack}" if count == 1 else f"{count:,} images of {of} are {lack}"
            )
            if count and note not in notes:
                notes.append(note)
        for name, (number, texts) in captions.items():
            if not lists or name in split_of:
                place = f"{token.name}:{number}"
                content = partial(files.content, name, place, anywhere=True)
                yield CaptionedImage(name, content, tuple(texts), place, split_of.get(name))

    inputs = [token, *(file for file, _ in lists)]
    return ImageCorpus(
        str(path),
        language_of(target),
        lambda: with_captions(images(), str(path), notes),
        False,
        inputs,
        notes,
    )


def _captions(token: Path, files: Files) -> dict[str, tuple[int, list[str]]]:
    """The first line and the captions of each name. The captions of a name need not be consecutive."""
    captions: dict[str, tuple[int, list[str]]] = {}
    for number, line in enumerate(read_lines(token), 1):
        if not line.strip():
            continue
        place = f"{token}:{number}"
        key, tab, caption = line.partition("\t")
        name, mark, which = key.rpartition("#")
        if not tab or not mark or not which.strip().isdecimal():
            raise UserError(f"{place}: not NAME.jpg#K, a tab and the caption")
        texts = captions.setdefault(files.checked(name, place), (number, []))[1]
        if caption.strip():
            texts.append(one_line(caption.strip(), place))
    return captions


def _table_captions(
    table: Path, form: Form, files: Files, notes: list[str]
) -> dict[str, tuple[int, list[str]]]:
    """The result of `_captions`, from a table."""
    captions: dict[str, tuple[int, list[str]]] = {}
    for row in captions_of(table, form, notes):
        texts = captions.setdefault(files.checked(row.image, f"{table}:{row.line}"), (row.line, []))[1]
        if row.text:
            texts.append(row.text)
    return captions


def _split_of(lists: list[tuple[Path, str]]) -> dict[str, str]:
    split_of: dict[str, str] = {}
    for file, kind in lists:
        split = _SPLITS.get(kind, "valid")
        for number, line in enumerate(read_lines(file), 1):
            name = line.strip()
            if name and not Path(name).suffix:
                name += ".jpg"  # the lists of Flickr30k have only numbers
            if name and split_of.setdefault(name, split) != split:
                raise UserError(f"{file}:{number}: {name} is in the list for {split_of[name]} too")
    return split_of
