"""The layout of captioned images that a file or a folder has, and the error for one that is not known."""

import re
from collections.abc import Callable
from pathlib import Path

from seq2attn.data.formats import records
from seq2attn.data.images import coco, flickr, karpathy
from seq2attn.data.images.corpus import ImageCorpus
from seq2attn.errors import UsageError, UserError

KNOWN = (
    "metadata.jsonl, .csv or .parquet with file_name and captions, captions.txt (image,caption), "
    "results.csv, Flickr's *.token.txt, Karpathy's dataset_*.json, COCO's captions_*.json"
)
# Endings of files that may hold captions.
_CANDIDATES = ".json .jsonl .csv .tsv .txt .parquet .xml .mat .xlsx"
_TABLES = {".jsonl", ".csv", ".tsv", ".parquet"}
_NO_CAPTIONS = re.compile(r"(readme|licen[cs]e|copying|requirements|changelog|citation).*", re.IGNORECASE)

Open = Callable[[Path, str | None, str | None, bool], ImageCorpus]


def opener(path: Path) -> Open | None:
    """The function that opens a file or a folder; None if no layout fits."""
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


def nested(path: Path) -> Path | None:
    """The folder one level down that has a known layout, as archives leave it when they are unpacked.

    Raises UsageError if there are several.
    """
    folders = sorted(
        folder for folder in path.iterdir() if folder.is_dir() and not folder.name.startswith(".")
    )
    known = [folder for folder in folders if opener(folder) is not None]
    if len(known) > 1:
        raise UsageError(f"{path}: several folders of captioned images: name {known[0]} or {known[1]}")
    return known[0] if known else None


def refusal(path: Path) -> UserError:
    """The error for a folder of images without known captions.

    It names a file that may hold them, and the known layouts.
    """
    files = sorted(
        file for file in path.rglob("*") if file.suffix.lower() in _CANDIDATES.split() and file.is_file()
    )
    names = [file.relative_to(path) for file in files if not _NO_CAPTIONS.fullmatch(file.name)]
    names = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    if not names:
        way_out = "put a metadata.jsonl beside them, with file_name and captions in each line"
        return UserError(f"{path}: images without captions: {way_out}; known layouts: {KNOWN}")
    try:
        if records.ending(names[0]) in _TABLES:
            next(records.read_records(path / names[0]), None)
    except UserError as error:
        return error  # the file itself is the problem
    more = f" (and {len(names) - 1:,} more)" if len(names) > 1 else ""
    return UserError(
        f"{path}: {names[0]}{more} holds no captions in a form that is known; known layouts: {KNOWN}"
    )
