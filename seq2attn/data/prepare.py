"""A prepared folder from a corpus of any modality: complete, or not there at all."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets

from seq2attn import files
from seq2attn.config import DataConfig
from seq2attn.data.corpus_weights import split_weight
from seq2attn.data.formats.text import printable
from seq2attn.data.linking import Linker
from seq2attn.data.preparation import AnyCorpus, GivenVocabulary, Preparation
from seq2attn.data.prepared import REPORT
from seq2attn.data.prepared_corpus import is_prepared, open_prepared
from seq2attn.data.sources import open_corpus
from seq2attn.data.text import clean_pairs, several
from seq2attn.data.text.corpus import Corpus
from seq2attn.errors import UsageError, UserError
from seq2attn.progress import Progress, silent
from seq2attn.version import __version__


def prepare(
    corpus: str | Sequence[str],
    out: Path,
    options: DataConfig,
    *,
    valid: int | None = None,
    test: int | None = None,
    workers: int = 1,
    force: bool = False,
    seed: int = 1,
    shrink: bool = False,
    stage: Callable[[str], Progress] = lambda name: silent,
    linker: Linker | None = None,
    linked_by: str = "",
    vocabulary: GivenVocabulary | None = None,
    clean_table: Path | None = None,
) -> dict[str, Any]:
    """Write the prepared folder `out` of a corpus, and return its report. `out` is complete or untouched.

    Several corpora of text become one; a name may end in a weight, as in "b.tsv:0.3" (see `corpus_weights`).
    `valid` and `test` pairs are held out of a corpus that has no such split (None: a twentieth, at most
    1,000, if its only split is train). Training pairs that are empty on a side, too long or of too different
    lengths are dropped and counted, and so are faulty ones (see `text.cleaner`). The other splits keep every
    pair. If a text does not hold
    `options.vocab_size` subwords, it is refused or, with `shrink`, gets half of those that it holds, and the
    report says so. `force` replaces a prepared folder. `stage` returns the progress callback of a stage from
    its name. `linker` links the words of training pairs, for guided attention, in place of the corpus;
    `linked_by` says for people what it is. With a `vocabulary` no tokenizer is learned, and the corpus may be
    a prepared folder of text, whose text is encoded again. `clean_table` is a table to write of the pairs
    after cleaning. Raises UsageError for a linker or `clean_table` and a corpus of images.
    """
    if printable(out) != str(out):
        raise UserError(f"{printable(out)}: a path that is not UTF-8; choose another name")
    with _replace_prepared(Path(out), force) as folder, _quiet_datasets():
        opened: AnyCorpus
        if vocabulary is not None and isinstance(corpus, str) and is_prepared(corpus):
            opened = open_prepared(corpus)
        else:
            opened = _open(corpus, options)
        if options.tokenizer is None:
            options = options.model_copy(update={"tokenizer": opened.default_tokenizer})
        if linker is not None and not opened.modality.has_vocabulary:
            problem = f"it links the words of two texts, and {opened.name} holds {opened.modality.name}"
            raise UsageError(f"align: {problem}: leave it out", setting="align")
        if options.protect and not opened.modality.has_vocabulary:
            problem = (
                f"it marks what two texts have in common, and {opened.name} holds {opened.modality.name}"
            )
            raise UsageError(f"protect: {problem}: leave it out", setting="protect")
        if clean_table is not None:
            _refuse_table(clean_table, opened, force)
        given = vocabulary, clean_table
        request = Preparation(
            *(folder, folder / "work", options, valid, test, workers, seed, shrink, stage, linker, *given)
        )
        request.work.mkdir()
        facts = opened.prepare(request)
        if vocabulary is not None:
            opened.notes.append(vocabulary.note(facts["vocabulary"]))
        if linked_by:
            opened.notes.append(f"train: words are linked by {linked_by}")
        report = {
            "seq2attn": __version__,
            "format": opened.format,
            "corpus": opened.name,
            "languages": list(opened.languages),
            "options": options.model_dump(mode="json"),
            "seed": seed,
            "notes": opened.notes,
            **facts,
        }
        _finish(request, report, opened.inputs)
    return report


def _open(corpus: str | Sequence[str], options: DataConfig) -> AnyCorpus:
    def opened(name: str) -> AnyCorpus:
        return open_corpus(name, options.source, options.target, options.max_bad, options.follow_links)

    if isinstance(corpus, str):
        return opened(corpus)
    if len(corpus) == 1:
        if split_weight(corpus[0]).name != corpus[0]:
            problem = "a weight is for several corpora: leave it out"
            raise UsageError(f"{corpus[0]}: {problem}", setting="corpus")
        return opened(corpus[0])
    parts = []
    for name, weight in map(split_weight, corpus):
        one = opened(name)
        if not isinstance(one, Corpus):
            raise UsageError(f"{name}: several corpora are all of text", setting="corpus")
        parts.append((one, weight))
    return several.join(parts)


def _refuse_table(clean_table: Path, corpus: AnyCorpus, force: bool) -> None:
    if not isinstance(corpus, Corpus):
        problem = f"{corpus.name} holds {corpus.modality.name}, and only texts are cleaned: leave it out"
        raise UsageError(f"clean_table {clean_table}: {problem}", setting="clean_table")
    if corpus.has_weights:
        problem = "the table has no weights: clean each corpus by itself"
        raise UsageError(f"clean_table {clean_table}: {problem}", setting="clean_table")
    clean_pairs.refuse(clean_table, corpus.inputs, force)


def _finish(request: Preparation, report: dict[str, Any], inputs: list[Path]) -> None:
    report["inputs"] = [_fingerprint(path) for path in inputs]
    shutil.rmtree(request.work)
    text = json.dumps(report, ensure_ascii=False, indent=2) + "\n"
    files.write(request.folder / REPORT, text.encode())


def _fingerprint(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"file": printable(path), "bytes": path.stat().st_size, "sha256": digest}


@contextmanager
def _replace_prepared(out: Path, force: bool) -> Iterator[Path]:
    """A new folder that takes the place of `out` when the body ends well, and is removed otherwise."""
    folder: Path | None = None
    try:
        with files.replace_folder(out, lambda: _refuse_existing(out, force)) as folder:
            yield folder
    except OSError as error:  # of the body: of a file that it reads, or of one that it writes
        raise _in_words(error, out, folder) from error
    except UserError as error:  # of a file in the new folder, whose name means nothing to the user
        if folder is None or str(folder) not in str(error) or not isinstance(error.__cause__, OSError):
            raise
        raise _in_words(error.__cause__, out, folder) from error


def _in_words(error: OSError, out: Path, folder: Path | None) -> UserError:
    if files.number_of(error) in (errno.ENOSPC, errno.EDQUOT):
        needs = "preparing takes about four times the room of the text"
        return UserError(f"{out.parent}: no space left on the disk; {needs}: make room, or write elsewhere")
    refused = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else out
    if folder is None or refused == out or folder in (refused, *refused.parents):
        return files.refusal(out, error)
    return UserError(f"{refused}: {os.strerror(error.errno) if error.errno else str(error).splitlines()[0]}")


def _refuse_existing(out: Path, force: bool) -> None:
    if not os.path.lexists(out) or (out.is_dir() and not any(out.iterdir())):
        return
    if not force:
        raise UserError(f"{out} exists: choose another name, or replace it with `force`")
    if not (out / REPORT).is_file():
        problem = "is not a prepared folder, so `force` does not replace it"
        raise UserError(f"{out} {problem}: choose another name, or remove it yourself")


@contextmanager
def _quiet_datasets() -> Iterator[None]:
    """No progress bars and notes of `datasets` in the body; the caller's settings hold again afterwards."""
    level, bars = datasets.logging.get_verbosity(), datasets.are_progress_bars_disabled()
    datasets.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        datasets.logging.set_verbosity(level)
        if not bars:
            datasets.enable_progress_bars()
