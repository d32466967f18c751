"""Checks of `train` before it imports torch.

Data and preset must be for the same task, columns and paths must exist, and folders must be writable.
"""

import json
from pathlib import Path

from seq2attn.cli import mistaken
from seq2attn.cli.corpus_cache import why_unwritable
from seq2attn.config import Config
from seq2attn.errors import UserError

LOCK = "training.lock"  # file in a run while it is trained


def refuse_data(data: str, settings: Config) -> None:
    """Raise UserError or UsageError if a corpus or prepared folder does not fit.

    It must exist, hold data, have the columns, and be what the model reads. A corpus of the hub is checked
    later.
    """
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
            return  # the code that opens the folder reports what is wrong
        refuse_kind(data, settings, images, clips)
        for split in ("train", "valid"):
            if split not in splits:
                raise UserError(no_pairs(data, split))
        return
    if data.startswith("hf:"):
        return
    from seq2attn.data.images.corpus import ImageCorpus
    from seq2attn.data.sources import open_corpus

    options = settings.data
    corpus = open_corpus(data, options.source, options.target, options.max_bad, options.follow_links)
    images = isinstance(corpus, ImageCorpus)
    refuse_kind(data, settings, images, isinstance(corpus, ImageCorpus) and corpus.clips)


def refuse_kind(data: str, settings: Config, images: bool, clips: bool) -> None:
    """Raise UserError unless data and model are both for text, both for images or both for clips."""
    encoder = settings.model.encoder
    if settings.model.images != images:
        if images:
            preset = "video" if clips else "xu15-soft"
            raise UserError(
                f"{data}: holds images, and this model reads text: choose a preset for images, such as "
                f"{preset}, "
                'or set model.encoder.kind="image"'
            )
        raise UserError(
            f"{data}: holds text, and this model reads images: "
            "choose a preset for text, such as first-try, or other data"
        )
    if clips and encoder.kind == "image" and not encoder.clips:
        raise UserError(
            f"{data}: holds clips, and this model reads stills: choose the preset video, "
            "or set model.encoder.max_frames to the number of frames to read"
        )
    if images and not clips and encoder.kind == "image" and encoder.clips:
        raise UserError(
            f"{data}: holds stills, and this model reads clips: "
            "choose a preset for stills, such as xu15-soft, or other data"
        )


def no_pairs(data: str, split: str) -> str:
    way = "add pairs or such a split and prepare it again; `seq2attn prepare --valid N` sets N pairs aside"
    return f"{data}: has no pairs in a {split} split, which training needs: {way}"


def refuse_place(out: Path, force: bool) -> None:
    """Raise UserError if a run is there already, or if the folder cannot be created.

    The lock of a running training has a message of its own.
    """
    if mistaken.is_run(out) and not force and not (out / LOCK).exists():
        raise UserError(
            f"{out}: a run is here already; continue it with --resume, or replace it with --force"
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: exists, and is not a run of seq2attn; choose another --out")
    if problem := why_unwritable(out):
        raise UserError(f"{out}: cannot be written: {problem}; choose another --out")
