"""`seq2attn evaluate`: scores of runs on a split or on files, of other systems' outputs, and of alignments."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from seq2attn import __version__, config
from seq2attn.cli import console, options, train
from seq2attn.config import Config, Precision
from seq2attn.errors import UsageError, UserError

if TYPE_CHECKING:
    from seq2attn.evaluation.alignment import AlignmentScore, Links
    from seq2attn.evaluation.model import Likelihood
    from seq2attn.evaluation.significance import Compared
    from seq2attn.evaluation.text import Bucket, Score
    from seq2attn.inference import Translator
    from seq2attn.training.checkpoint import Run

LONGEST = 240  # bytes of a file's name without its ending; most file systems take 255
_LISTS = ("--reference", "--hypotheses")  # options that take one file or several


class Command(TyperCommand):
    """`--reference A B` is `--reference A --reference B`: what follows and is a file belongs to the option, for a run is a folder."""

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
        typer.Argument(help="Trained runs; several are compared with the first. Joined by commas they are an ensemble.", metavar="RUN", show_default=False),
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="Part of the data to score; several by repeating it or with commas.", metavar="NAME", show_default="test")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Prepared folder that has the split.", metavar="PREPARED", show_default="the first run's")] = None,
    source: Annotated[Path | None, typer.Option(help="Translate this file instead of a split; needs --reference.", metavar="FILE", show_default=False)] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(help="Right translations, a line for each source line; several files are several references.", metavar="FILE...", show_default=False),
    ] = None,
    hypotheses: Annotated[
        list[Path] | None,
        typer.Option(help="Score another system's output as it is; several files are several systems.", metavar="FILE...", show_default=False),
    ] = None,
    language: Annotated[
        str | None, typer.Option(help="Target language, which chooses the tokenizer of BLEU.", metavar="CODE", show_default="the run's or the file ending's")
    ] = None,
    by_length: Annotated[bool, typer.Option("--by-length", help="BLEU by source length too.")] = False,
    gold: Annotated[
        Path | None,
        typer.Option(help="Gold word alignments to measure attention by: i-j sure, i?j possible.", metavar="FILE", show_default="the split's, if it has any"),
    ] = None,
    gold_first: Annotated[int, typer.Option(help="The number that --gold gives to the first word: 0 or 1.", min=0, max=1, metavar="N")] = 0,
    alignments: Annotated[
        Path | None, typer.Option(help="Measure an aligner's output (i-j, from 0) by --gold, with no model.", metavar="FILE", show_default=False)
    ] = None,
    beam: Annotated[int | None, typer.Option(help="Hypotheses kept while searching.", min=1, metavar="N", show_default="the run's")] = None,
    length_penalty: Annotated[float | None, typer.Option(help="Score is log p / length ** this.", min=0, metavar="X", show_default="the run's")] = None,
    no_repeat_ngram: options.NoRepeat = None,
    mbr: options.Mbr = None,
    samples: options.Samples = None,
    batch_tokens: Annotated[int | None, typer.Option(help="Padded source tokens translated at once.", min=1, metavar="N", show_default="2048")] = None,
    set_: options.Settings = None,
    seed: options.Seed = 1,
    device: options.Device = "auto",
    precision: Annotated[Precision, typer.Option(help="Number format; auto is fp32.", metavar="auto|fp32|bf16|fp16")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line, for each split and system.")] = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Score runs: BLEU first, with its sacreBLEU signature, then chrF and TER, and how likely the references are: cross-entropy and perplexity.

    Outputs and scores are kept in RUN/scores, what --set and options of the search change in the file's name. Several systems are compared with the first by a paired bootstrap.
    """
    runs, reference, hypotheses = runs or [], reference or [], hypotheses or []
    splits = [name.strip() for part in split or [] for name in part.split(",") if name.strip()]
    settings = set_ or []
    search: dict[str, Any] = {"beam": beam, "length_penalty": length_penalty, "no_repeat_ngram": no_repeat_ngram}
    search |= {"mbr": mbr, "samples": samples, "batch_tokens": batch_tokens}
    _refuse(runs, splits, data, source, reference, hypotheses, by_length, gold, gold_first, alignments, search, settings)
    if alignments is not None and gold is not None:
        _print_alignments(alignments, gold, gold_first, as_json)
        return
    translators = _load(runs, device, precision, settings, must_attend=gold is not None)
    tests = [_of_files(source, reference)] if reference else _of_splits(runs[0] if runs else None, data, splits)
    if gold is not None:
        tests = [_with_gold(tests[0], gold, gold_first)]
    for number, test in enumerate(tests):
        systems = [_of_run(run, translator, test, search, seed) for run, translator in zip(runs, translators, strict=True)]
        systems += [_of_file(file, test) for file in hypotheses]
        test.language = language or next((known for translator in translators if (known := translator.languages[1])), None) or _ending(reference)
        _score(test, systems, by_length)
        for system in systems:
            _keep(test, system)
        if as_json:
            for system in systems:
                console.result(json.dumps(_record(test, system), ensure_ascii=False))
            continue
        if len(tests) > 1:
            console.result(f"{'' if number == 0 else chr(10)}{test.name}")
        _print(systems)


@dataclass
class _Test:
    name: str
    where: str  # for people: the files or the folder
    references: list[list[str]]
    sources: list[str] | None = None
    gold: "list[Links] | None" = None
    language: str | None = None


@dataclass
class _System:
    name: str
    outputs: list[str]
    run: Path | None = None  # where its scores are kept
    search: dict[str, object] = field(default_factory=dict)
    changed: dict[str, object] = field(default_factory=dict)  # settings that are not as the run was trained
    likelihood: "Likelihood | None" = None
    alignment: "AlignmentScore | None" = None
    scores: "list[Score]" = field(default_factory=list)
    compared: "dict[str, Compared]" = field(default_factory=dict)
    buckets: "list[Bucket]" = field(default_factory=list)


def _refuse(
    runs: list[str],
    splits: list[str],
    data: Path | None,
    source: Path | None,
    reference: list[Path],
    hypotheses: list[Path],
    by_length: bool,
    gold: Path | None,
    gold_first: int,
    alignments: Path | None,
    search: Mapping[str, Any],
    settings: list[str],
) -> None:
    """Every request that makes no sense, before anything heavy is imported; and files that are not there."""
    if alignments is not None:
        if gold is None:
            raise UsageError("--alignments needs --gold FILE to be measured by")
        if runs or reference or hypotheses or source or splits or data or by_length:
            raise UsageError("--alignments is measured by --gold alone, with no model and no text: leave the rest out")
    elif not runs and not hypotheses:
        raise UsageError("nothing to evaluate: name a RUN, or give --hypotheses FILE with --reference FILE")
    elif not runs and not reference and data is None:
        raise UsageError("--hypotheses needs --reference FILE, or --data PREPARED, to be compared with")
    elif reference and (splits or data):
        raise UsageError("--reference is a file of its own and --split and --data a part of a prepared folder: give one or the other")
    elif source and not reference:
        raise UsageError("--source needs --reference FILE, a right translation for each line")
    elif runs and reference and not source:
        raise UsageError("--reference needs --source FILE, for the run to translate")
    elif by_length and reference and not source:
        raise UsageError("--by-length needs --source FILE, whose lengths to go by")
    elif gold and not runs:
        raise UsageError("--gold measures a model's attention: name a RUN, or give an aligner's output with --alignments FILE")
    elif gold and len(splits) > 1:
        raise UsageError("--gold belongs to one split: name one with --split")
    if gold_first and gold is None:
        raise UsageError("--gold-first says how the words of --gold FILE are counted: give the file too")
    for name, value in search.items():
        if value is not None and not runs:
            raise UsageError(f"--{name.replace('_', '-')} is for a run that translates: name a RUN, or leave it out")
    if settings and not runs:
        raise UsageError("--set changes how a run translates: name a RUN, or leave it out")
    options.refuse_utility(settings, search["mbr"], search["samples"], 1, search["beam"], search["length_penalty"])
    options.refuse_twice(settings, **{name: value for name, value in search.items() if name in config.Search.model_fields})
    for file in [*reference, *hypotheses, *(path for path in (source, gold, alignments) if path is not None)]:
        if file.is_dir():
            raise UserError(f"{file}: a folder, not a file")
        if not file.exists():
            raise UserError(f"{file}: no such file")
    for run in runs:
        if Path(run).is_file():
            raise UsageError(f"{run}: a file, not a run; files to score follow --hypotheses, --reference or --source")


def _load(runs: list[str], device: str, precision: str, settings: list[str], must_attend: bool) -> "list[Translator]":
    if not runs:
        return []
    from seq2attn.inference import Translator
    from seq2attn.training.precision import keep_pages

    keep_pages()
    translators = [Translator.load(run, device=device, precision=precision, settings=settings, processes=True) for run in runs]
    for run, translator in zip(runs, translators, strict=True):
        if must_attend and not translator.attends:
            raise UserError(f"{run}: has no attention (model.decoder.reads is {translator.config.model.decoder.reads}), so --gold has nothing to measure")
    return translators


def _lines(path: Path) -> list[str]:
    from seq2attn.data.lines import read_lines

    return list(read_lines(path))


def _of_files(source: Path | None, reference: list[Path]) -> _Test:
    references = [_lines(path) for path in reference]
    sources = None if source is None else _lines(source)
    for path, lines in [*zip(reference[1:], references[1:], strict=True), *([(source, sources)] if source is not None and sources is not None else [])]:
        _same_length(path, lines, str(reference[0]), references[0])
    name = (source or reference[0]).name
    return _Test(name, ", ".join(str(path) for path in ([source] if source else []) + reference), references, sources)


def _same_length(path: Path, lines: Sequence[object], other: str, others: Sequence[object]) -> None:
    if len(lines) != len(others):
        raise UserError(f"{path} has {len(lines):,} lines, {other} {len(others):,}: every line needs its own")


def _of_splits(run: str | None, data: Path | None, splits: list[str]) -> list[_Test]:
    from seq2attn.data.prepared import Prepared
    from seq2attn.evaluation.alignment import parse_lines

    prepared = Prepared(data if data is not None else _data_of(str(run)))
    if not splits:
        tests = [name for name in prepared.splits if name.startswith("test")]
        splits = ["test"] if "test" in tests or not tests else tests
    found = []
    for name in splits:
        part = prepared.split(name)
        sources, targets = part.texts()
        where = f"{prepared.path}, split {name}"
        found.append(_Test(name, where, [targets], sources, None if part.gold is None else parse_lines(part.gold, where=where)))
    return found


def _data_of(run: str) -> Path:
    """The prepared folder that the (first) run was trained on, or the one that its corpus becomes."""
    opened = _opened(run)
    path = Path(opened.corpus)
    if not (path / "prepared.json").is_file():
        try:
            path = train.prepared_folder(opened.corpus, opened.config)
        except UserError as error:
            raise UserError(
                f"{run}: was trained on {opened.corpus}, which is not to be had here ({error}): name a prepared folder with --data, "
                "or files with --source and --reference"
            ) from None
    for own in {opened.source_tokenizer, opened.target_tokenizer}:
        there = path / own.name
        if not there.is_file() or there.read_bytes() != own.read_bytes():
            console.warn(f"{opened.corpus} has changed since {run} was trained on it: the split may hold sentences of its training; --data names another")
            break
    return path


def _opened(run: str) -> "Run":
    from seq2attn.training.checkpoint import open_run

    return open_run(run if Path(run).is_dir() else run.split(",")[0].strip())


def _with_gold(test: _Test, file: Path, first: int) -> _Test:
    from seq2attn.evaluation.alignment import check_words, parse_lines

    test.gold = parse_lines(_lines(file), first, str(file))
    check_words(test.gold, test.sources or [], test.references[0], str(file))
    return test


def _of_run(run: str, translator: "Translator", test: _Test, search: dict[str, Any], seed: int) -> _System:
    from seq2attn.evaluation import alignment, model, text

    assert test.sources is not None  # a run with references and no source was refused
    chosen = {name: value for name, value in search.items() if name != "mbr"}
    chosen["utility"] = None if search["mbr"] is None else text.utility(search["mbr"], translator.languages[1])
    with console.progress() as show:
        outputs = model.translate(translator, test.sources, seed=seed, progress=lambda done, total: show(f"translating {test.name}", done, total), **chosen)
        system = _System(run, outputs, Path(run) if Path(run).is_dir() else None, _used(translator.config, search), _changed(run, translator.config, search))
        forced = model.force(
            translator,
            test.sources,
            test.references,
            align=test.gold is not None and translator.attends,
            batch_tokens=search["batch_tokens"],
            seed=seed,
            progress=lambda done, total: show(f"forcing the references of {test.name}", done, total),
        )
    translator.close()
    system.likelihood = forced.likelihood
    if test.gold is not None and forced.links is not None:
        system.alignment = alignment.score(forced.links, test.gold)
    return system


def _used(chosen: Config, search: Mapping[str, Any]) -> dict[str, object]:
    """The search that found the outputs, as it was in the end."""
    names = ("no_repeat_ngram",) if search["mbr"] else ("beam", "length_penalty", "no_repeat_ngram")
    used = {name: getattr(chosen.search, name) if search[name] is None else search[name] for name in names}
    return used | ({"mbr": search["mbr"], "samples": search["samples"] or options.SAMPLES} if search["mbr"] else {})


def _changed(run: str, chosen: Config, search: Mapping[str, Any]) -> dict[str, object]:
    """The settings that are not the (first) run's own, by --set or by an option of the search, and how samples were chosen."""
    own = config.flat(_opened(run).config)
    now = dict(config.flat(chosen)) | {f"search.{name}": value for name, value in search.items() if f"search.{name}" in own and value is not None}
    return {key: value for key, value in now.items() if value != own[key]} | {name: search[name] for name in ("mbr", "samples") if search[name] is not None}


def _of_file(file: Path, test: _Test) -> _System:
    from seq2attn.evaluation.text import looks_tokenized

    outputs = _lines(file)
    _same_length(file, outputs, test.where if test.sources else "the reference", test.references[0])
    if looks_tokenized(outputs):
        console.warn(f"{file}: many lines end in a full stop set apart; BLEU is comparable only on text that reads as people write it")
    return _System(str(file), outputs)


def _ending(files: list[Path]) -> str | None:
    """The language of `test.de` or `test.de.gz`."""
    return next(
        (ending for path in files[:1] for suffix in path.suffixes[::-1] if len(ending := suffix[1:]) in (2, 3) and suffix != ".gz" and ending != "txt"), None
    )


def _score(test: _Test, systems: list[_System], by_length: bool) -> None:
    from seq2attn.evaluation import significance, text

    if len(systems) == 1:
        systems[0].scores = text.scores(systems[0].outputs, test.references, test.language)
    else:
        console.note(f"comparing {len(systems)} systems by {significance.SAMPLES:,} bootstrap samples")
        names = [f"{number} {system.name}" for number, system in enumerate(systems)]  # the same run may stand there twice
        comparison = significance.paired_bootstrap(list(zip(names, (system.outputs for system in systems), strict=True)), test.references, test.language)
        for name, system in zip(names, systems, strict=True):
            system.compared = comparison.systems[name]
            system.scores = [text.Score(measure, found.value, comparison.signatures[measure]) for measure, found in system.compared.items()]
    if by_length:
        for system in systems:
            system.buckets = text.by_length(test.sources or [], system.outputs, test.references, test.language)


def _print(systems: list[_System]) -> None:
    if len(systems) == 1:
        for score in systems[0].scores:
            console.result(str(score))
        if systems[0].alignment is not None:
            console.result(f"{systems[0].alignment}  (attention to gold, the reference forced)")
        if systems[0].likelihood is not None:
            console.result(_likely(systems[0].likelihood))
    else:
        _print_table(systems)
    if systems[0].buckets:
        console.result()
        headers = ["source length", "sentences", *(["BLEU"] if len(systems) == 1 else [f"BLEU {system.name}" for system in systems])]
        rows = [
            [f"{first.low}-{first.high}", f"{first.sentences:,}", *(f"{bucket.bleu:.2f}" for bucket in buckets)]
            for first, *others in zip(*(system.buckets for system in systems), strict=True)
            for buckets in [[first, *others]]
        ]
        console.table(headers, rows)


def _print_table(systems: list[_System]) -> None:
    from seq2attn.evaluation.alignment import percent

    measures = list(systems[0].compared)
    aligned, forced = any(system.alignment for system in systems), any(system.likelihood for system in systems)
    rows = []
    for system in systems:
        row = [system.name]
        for measure in measures:
            found = system.compared[measure]
            row += [f"{found.value:.2f}", f"±{found.interval:.2f}", "-" if found.p_value is None else f"{found.p_value:.3f}"]
        row += [percent(system.alignment.error_rate) if system.alignment else "-"] if aligned else []
        likely = system.likelihood
        rows.append(row + (([f"{likely.cross_entropy:.3f}", f"{likely.perplexity:.2f}"] if likely else ["-", "-"]) if forced else []))
    headers = ["system", *(header for measure in measures for header in (measure, "95%", "p"))]
    console.table([*headers, *(["AER"] if aligned else []), *(["nats/token", "perplexity"] if forced else [])], rows)
    for score in systems[0].scores:
        console.result(f"{score.name}  {score.signature}")
    if len({system.likelihood.tokens for system in systems if system.likelihood}) > 1:
        console.note("nats/token: of each run's own pieces; these runs part the references differently, so they do not compare")
    console.note("p: the chance of so large a difference from the first, were both equally good (paired bootstrap)")


def _likely(likelihood: "Likelihood") -> str:
    left_out = f", {likelihood.left_out:,} blank left out" if likelihood.left_out else ""
    what = f"of the reference, {likelihood.tokens:,} tokens with their end tokens{left_out}"
    if not likelihood.tokens:
        return f"perplexity -  cross-entropy -  ({what})"
    return f"perplexity {likelihood.perplexity:.2f}  cross-entropy {likelihood.cross_entropy:.3f} nats a token  ({what})"


def _record(test: _Test, system: _System) -> dict[str, object]:
    """What is known of a system on a test, for programs."""
    keys = {"BLEU": "bleu", "chrF2": "chrf", "TER": "ter"}
    record: dict[str, object] = {"system": system.name, "split": test.name, "data": test.where, "sentences": len(system.outputs)}
    record |= {keys[score.name]: round(score.value, 4) for score in system.scores}
    record["signatures"] = {keys[score.name]: score.signature for score in system.scores}
    record["search"] = system.search
    if system.changed:
        record["set"] = system.changed
    if system.compared:
        record["compared"] = {
            keys[name]: {"mean": round(found.mean, 4), "interval": round(found.interval, 4), "p": found.p_value} for name, found in system.compared.items()
        }
    if system.likelihood is not None:
        likely = system.likelihood
        record |= {"cross_entropy": _number(likely.cross_entropy), "perplexity": _number(likely.perplexity)}
        record["forced"] = {"tokens": likely.tokens, "references": likely.references, "left_out": likely.left_out}
    if system.alignment is not None:
        record["alignment"] = _aer(system.alignment)
    if system.buckets:
        record["by_length"] = [bucket._asdict() | {"bleu": round(bucket.bleu, 4)} for bucket in system.buckets]
    return record | {"seq2attn": __version__}


def _number(value: float) -> float | None:
    """None where there was nothing to measure: JSON has no other word for it."""
    return round(value, 6) if math.isfinite(value) else None


def _aer(score: "AlignmentScore") -> dict[str, object]:
    return {"aer": score.error_rate, "precision": score.precision, "recall": score.recall, "links": score.links, "sure": score.sure, "possible": score.possible}


def _keep(test: _Test, system: _System) -> None:
    """Scores and outputs into the run; a run that cannot be written to (somebody else's) is scored all the same."""
    if system.run is None:
        return
    from seq2attn.training.checkpoint import write

    folder = system.run / "scores"
    try:
        folder.mkdir(exist_ok=True)
        name = _short(",".join([test.name, *(f"{key}={value}" for key, value in system.changed.items())]))
        write(folder / f"{name}.txt", "".join(line + "\n" for line in system.outputs).encode())
        write(folder / f"{name}.json", (json.dumps(_record(test, system), ensure_ascii=False, indent=1) + "\n").encode())
    except (OSError, UserError) as error:
        console.warn(f"{folder}: the scores are not kept: {error.strerror if isinstance(error, OSError) else error}")


def _short(name: str) -> str:
    """The name, or as much of it as a file system takes, and a mark of the whole; what --set changed stands in the file too."""
    whole = name.encode()
    return name if len(whole) <= LONGEST else f"{whole[: LONGEST - 9].decode(errors='ignore')}-{hashlib.sha256(whole).hexdigest()[:8]}"


def _print_alignments(alignments: Path, gold: Path, first: int, as_json: bool) -> None:
    from seq2attn.evaluation.alignment import parse_lines, score

    predicted, truth = parse_lines(_lines(alignments), where=str(alignments)), parse_lines(_lines(gold), first, str(gold))
    _same_length(alignments, predicted, str(gold), truth)
    result = score([links.sure for links in predicted], truth)
    console.result(json.dumps({"system": str(alignments), "alignment": _aer(result)}) if as_json else str(result))
