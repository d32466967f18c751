"""The data of `evaluate`: test sets of files or splits, outputs of other systems, and word alignments."""

from pathlib import Path

from seq2attn.cli import console, outline
from seq2attn.cli.corpus_cache import prepared_folder
from seq2attn.cli.evaluate_runs import first_run
from seq2attn.cli.output.report import System, TestSet, alignment_record, as_json, note_form
from seq2attn.errors import UsageError, UserError

MOST_CHARACTERS, MOST_LINES = 100 << 20, 5_000_000  # of one file, at most


def read_file(path: Path, other: tuple[str, int] | None = None) -> list[str]:
    """The lines of a file. `other` names another file and its number of lines, which must be equal.

    Raises UserError for another number of lines, and for more than MOST_CHARACTERS or MOST_LINES.
    """
    from seq2attn.data.formats.lines import read_lines

    lines, count, characters = list[str](), 0, 0
    for line in read_lines(path):
        count += 1
        if other is None or count <= other[1]:
            characters += len(line)
            lines.append(line)
        if characters > MOST_CHARACTERS or count > MOST_LINES:
            most = f"{MOST_CHARACTERS >> 20} million characters or {MOST_LINES:,} lines"
            raise UserError(f"{path}: more than {most}: too much for a test set")
    if other is not None:
        _same_length(path, count, *other)
    return lines


def file_test_set(source: Path | None, reference: list[Path], captions: bool, by_length: bool) -> TestSet:
    from seq2attn.cli import evaluate_images, evaluate_texts

    references: list[list[str]] = []
    for path in reference:
        references.append(read_file(path, (str(reference[0]), len(references[0])) if references else None))
        note_form(str(path), references[-1])
    sources = None if source is None else read_file(source, (str(reference[0]), len(references[0])))
    name = (source or reference[0]).name
    where = ", ".join(str(path) for path in ([source] if source else []) + reference)
    if captions:
        return evaluate_images.of_files(name, where, references, _ending(reference))
    return evaluate_texts.TextSet(
        name, where, references, sources, by_length=by_length, language=_ending(reference)
    )


def _same_length(path: Path, lines: int, other: str, others: int) -> None:
    if lines != others:
        raise UserError(
            f"{path} has {lines:,} line{'s' * (lines != 1)}, {other} {others:,}: every line needs its own"
        )


def split_test_sets(
    runs: list[str], images: bool, data: Path | None, splits: list[str], by_length: bool
) -> list[TestSet]:
    from seq2attn.cli import evaluate_images, evaluate_texts
    from seq2attn.data.prepared import Prepared

    prepared = Prepared(data if data is not None else _data_of(runs[0]))
    if runs:
        outline.refuse_other_kind(prepared.path, prepared.images, runs[0], images)
    if prepared.images and by_length:
        raise UsageError(
            f"--by-length is for text, and {prepared.path} holds images, which have no length to group by: "
            "leave it out"
        )
    if not splits:
        names = [name for name in prepared.splits if name.startswith("test")]
        splits = ["test"] if "test" in names or not names else names
    tests: list[TestSet] = []
    for name in splits:
        if prepared.images:
            tests.append(evaluate_images.of_split(prepared, name))
        else:
            texts = evaluate_texts.of_split(prepared, name)
            texts.by_length = by_length
            tests.append(texts)
        note_form(tests[-1].where, [line for lines in tests[-1].parallel() for line in lines])
    return tests


def _data_of(run: str) -> Path:
    """The prepared folder on which the (first) run was trained, or one that is prepared from its corpus."""
    opened = first_run(run)
    path = Path(opened.corpus)
    if not (path / "prepared.json").is_file():
        try:
            path = prepared_folder(opened.corpus, opened.config)
        except UserError as error:
            files = "" if opened.config.model.images else ", or files with --source and --reference"
            raise UserError(
                f"{run}: was trained on {opened.corpus}, which is not available here ({error}): "
                f"name a prepared folder with --data{files}"
            ) from None
    for own in opened.tokenizers:
        other = path / own.name
        if not other.is_file() or other.read_bytes() != own.read_bytes():
            console.warn(
                f"{opened.corpus} has changed since {run} was trained on it: "
                "the split may hold sentences of its training; --data names another folder"
            )
            break
    return path


def add_gold(test: TestSet, file: Path, first: int) -> None:
    """Score attention against the alignments in `file`, whose first word has the number `first`."""
    from seq2attn.cli import evaluate_texts

    assert isinstance(test, evaluate_texts.TextSet)  # --gold is refused for images
    evaluate_texts.add_gold(test, read_file(file), first, str(file))


def system_of_file(file: Path, test: TestSet) -> System:
    from seq2attn.evaluation.text import looks_tokenized

    outputs = read_file(file, (test.beside, len(test)))
    note_form(str(file), outputs)
    # References of images are often tokenized, too.
    if test.unit == "sentences" and looks_tokenized(outputs):
        console.warn(
            f"{file}: many lines end in a full stop after a space; "
            "BLEU is comparable only on text that is not tokenized"
        )
    return System(str(file), outputs)


def _ending(files: list[Path]) -> str | None:
    """The language in the name of the first file, such as `test.de` or `test.de.gz`; None without one."""
    return next(
        (
            ending
            for path in files[:1]
            for suffix in path.suffixes[::-1]
            if len(ending := suffix[1:]) in (2, 3) and suffix != ".gz" and ending != "txt"
        ),
        None,
    )


def print_alignments(alignments: Path, gold: Path, first: int, json: bool) -> None:
    from seq2attn.evaluation.alignment import parse_lines, score

    predicted = parse_lines(read_file(alignments), where=str(alignments))
    truth = parse_lines(read_file(gold), first, str(gold))
    _same_length(alignments, len(predicted), str(gold), len(truth))
    result = score([links.sure for links in predicted], truth)
    record: dict[str, object] = {"system": str(alignments), "alignment": alignment_record(result)}
    console.result(as_json(record) if json else str(result))
