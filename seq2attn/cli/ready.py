"""What `train` sees before it begins: that data and preset are of one kind, that columns and paths are there,
that it may write. Knows no torch.
"""

import json
import os
from pathlib import Path

from seq2attn.cli import mistaken
from seq2attn.config import Config
from seq2attn.errors import UserError

LOCK = "training.lock"  # in a run while it is trained


def refuse_data(data: str, chosen: Config) -> None:
    """Raise UserError or UsageError where a corpus or prepared folder is not there, is no data, has no such
    columns, or is not what the model reads. What lies elsewhere, at hf:, is looked at later."""
    mistaken.refuse_no_data(data)
    if mistaken.is_prepared(Path(data)):
        try:
            report = json.loads((Path(data) / "prepared.json").read_text(encoding="utf-8"))
            images, clips, splits = (
                bool(report.get("images", False)),
                bool(report.get("clips", False)),
                list(report["splits"]),
            )
        except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return  # who opens it says what is wrong with it
        refuse_kind(data, chosen, images, clips)
        for split in ("train", "valid"):
            if split not in splits:
                raise UserError(no_pairs(data, split))
        return
    if data.startswith("hf:"):
        return
    from seq2attn.data.images.corpus import ImageCorpus
    from seq2attn.data.sources import open_corpus

    told = chosen.data
    corpus = open_corpus(data, told.source, told.target, told.max_bad, told.follow_links)
    images = isinstance(corpus, ImageCorpus)
    refuse_kind(data, chosen, images, isinstance(corpus, ImageCorpus) and corpus.clips)


def refuse_kind(data: str, chosen: Config, images: bool, clips: bool) -> None:
    """Raise UserError where data and model are not of one kind: text, images or clips."""
    encoder = chosen.model.encoder
    if chosen.model.images != images:
        if images:
            preset = "video" if clips else "xu15-soft"
            raise UserError(
                f'{data}: holds images, and this model reads text: choose a preset for images, as {preset}, or set model.encoder.kind="image"'
            )
        raise UserError(
            f"{data}: holds text, and this model reads images: choose a preset for text, as first-try, or other data"
        )
    if clips and encoder.kind == "image" and not encoder.clips:
        raise UserError(
            f"{data}: holds clips, and this model reads stills: choose the preset video, or set model.encoder.max_frames to the frames that are read"
        )
    if images and not clips and encoder.kind == "image" and encoder.clips:
        raise UserError(
            f"{data}: holds stills, and this model reads clips: choose a preset for stills, as xu15-soft, or other data"
        )


def no_pairs(data: str, split: str) -> str:
    way = (
        "add pairs or such a split and prepare it again; `seq2attn prepare --valid N` sets some of many aside"
    )
    return f"{data}: has no pairs in a {split} split, which training needs: {way}"


def refuse_place(out: Path, force: bool) -> None:
    """Raise UserError where a run stands already, or no folder can be made. Of a run with a lock, who takes
    the lock says more.
    """
    if mistaken.is_run(out) and not force and not (out / LOCK).exists():
        raise UserError(
            f"{out}: a run stands here already; go on with it by --resume, or replace it by --force"
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: exists, and is no run of seq2attn; choose another --out")
    if problem := _unwritable(out):
        raise UserError(f"{out}: cannot be written: {problem}; choose another --out")


def cache() -> Path:
    """Where what is made once is kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seq2attn"


def refuse_cache(folder: Path, corpus: str | None = None) -> None:
    """Raise UserError where the cache cannot be written, with the ways round it."""
    if problem := _unwritable(folder):
        other = (
            f", or `seq2attn prepare {mistaken.shell(corpus)} FOLDER` and --data FOLDER"
            if corpus is not None
            else ""
        )
        raise UserError(
            f"{folder}: the cache cannot be written: {problem}; set XDG_CACHE_HOME to another folder{other}"
        )


def _unwritable(folder: Path) -> str | None:
    """Why a folder can neither be made nor written into; None where it can."""
    try:
        there = next(path for path in (folder, *folder.parents) if path.exists())
    except OSError as error:
        return error.strerror
    if not there.is_dir():
        return f"Not a directory ({there} is a file)"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"no permission to write into {there}"
    return None
