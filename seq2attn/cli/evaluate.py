"""`seq2attn evaluate`: scores of runs on a split or on files, of other systems' outputs, and of alignments.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from seq2attn import config
from seq2attn.cli import console, flags, mistaken, outline, train
from seq2attn.cli.outline import Outline
from seq2attn.cli.output.report import (
    Search,
    System,
    TestSet,
    alignment_record,
    keep,
    note_form,
    record,
    show,
)
from seq2attn.cli.output.report import as_json as json_of
from seq2attn.config import Config, Precision
from seq2attn.errors import UsageError, UserError

if TYPE_CHECKING:
    from seq2attn.inference import Captioner, Translator
    from seq2attn.runs.directory import Run

MOST_CHARACTERS, MOST_LINES = 100 << 20, 5_000_000  # of one file
_LISTS = ("--reference", "--hypotheses")  # options that take one file or several


class Command(TyperCommand):
    """`--reference A B` is `--reference A --reference B`: what follows and is a file belongs to the option,
    for a run is a folder.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, _spread(args))


def _spread(arguments: Sequence[str]) -> list[str]:
    result: list[str] = []
    option, values = "", 0
    for argument in arguments:
        if option and values and not argument.startswith("-") and Path(argument).is_file():
            result += [option, argument]
            continue
        result.append(argument)
        if argument.startswith("-"):
            name, equals, _ = argument.partition("=")
            option, values = (name, len(equals)) if name in _LISTS else ("", 0)
        else:
            option, values = ("", 0) if values else (option, 1)
    return result


def evaluate(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Trained runs; several are compared with the first. Joined by commas they are an ensemble.",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Part of the data to score; several by repeating it or with commas.",
            metavar="NAME",
            show_default="test",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Prepared folder that has the split.", metavar="PREPARED", show_default="the first run's"
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            help="Translate this file instead of a split; needs --reference.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            help="Right translations, a line for each source line; several files are several references.",
            metavar="FILE...",
            show_default=False,
        ),
    ] = None,
    hypotheses: Annotated[
        list[Path] | None,
        typer.Option(
            help="Score another system's output as it is; several files are several systems.",
            metavar="FILE...",
            show_default=False,
        ),
    ] = None,
    captions: Annotated[
        bool,
        typer.Option(
            "--captions",
            help="The files are captions, a line an image: BLEU-1 to 4, CIDEr-D and ROUGE-L too. A blank line is no reference.",
        ),
    ] = False,
    language: Annotated[
        str | None,
        typer.Option(
            help="Target language, which chooses the tokenizer of BLEU.",
            metavar="CODE",
            show_default="the run's or the file ending's",
        ),
    ] = None,
    by_length: Annotated[
        bool, typer.Option("--by-length", help="BLEU and chrF by source length too.")
    ] = False,
    gold: Annotated[
        Path | None,
        typer.Option(
            help="Gold word alignments to measure attention by: i-j sure, i?j possible.",
            metavar="FILE",
            show_default="the split's, if it has any",
        ),
    ] = None,
    gold_first: Annotated[
        int,
        typer.Option(
            help="The number that --gold gives to the first word: 0 or 1.", min=0, max=1, metavar="N"
        ),
    ] = 0,
    alignments: Annotated[
        Path | None,
        typer.Option(
            help="Measure an aligner's output (i-j, from 0) by --gold, with no model.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    beam: Annotated[
        int | None,
        typer.Option(
            help="Hypotheses kept while searching.",
            min=1,
            max=config.MOST_BEAM,
            metavar="N",
            show_default="the run's",
        ),
    ] = None,
    length_penalty: flags.LengthPenalty = None,
    no_repeat_ngram: flags.NoRepeat = None,
    mbr: flags.Mbr = None,
    samples: flags.Samples = None,
    batch_tokens: Annotated[
        int | None,
        typer.Option(
            help="Padded source tokens translated at once.",
            min=1,
            max=config.MOST_BATCH_TOKENS,
            metavar="N",
            show_default="2048",
        ),
    ] = None,
    set_: flags.Settings = None,
    seed: flags.Seed = 1,
    device: flags.Device = "auto",
    precision: Annotated[
        Precision, typer.Option(help="Number format; auto is fp32.", metavar="auto|fp32|bf16|fp16")
    ] = "auto",
    allow_code: flags.AllowCode = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line, for each split and system.")
    ] = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Score runs: BLEU first, with its sacreBLEU signature, then chrF and TER, and how likely the references
    are: cross-entropy and perplexity.

    Of runs that describe images BLEU-1 to 4, CIDEr-D and ROUGE-L too, and where their attention points, where
    the data have boxes.

    Outputs and scores are kept in RUN/scores, what --set and options of the search change in the file's name.
    Several systems are compared with the first by a paired bootstrap.
    """
    runs, reference, hypotheses = runs or [], reference or [], hypotheses or []
    splits = [name.strip() for part in split or [] for name in part.split(",") if name.strip()]
    settings, search = set_ or [], Search(beam, length_penalty, no_repeat_ngram, mbr, samples, batch_tokens)
    _refuse(
        runs,
        splits,
        data,
        source,
        reference,
        hypotheses,
        captions,
        by_length,
        gold,
        gold_first,
        alignments,
        search,
        settings,
        allow_code,
    )
    if alignments is not None and gold is not None:
        _print_alignments(alignments, gold, gold_first, as_json)
        return
    images = _look(runs, None if reference else splits, data)
    if images:
        _refuse_text(
            {"--source": source, "--reference": reference, "--by-length": by_length, "--gold": gold}, runs[0]
        )
    elif allow_code:
        raise UsageError(
            f"--allow-code is for a run that describes images, and {runs[0]} translates text: leave it out"
        )
    readers = _load(runs, images, device, precision, settings, gold is not None, allow_code)
    tests = (
        [_of_files(source, reference, captions, by_length)]
        if reference
        else _of_splits(runs, images, data, splits, by_length)
    )
    if gold is not None:
        _add_gold(tests[0], gold, gold_first)
    # a file that does not fit costs no search
    others = [[_of_file(file, test) for file in hypotheses] for test in tests]
    lowercase = _without_case(runs, readers)
    for number, test in enumerate(tests):
        test.lowercase = lowercase
        systems = [
            _of_run(run, reader, test, search, seed) for run, reader in zip(runs, readers, strict=True)
        ]
        systems += others[number]
        test.language = (
            language
            or next((known for reader in readers if (known := reader.languages[1])), None)
            or test.language
        )
        if len(systems) > 1:
            from seq2attn.evaluation.significance import SAMPLES

            console.note(f"comparing {len(systems)} systems by {SAMPLES:,} bootstrap samples")
        test.score(systems)
        for reason in test.why_zero(systems):
            console.note(reason)
        for system in systems:
            keep(test, system)
        if as_json:
            for system in systems:
                console.result(json_of(record(test, system)))
            continue
        if len(tests) > 1:
            console.result(f"{'' if number == 0 else chr(10)}{test.name}")
        show(systems)


def _refuse(
    runs: list[str],
    splits: list[str],
    data: Path | None,
    source: Path | None,
    reference: list[Path],
    hypotheses: list[Path],
    captions: bool,
    by_length: bool,
    gold: Path | None,
    gold_first: int,
    alignments: Path | None,
    search: Search,
    settings: list[str],
    allow_code: bool,
) -> None:
    """Every request that makes no sense, before anything heavy is imported; and files that are not there."""
    if alignments is not None:
        if gold is None:
            raise UsageError("--alignments needs --gold FILE to be measured by")
        if runs or reference or hypotheses or source or splits or data or by_length or captions:
            raise UsageError(
                "--alignments is measured by --gold alone, with no model and no text: leave the rest out"
            )
    elif not runs and not hypotheses:
        raise UsageError("nothing to evaluate: name a RUN, or give --hypotheses FILE with --reference FILE")
    elif not runs and not reference and data is None:
        raise UsageError("--hypotheses needs --reference FILE, or --data PREPARED, to be compared with")
    elif reference and (splits or data):
        raise UsageError(
            "--reference is a file of its own and --split and --data a part of a prepared folder: give one or the other"
        )
    elif source and not reference:
        raise UsageError("--source needs --reference FILE, a right translation for each line")
    elif runs and reference and not source:
        raise UsageError("--reference needs --source FILE, for the run to translate")
    elif by_length and reference and not source:
        raise UsageError("--by-length needs --source FILE, whose lengths to go by")
    elif gold and not runs:
        raise UsageError(
            "--gold measures a model's attention: name a RUN, or give an aligner's output with --alignments FILE"
        )
    elif gold and len(splits) > 1:
        raise UsageError("--gold belongs to one split: name one with --split")
    if captions and (runs or source or not reference):
        raise UsageError(
            "--captions is for --hypotheses FILE with --reference FILE... alone; runs and prepared images are scored so without it: leave it out"
        )
    if gold_first and gold is None:
        raise UsageError("--gold-first says how the words of --gold FILE are counted: give the file too")
    for name, value in search._asdict().items():
        if value is not None and not runs:
            raise UsageError(
                f"--{name.replace('_', '-')} is for a run that searches: name a RUN, or leave it out"
            )
    if allow_code and not runs:
        raise UsageError("--allow-code is for a run that describes images: name a RUN, or leave it out")
    if settings and not runs:
        raise UsageError("--set changes how a run translates: name a RUN, or leave it out")
    flags.refuse_utility(settings, search.mbr, search.samples, 1, search.beam, search.length_penalty)
    flags.refuse_twice(
        settings,
        **{
            name: value
            for name, value in search._asdict().items()
            if name in config.SearchConfig.model_fields
        },
    )
    outline.check_names(splits)
    for file in [*reference, *hypotheses, *(path for path in (source, gold, alignments) if path is not None)]:
        mistaken.refuse_no_file(
            str(file), "A file of lines is wanted here: put the text into one, as in: echo {text} > text.txt"
        )
        if file.is_dir():
            raise UserError(f"{file}: a folder, not a file")
        if not file.exists():
            raise UserError(f"{file}: no such file")
    for run in runs:
        mistaken.refuse_no_run(run)
        if Path(run).is_file():
            raise UsageError(
                f"{run}: a file, not a run; files to score follow --hypotheses, --reference or --source"
            )


# Runs


def _look(runs: list[str], splits: Sequence[str] | None, data: Path | None) -> bool:
    """Whether the runs describe images, without importing anything heavy.

    Raises UsageError where some do and others translate text, UserError where runs, the data or one of the
    `splits` (None: files are scored) are not there or do not fit.
    """
    members = [member for run in runs for member in outline.of_run(run)]
    known = [member for member in members if member is not None]
    if len(known) < len(members):
        known = [_opened_outline(path) for run in runs for path in _paths(run)]
    kinds = {member.path: member.images for member in known}
    if len({*kinds.values()}) > 1:
        text, images = (
            next(path for path, kind in kinds.items() if kind == wanted) for wanted in (False, True)
        )
        raise UsageError(f"{images} describes images and {text} translates text: evaluate them one by one")
    if splits is not None:
        first = known[0] if known else None
        if data is not None:
            outline.check_splits(data, splits, first)
        elif first is not None and Path(first.corpus, "prepared.json").is_file():
            outline.check_splits(Path(first.corpus), splits, first)
        elif first is not None and splits:
            outline.check_corpus(first, splits)
    return any(kinds.values())


def _paths(run: str) -> list[str]:
    from seq2attn.inference.loading import names

    return names(run)


def _opened_outline(path: str) -> Outline:
    """Of a run whose config.json only its own reader makes out."""
    from seq2attn.runs.directory import open_run

    run = open_run(path)
    data = run.config.data
    return Outline(path, run.config.model.images, run.corpus, data.source, data.target)


def _without_case(runs: Sequence[str], readers: "Sequence[Translator | Captioner]") -> bool:
    """Whether all systems are scored without case: one of the runs writes lower case alone."""
    lower = [run for run, reader in zip(runs, readers, strict=True) if reader.target_tokenizer.lowercase]
    if lower:
        console.note(f"{lower[0]} writes lower case: everything is scored without case (case:lc)")
    return bool(lower)


def _refuse_text(asked: Mapping[str, object], run: str) -> None:
    """Raise UsageError for what is asked of a run that describes images, and is of text."""
    ways = {
        "--by-length": "images have no length to go by: leave it out",
        "--gold": "images have no word alignments: leave it out; pointing accuracy is shown where the prepared data have boxes",
    }
    for option, value in asked.items():
        if value:
            other = "prepare other images with their captions (`seq2attn prepare`), and name the folder with --data"
            raise UsageError(f"{option} is for text, and {run} describes images: {ways.get(option, other)}")


def _load(
    runs: list[str],
    images: bool,
    device: str,
    precision: str,
    settings: list[str],
    must_attend: bool,
    allow_code: bool,
) -> "Sequence[Translator | Captioner]":
    if not runs:
        return []
    from seq2attn.devices import keep_freed_memory
    from seq2attn.inference import Captioner, Translator

    keep_freed_memory()
    if images:
        return [
            Captioner.load(run, device, precision, settings, processes=True, allow_code=allow_code)
            for run in runs
        ]
    translators = [Translator.load(run, device, precision, settings, processes=True) for run in runs]
    for run, translator in zip(runs, translators, strict=True):
        if must_attend and not translator.attends:
            raise UserError(
                f"{run}: has no attention (model.decoder.context_source is {translator.config.model.decoder.context_source}), so --gold has nothing to measure"
            )
    return translators


def _of_run(run: str, reader: "Translator | Captioner", test: TestSet, search: Search, seed: int) -> System:
    system = System(
        run,
        [],
        Path(run) if Path(run).is_dir() else None,
        _used(reader.config, search),
        _changed(run, reader.config, search),
    )
    test.take(system, reader, search, seed)
    reader.close()
    return system


def _used(chosen: Config, search: Search) -> dict[str, object]:
    """The search that found the outputs, as it was in the end."""
    names, asked = (
        ("no_repeat_ngram",) if search.mbr else ("beam", "length_penalty", "no_repeat_ngram"),
        search._asdict(),
    )
    used = {name: getattr(chosen.search, name) if asked[name] is None else asked[name] for name in names}
    return used | ({"mbr": search.mbr, "samples": search.samples or flags.SAMPLES} if search.mbr else {})


def _changed(run: str, chosen: Config, search: Search) -> dict[str, object]:
    """The settings that are not the (first) run's own, by --set or by an option of the search, and how
    samples were chosen.
    """
    own = config.flat(_opened(run).config)
    now = dict(config.flat(chosen)) | {
        f"search.{name}": value
        for name, value in search._asdict().items()
        if f"search.{name}" in own and value is not None
    }
    chosen_by = {"mbr": search.mbr, "samples": search.samples}
    return {key: value for key, value in now.items() if value != own[key]} | {
        name: value for name, value in chosen_by.items() if value is not None
    }


def _opened(run: str) -> "Run":
    from seq2attn.runs.directory import open_run

    return open_run(run if Path(run).is_dir() else run.split(",")[0].strip())


# Data and files


def _lines(path: Path, beside: tuple[str, int] | None = None) -> list[str]:
    """The lines of a file, as many as another has `beside` which it stands.

    Raises UserError for another number of lines, and for more text than memory should hold.
    """
    from seq2attn.data.formats.lines import read_lines

    lines, count, characters = list[str](), 0, 0
    for line in read_lines(path):
        count += 1
        if beside is None or count <= beside[1]:
            characters += len(line)
            lines.append(line)
        if characters > MOST_CHARACTERS or count > MOST_LINES:
            most = f"{MOST_CHARACTERS >> 20} million characters or {MOST_LINES:,} lines"
            raise UserError(f"{path}: more than {most}: too much for a test set")
    if beside is not None:
        _same_length(path, count, *beside)
    return lines


def _of_files(source: Path | None, reference: list[Path], captions: bool, by_length: bool) -> TestSet:
    from seq2attn.cli import evaluate_images, evaluate_texts

    references: list[list[str]] = []
    for path in reference:
        references.append(_lines(path, (str(reference[0]), len(references[0])) if references else None))
        note_form(str(path), references[-1])
    sources = None if source is None else _lines(source, (str(reference[0]), len(references[0])))
    name, where = (
        (source or reference[0]).name,
        ", ".join(str(path) for path in ([source] if source else []) + reference),
    )
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


def _of_splits(
    runs: list[str], images: bool, data: Path | None, splits: list[str], by_length: bool
) -> list[TestSet]:
    from seq2attn.cli import evaluate_images, evaluate_texts
    from seq2attn.data.prepared import Prepared

    prepared = Prepared(data if data is not None else _data_of(runs[0]))
    if runs:
        outline.refuse_other_kind(prepared.path, prepared.images, runs[0], images)
    if prepared.images and by_length:
        raise UsageError(
            f"--by-length is for text, and {prepared.path} holds images, which have no length to go by: leave it out"
        )
    if not splits:
        tests = [name for name in prepared.splits if name.startswith("test")]
        splits = ["test"] if "test" in tests or not tests else tests
    found: list[TestSet] = []
    for name in splits:
        if prepared.images:
            found.append(evaluate_images.of_split(prepared, name))
        else:
            texts = evaluate_texts.of_split(prepared, name)
            texts.by_length = by_length
            found.append(texts)
        note_form(found[-1].where, [line for lines in found[-1].parallel() for line in lines])
    return found


def _data_of(run: str) -> Path:
    """The prepared folder that the (first) run was trained on, or the one that its corpus becomes."""
    opened = _opened(run)
    path = Path(opened.corpus)
    if not (path / "prepared.json").is_file():
        try:
            path = train.prepared_folder(opened.corpus, opened.config)
        except UserError as error:
            files = "" if opened.config.model.images else ", or files with --source and --reference"
            raise UserError(
                f"{run}: was trained on {opened.corpus}, which is not to be had here ({error}): name a prepared folder with --data{files}"
            ) from None
    for own in opened.tokenizers:
        there = path / own.name
        if not there.is_file() or there.read_bytes() != own.read_bytes():
            console.warn(
                f"{opened.corpus} has changed since {run} was trained on it: the split may hold sentences of its training; --data names another"
            )
            break
    return path


def _add_gold(test: TestSet, file: Path, first: int) -> None:
    from seq2attn.cli.evaluate_texts import TextSet, add_gold

    assert isinstance(test, TextSet)  # of images, it was refused
    add_gold(test, _lines(file), first, str(file))


def _of_file(file: Path, test: TestSet) -> System:
    from seq2attn.evaluation.text import looks_tokenized

    outputs = _lines(file, (test.beside, len(test)))
    note_form(str(file), outputs)
    # references of images are often so themselves
    if test.unit == "sentences" and looks_tokenized(outputs):
        console.warn(
            f"{file}: many lines end in a full stop set apart; BLEU is comparable only on text that reads as people write it"
        )
    return System(str(file), outputs)


def _ending(files: list[Path]) -> str | None:
    """The language of `test.de` or `test.de.gz`."""
    return next(
        (
            ending
            for path in files[:1]
            for suffix in path.suffixes[::-1]
            if len(ending := suffix[1:]) in (2, 3) and suffix != ".gz" and ending != "txt"
        ),
        None,
    )


def _print_alignments(alignments: Path, gold: Path, first: int, as_json: bool) -> None:
    from seq2attn.evaluation.alignment import parse_lines, score

    predicted, truth = (
        parse_lines(_lines(alignments), where=str(alignments)),
        parse_lines(_lines(gold), first, str(gold)),
    )
    _same_length(alignments, len(predicted), str(gold), len(truth))
    result = score([links.sure for links in predicted], truth)
    told: dict[str, object] = {"system": str(alignments), "alignment": alignment_record(result)}
    console.result(json_of(told) if as_json else str(result))
