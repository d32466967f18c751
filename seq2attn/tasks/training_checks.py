"""Checks of a training before torch is imported.

Data and model must be for the same modality, columns and paths must exist, and folders must be writable.
"""

import json
import os
from pathlib import Path
from typing import NamedTuple

from seq2attn.config import Config, Modality, of_report
from seq2attn.errors import UsageError, UserError
from seq2attn.runs.directory import LOCK, is_run
from seq2attn.tasks.corpus_cache import why_unwritable
from seq2attn.tasks.task import Sources, task_of

REPORT = "prepared.json"  # `data.prepared` imports more


class Report(NamedTuple):
    """What the report of a prepared folder says of its sources."""

    modality: Modality
    clips: bool
    splits: list[str]
    joint: bool  # whether both sides share a vocabulary


def is_prepared(data: str) -> bool:
    return Path(data, REPORT).is_file()


def report_of(data: str) -> Report | None:
    """What the report of a prepared folder says; None if the folder is none, or damaged."""
    try:
        report = json.loads(Path(data, REPORT).read_text(encoding="utf-8"))
        joint = bool(report.get("options", {}).get("joint", True))
        return Report(of_report(report), bool(report.get("clips", False)), list(report["splits"]), joint)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def refuse_data(data: str, settings: Config) -> None:
    """Raise UserError or UsageError if a corpus or prepared folder does not fit.

    It must exist, hold data, have the columns, and be what the model reads. A corpus of the hub is checked
    later.
    """
    if is_prepared(data):
        report = report_of(data)
        if report is None:
            return  # the code that opens the folder says what is wrong
        refuse_other(data, settings, report)
        for split in ("train", "valid"):
            if split not in report.splits:
                raise UserError(no_pairs(data, split))
        return
    if data.startswith("hf:"):
        return
    from seq2attn.data.sources import open_corpus

    options = settings.data
    corpus = open_corpus(data, options.source, options.target, options.max_bad, options.follow_links)
    refuse_other(data, settings, corpus)


def refuse_other(data: str, settings: Config, sources: Sources) -> None:
    """Raise UserError unless data and model are of one modality, and of one kind of it."""
    of_data, of_model = sources.modality, settings.model.modality
    if of_data != of_model:
        way_out = task_of(of_data).way_to_train(sources)
        raise UserError(f"{data}: holds {of_data.name}, and this model reads {of_model.name}: {way_out}")
    task_of(of_model).refuse_corpus(data, settings, sources)


def no_pairs(data: str, split: str) -> str:
    way = "add pairs or such a split and prepare it again; `seq2attn prepare --valid N` sets N pairs aside"
    return f"{data}: has no pairs in a {split} split, which training needs: {way}"


def refuse_name(out: Path) -> None:
    """Raise UsageError if weights cannot be stored under that name."""
    try:
        os.fspath(out).encode()
    except UnicodeEncodeError:
        problem = "weights cannot be stored under a name that is not valid UTF-8"
        raise UsageError(f"out {out}: {problem}; choose another `out`", setting="out") from None


def refuse_place(out: Path, force: bool) -> None:
    """Raise UserError if a run is there already, or if the folder cannot be created.

    The lock of a running training has a message of its own.
    """
    if is_run(out) and not force and not (out / LOCK).exists():
        raise UserError(
            f"{out}: a run is here already; continue it with `resume`, or replace it with `force`"
        )
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: exists, and is not a run of seq2attn; choose another `out`")
    if problem := why_unwritable(out):
        raise UserError(f"{out}: cannot be written: {problem}; choose another `out`")
