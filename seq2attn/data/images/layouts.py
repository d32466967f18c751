"""Which layout of captioned images a file or a folder has, and what is said of one that is not known."""

import re
from collections.abc import Callable
from pathlib import Path

from seq2attn.data.images import coco, flickr, karpathy
from seq2attn.data.images.corpus import ImageCorpus
from seq2attn.data.text import tables
from seq2attn.errors import UsageError, UserError

KNOWN = (
    "metadata.jsonl, .csv or .parquet with file_name and captions, captions.txt (image,caption), results.csv, "
    "Flickr's *.token.txt, Karpathy's dataset_*.json, COCO's captions_*.json"
)
_UNKNOWN = {
    ".json",
    ".jsonl",
    ".csv",
    ".tsv",
    ".txt",
    ".parquet",
    ".xml",
    ".mat",
    ".xlsx",
}  # what may hold captions
_TABLES = {".jsonl", ".csv", ".tsv", ".parquet"}
_NO_CAPTIONS = re.compile(r"(readme|licen[cs]e|copying|requirements|changelog|citation).*", re.IGNORECASE)

Open = Callable[[Path, str | None, str | None, bool], ImageCorpus]


def opener(path: Path) -> Open | None:
    """What opens a file or a folder, if it or what it holds is known."""
    if path.is_file():
        if flickr.NAME.fullmatch(path.name) or flickr.is_table(path):
            return flickr.open_flickr
        if karpathy.NAME.fullmatch(path.name) or karpathy.is_karpathy(path):
            return karpathy.open_karpathy
        return coco.open_coco if coco.is_coco(path) else None
    if flickr.files_of_captions(path):
        return flickr.open_flickr
    if karpathy.files_of_captions(path):
        return karpathy.open_karpathy
    return coco.open_coco if coco.files_of_captions(path) else None


def nested(path: Path) -> tuple[Path, Open] | None:
    """The folder one level down that has a known layout, as archives leave it when they are unpacked.

    Raises UsageError where there are several.
    """
    folders = sorted(
        folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith(".")
    )
    known = [(folder, found) for folder in folders if (found := opener(folder)) is not None]
    if len(known) > 1:
        raise UsageError(f"{path}: several folders of captioned images: name {known[0][0]} or {known[1][0]}")
    return known[0] if known else None


def refusal(path: Path) -> UserError:
    """Of a folder with images and no captions that are known: the file that may hold them, and what is read."""
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in _UNKNOWN and file.is_file())
    mine = [
        file.relative_to(path)
        for file in files
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
        and not _NO_CAPTIONS.fullmatch(file.name)
    ]
    if not mine:
        way = "they take a metadata.jsonl beside them, with file_name and captions in each line"
        return UserError(f"{path}: images without captions: {way}; read are: {KNOWN}")
    try:
        if tables.kind(mine[0]) in _TABLES:
            next(tables.read_records(path / mine[0]), None)
    except UserError as error:
        return error  # the file itself is the problem
    more = f" (and {len(mine) - 1:,} more)" if len(mine) > 1 else ""
    return UserError(f"{path}: {mine[0]}{more} holds no captions in a form that is known; read are: {KNOWN}")
