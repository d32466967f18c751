"""The cache of prepared corpora. A corpus is prepared once for the same files and settings of data."""

import json
import os
import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from seq2attn import files
from seq2attn.config import BEFORE_CLEANING, Config
from seq2attn.errors import UserError
from seq2attn.notes import note
from seq2attn.progress import SILENT, Stages
from seq2attn.tasks.task import task_of

if TYPE_CHECKING:
    from seq2attn.data.preparation import AnyCorpus, GivenVocabulary


def corpus_name(path: str) -> str:
    """The short name of a corpus: `hf:owner/corpus` -> corpus, `my/corpus.tsv` -> corpus."""
    return Path(path.rstrip("/").split(":")[-1]).name.split(".")[0] or "run"


def as_before_cleaning(settings: Config, old: Config) -> Config:
    """The settings with the text as `old` has it, if that is a run from before pairs were cleaned."""
    before = {name: getattr(old.data, name) for name in BEFORE_CLEANING}
    if before != {"keep": ("all",), "normalise": "none"}:
        return settings
    return settings.model_copy(update={"data": settings.data.model_copy(update=before)})


def prepared_folder(
    corpus: str,
    settings: Config,
    stages: Stages = SILENT,
    shrink: bool = True,
    vocabulary: "GivenVocabulary | None" = None,
) -> Path:
    """The prepared folder of the corpus, which is created if it is missing.

    With `shrink`, the vocabulary may be smaller than in the settings. With a `vocabulary` it is that one, and
    the corpus may be a prepared folder of text.
    """
    from seq2attn.data.prepare import prepare
    from seq2attn.data.prepared import REPORT
    from seq2attn.tasks.linking import linker_of

    folder = _cache(corpus, settings, vocabulary)
    if vocabulary is None and not (folder / REPORT).is_file():
        folder = _of_auto(corpus, settings) or folder
    while not (complete := (folder / REPORT).is_file()) or not (shrink or _has_full_vocabulary(folder)):
        refuse_cache(folder, corpus)
        linker = linker_of(settings.data)
        note(f"preparing {corpus}, once, in {folder}")
        try:
            with stages() as progress:
                report = prepare(
                    corpus,
                    folder,
                    settings.data,
                    workers=os.cpu_count() or 1,
                    force=complete,
                    shrink=shrink,
                    stage=lambda name: partial(progress, name),
                    linker=linker,
                    linked_by="" if linker is None else settings.data.align,
                    vocabulary=vocabulary,
                )
        except UserError as error:
            if isinstance(error, files.ConcurrentWrite) and error.holder is not None:
                note(f"{error.maker} is preparing it already: waiting for it")
                error.wait()
            elif complete or not (folder / REPORT).is_file():
                raise
            continue  # another process has prepared it meanwhile
        for decision in report["notes"]:
            note(decision)
        break
    return folder


def _cache(corpus: str, settings: Config, vocabulary: "GivenVocabulary | None") -> Path:
    """The folder for a corpus.

    Its name depends on the settings of data, on the vocabulary if one is given, and on the path, size and
    time of each file of the corpus, images included.
    """
    import hashlib

    from seq2attn.data.prepared import FORMAT
    from seq2attn.data.prepared_corpus import is_prepared, open_prepared
    from seq2attn.data.sources import open_corpus

    opened: AnyCorpus
    if vocabulary is not None and is_prepared(corpus):
        opened = open_prepared(corpus)
    else:
        opened = open_corpus(
            *(corpus, settings.data.source, settings.data.target),
            *(settings.data.max_bad, settings.data.follow_links),
        )
    read = list(opened.inputs)
    if read and (path := Path(corpus)).exists() and not is_prepared(corpus):
        read += task_of(opened.modality).source_files(path, settings.data.follow_links)
    files = [(str(path.resolve()), (facts := path.stat()).st_size, facts.st_mtime_ns) for path in read]
    options = settings.data.model_dump(mode="json")
    if options["tokenizer"] is None:  # a trained run names its tokenizer: both share one folder
        options["tokenizer"] = opened.default_tokenizer
    if all(options[name] == value for name, value in BEFORE_CLEANING.items()):
        for name in BEFORE_CLEANING:  # the folder of a run of an older version, which resumes
            del options[name]
    given = [] if vocabulary is None else [vocabulary.fingerprint]
    key = json.dumps([FORMAT, corpus if not files else "", files, options, *given])
    return (
        cache_home() / "prepared" / f"{corpus_name(corpus)}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    )


def _of_auto(corpus: str, settings: Config) -> Path | None:
    """The folder that was prepared with data.vocab_size="auto", if that chose the number of the settings."""
    from seq2attn.data.prepared import REPORT, Prepared

    if settings.data.vocab_size == "auto":
        return None
    auto = settings.data.model_copy(update={"vocab_size": "auto"})
    folder = _cache(corpus, settings.model_copy(update={"data": auto}), None)
    if not (folder / REPORT).is_file():
        return None
    number = Prepared(folder).report["options"]["vocab_size"]
    return folder if number == settings.data.vocab_size else None


def _has_full_vocabulary(folder: Path) -> bool:
    """Whether the vocabulary of a prepared folder has the size of its settings."""
    from seq2attn.data.prepared import Prepared

    report = Prepared(folder).report
    return (
        report["options"]["tokenizer"] in ("char", "word")
        or min(filter(None, report["vocabulary"].values())) >= report["options"]["vocab_size"]
    )


def cache_home() -> Path:
    """The folder of all caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seq2attn"


def refuse_cache(folder: Path, corpus: str | None = None) -> None:
    """Raise UserError if the cache cannot be written."""
    if problem := why_unwritable(folder):
        other = (
            f", or prepare it with `seq2attn prepare {shlex.quote(corpus)} FOLDER` and give `data` FOLDER"
            if corpus is not None
            else ""
        )
        raise UserError(
            f"{folder}: the cache cannot be written: {problem}; set XDG_CACHE_HOME to another folder{other}"
        )


def why_unwritable(folder: Path) -> str | None:
    """Why a folder cannot be made or written to; None if it can."""
    try:
        parent = next(path for path in (folder, *folder.parents) if path.exists())
    except OSError as error:
        return error.strerror
    if not parent.is_dir():
        return f"Not a directory ({parent} is a file)"
    if not os.access(parent, os.W_OK | os.X_OK):
        return f"no permission to write into {parent}"
    return None
