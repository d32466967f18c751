"""The data of an evaluation: test sets of texts or splits, outputs of other systems, and word alignments."""

import os
from collections.abc import Sequence
from pathlib import Path

from seq2attn.config import IMAGES, TEXT, Modality
from seq2attn.errors import UserError
from seq2attn.notes import warn
from seq2attn.progress import Stages
from seq2attn.tasks.corpus_cache import prepared_folder
from seq2attn.tasks.evaluated_runs import first_run
from seq2attn.tasks.task import refuse_other_modality, task_of
from seq2attn.tasks.test_set import System, TestSet, note_form

MOST_CHARACTERS, MOST_LINES = 100 << 20, 5_000_000  # of one file, at most

# Lines of text: the path of a file, or the lines themselves.
Lines = str | os.PathLike[str] | Sequence[str]


def name_of(text: Lines, name: str) -> str:
    """The name of a text for people: its path, or `name` for lines without a file."""
    return os.fspath(text) if isinstance(text, str | os.PathLike) else name


def read_lines(text: Lines, name: str, other: tuple[str, int] | None = None) -> list[str]:
    """The lines of a text. `other` names another text and its number of lines, which must be equal.

    Raises UserError for another number of lines, and for more than MOST_CHARACTERS or MOST_LINES.
    """
    from seq2attn.data.formats.lines import read_lines as lines_of

    where = name_of(text, name)
    lines, count, characters = list[str](), 0, 0
    for line in lines_of(Path(text)) if isinstance(text, str | os.PathLike) else text:
        count += 1
        if other is None or count <= other[1]:
            characters += len(line)
            lines.append(line)
        if characters > MOST_CHARACTERS or count > MOST_LINES:
            most = f"{MOST_CHARACTERS >> 20} million characters or {MOST_LINES:,} lines"
            raise UserError(f"{where}: more than {most}: too much for a test set")
    if other is not None:
        refuse_other_length(where, count, *other)
    return lines


def test_set_of_lines(
    modality: Modality, source: Lines | None, references: Sequence[Lines], by_length: bool
) -> TestSet:
    """References, each with a line for every output, and the sources if there are any."""
    sets: list[list[str]] = []
    first = name_of(references[0], "reference")
    for number, text in enumerate(references, 1):
        name = "reference" if number == 1 else f"reference {number}"
        sets.append(read_lines(text, name, (first, len(sets[0])) if sets else None))
        note_form(name_of(text, name), sets[-1])
    sources = None if source is None else read_lines(source, "source", (first, len(sets[0])))
    texts = ([("source", source)] if source is not None else []) + [("reference", one) for one in references]
    names = [name_of(text, name) for name, text in texts]
    return task_of(modality).test_set_of_lines(
        Path(names[0]).name, ", ".join(names), sets, sources, _ending(references), by_length
    )


def refuse_other_length(where: str, lines: int, other: str, others: int) -> None:
    if lines != others:
        raise UserError(
            f"{where} has {lines:,} line{'s' * (lines != 1)}, {other} {others:,}: every line needs its own"
        )


def test_sets_of_splits(
    runs: Sequence[str],
    modality: Modality | None,
    data: Path | None,
    splits: Sequence[str],
    by_length: bool,
    stages: Stages,
) -> list[TestSet]:
    """The splits of the prepared folder `data`, or of that on which the first run was trained."""
    from seq2attn.data.prepared import Prepared

    prepared = Prepared(data if data is not None else _data_of(runs[0], stages))
    if modality is not None:
        refuse_other_modality(prepared.path, prepared.modality, runs[0], modality)
    if not splits:
        names = [name for name in prepared.splits if name.startswith("test")]
        splits = ["test"] if "test" in names or not names else names
    task = task_of(prepared.modality)
    tests: list[TestSet] = []
    for name in splits:
        tests.append(task.test_set(prepared, name, by_length))
        note_form(tests[-1].where, [line for lines in tests[-1].parallel() for line in lines])
    return tests


def _data_of(run: str, stages: Stages) -> Path:
    """The prepared folder on which the (first) run was trained, or one that is prepared from its corpus."""
    opened = first_run(run)
    path = Path(opened.corpus)
    if not (path / "prepared.json").is_file():
        try:
            path = prepared_folder(opened.corpus, opened.config, stages)
        except UserError as error:
            lines = opened.config.model.modality.has_vocabulary
            files = ", or files with `source` and `reference`" if lines else ""
            raise UserError(
                f"{run}: was trained on {opened.corpus}, which is not available here ({error}): "
                f"name a prepared folder with `data`{files}"
            ) from None
    for own in opened.tokenizers:
        other = path / own.name
        if not other.is_file() or other.read_bytes() != own.read_bytes():
            warn(
                f"{opened.corpus} has changed since {run} was trained on it: "
                "the split may hold sentences of its training; `data` names another folder"
            )
            break
    return path


def add_gold(test: TestSet, gold: Lines, first: int) -> None:
    """Score attention against the alignments `gold`, whose first word has the number `first`."""
    from seq2attn.tasks import text_test_set

    assert isinstance(test, text_test_set.TextTestSet)  # `gold` is refused for images
    text_test_set.add_gold(test, read_lines(gold, "gold"), first, name_of(gold, "gold"))


def system_of_lines(text: Lines, number: int, test: TestSet) -> System:
    """The outputs of another program, one line for each of the test set."""
    from seq2attn.evaluation.text import looks_tokenized

    name = name_of(text, f"hypotheses {number}")
    outputs = read_lines(text, name, (test.beside, len(test)))
    note_form(name, outputs)
    # References of images are often tokenized, too.
    if test.unit == "sentences" and looks_tokenized(outputs):
        warn(
            f"{name}: many lines end in a full stop after a space; "
            "BLEU is comparable only on text that is not tokenized"
        )
    return System(name, outputs)


def modality_of_lines(captions: bool) -> Modality:
    """The modality of a test set that no run reads."""
    return IMAGES if captions else TEXT


def _ending(files: Sequence[Lines]) -> str | None:
    """The language in the name of the first file, such as `test.de` or `test.de.gz`; None without one."""
    return next(
        (
            ending
            for path in files[:1]
            if isinstance(path, str | os.PathLike)
            for suffix in Path(path).suffixes[::-1]
            if len(ending := suffix[1:]) in (2, 3) and suffix != ".gz" and ending != "txt"
        ),
        None,
    )
