"""The scores of runs and of other systems' outputs, on splits of prepared data or on texts.

`evaluations` scores one test set after the other. `evaluate` does that for Python, and `seq2attn evaluate`
for the command line.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seq2attn.config import Changes, as_typed
from seq2attn.errors import UsageError
from seq2attn.inference.options import DEFAULTS, SearchOptions, with_shortcuts
from seq2attn.notes import note
from seq2attn.progress import StageProgress, Stages, stages
from seq2attn.tasks import arguments, evaluated_runs, evaluation_inputs, outline, score_files
from seq2attn.tasks.evaluation_inputs import Lines, read_lines, refuse_other_length
from seq2attn.tasks.report import Report, Reports
from seq2attn.tasks.task import task_of

if TYPE_CHECKING:
    from seq2attn.evaluation.alignment import AlignmentScore
    from seq2attn.inference.predictor import Predictor
    from seq2attn.tasks.test_set import System, TestSet


@dataclass(frozen=True)
class Evaluation:
    """What shall be scored."""

    runs: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    data: Path | None = None
    source: Lines | None = None
    references: tuple[Lines, ...] = ()
    hypotheses: tuple[Lines, ...] = ()
    captions: bool = False  # whether lines without a run are captions
    language: str | None = None
    by_length: bool = False
    gold: Lines | None = None
    gold_first: int = 0
    search: SearchOptions = DEFAULTS
    settings: tuple[str, ...] = ()
    device: str = "auto"
    precision: str = "auto"
    allow_code: bool = False

    def check(self) -> None:
        """Raise UsageError for arguments that do not go together."""
        if not self.runs and not self.hypotheses:
            raise UsageError(
                "nothing to evaluate: name a run, or give `hypotheses` with `reference`", setting="runs"
            )
        if self.runs and self.references and self.source is None:
            raise UsageError("source is missing: the text that the run translates", setting="source")
        if self.source is not None and not self.references:
            problem = "reference is missing: a reference translation for each line of `source`"
            raise UsageError(problem, setting="reference")
        if self.references and (self.splits or self.data is not None):
            raise UsageError(
                "reference is a text of its own, and `split` and `data` name prepared data: leave one out",
                setting="reference",
            )
        if not self.runs and not self.references and self.data is None:
            raise UsageError("reference is missing: the text to compare with", setting="reference")
        if self.captions and (self.runs or self.source is not None or not self.references):
            raise UsageError(
                "captions is for texts alone: give `hypotheses` and `reference`", setting="captions"
            )
        if self.by_length and self.references and self.source is None:
            problem = "by_length needs `source`: the lengths to group by"
            raise UsageError(problem, setting="by_length")
        if self.gold is not None and not self.runs:
            raise UsageError(
                "gold needs a run, whose attention is compared with it: name one", setting="gold"
            )
        if self.gold_first not in (0, 1):
            raise UsageError(f"gold_first {self.gold_first}: choose 0 or 1", setting="gold_first")
        if self.gold is not None and len(self.splits) > 1:
            raise UsageError("gold belongs to one split: name one with `split`", setting="gold")
        self.search.check()
        outline.check_names(self.splits)


class Evaluations(NamedTuple):
    """The names of the test sets, and the reports of each of them, which are computed while they are read."""

    names: list[str]
    reports: Iterator[Reports]


def evaluations(request: Evaluation, stages: Stages) -> Evaluations:
    """The reports of each test set in turn, those of the runs before those of other systems.

    Everything is read and checked at once, before the first run translates. The runs' scores and outputs are
    written into RUN/scores.
    """
    runs, gold = request.runs, request.gold
    splits = None if request.references else request.splits
    modality = evaluated_runs.modality_of(runs, splits, request.data)
    predictors = []
    if modality is not None:
        options = {name: getattr(request, name) for name in ("source", "by_length", "gold", "allow_code")}
        task_of(modality).refuse_options(options | {"reference": request.references}, runs)
        predictors = evaluated_runs.load(
            runs,
            modality,
            request.device,
            request.precision,
            request.settings,
            gold is not None,
            request.allow_code,
        )
    if request.references:
        of_lines = modality or evaluation_inputs.modality_of_lines(request.captions)
        tests = [
            evaluation_inputs.test_set_of_lines(
                of_lines, request.source, request.references, request.by_length
            )
        ]
    else:
        tests = evaluation_inputs.test_sets_of_splits(
            runs, modality, request.data, request.splits, request.by_length, stages
        )
    if gold is not None:
        evaluation_inputs.add_gold(tests[0], gold, request.gold_first)
    # Texts are read before a run translates, so that an unfit file is refused before the search.
    others = [
        [
            evaluation_inputs.system_of_lines(text, number, test)
            for number, text in enumerate(request.hypotheses, 1)
        ]
        for test in tests
    ]
    reports = _reports(request, stages, predictors, tests, others)
    return Evaluations([test.name for test in tests], reports)


def _reports(
    request: Evaluation,
    stages: Stages,
    predictors: "list[Predictor[Any, Any]]",
    tests: "list[TestSet]",
    others: "list[list[System]]",
) -> Iterator[Reports]:
    runs = request.runs
    lowercase = evaluated_runs.write_lowercase(runs, predictors)
    for number, test in enumerate(tests):
        test.lowercase = lowercase
        systems = [
            evaluated_runs.system(run, predictor, test, request.search, stages)
            for run, predictor in zip(runs, predictors, strict=True)
        ]
        if number == 0:
            for of_run in zip(runs, predictors, systems, strict=True):
                evaluated_runs.note_choice(*of_run)
        systems += others[number]
        languages = filter(None, (predictor.languages[1] for predictor in predictors))
        test.language = request.language or next(languages, None) or test.language
        if len(systems) > 1:
            from seq2attn.evaluation.significance import SAMPLES

            note(f"comparing {len(systems)} systems by {SAMPLES:,} bootstrap samples")
        test.score(systems)
        for reason in test.why_zero(systems):
            note(reason)
        reports = Reports(Report.of(test, system) for system in systems)
        for report in reports:
            score_files.write(report)
        yield reports


def evaluate(
    runs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] = (),
    *,
    split: str | Sequence[str] = (),
    data: str | os.PathLike[str] | None = None,
    source: Lines | None = None,
    reference: Lines | Sequence[Lines] | None = None,
    hypotheses: Lines | Sequence[Lines] = (),
    captions: bool = False,
    language: str | None = None,
    by_length: bool = False,
    gold: Lines | None = None,
    gold_first: int = 0,
    options: SearchOptions | None = None,
    settings: Changes = (),
    device: str = "auto",
    precision: str = "auto",
    allow_code: bool = False,
    progress: StageProgress | None = None,
) -> Reports:
    """Score runs and other systems' outputs, as `seq2attn evaluate` does.

    `runs`: one run, or a list of several, which are compared with the first. A run is a `Run` or its path;
    paths joined by commas are an ensemble.
    `split`: one split, or several, of the prepared folder `data`; by default the test split of the data that
    the first run was trained on. Instead of a split, `source` and `reference` are texts, and `hypotheses` are
    outputs of other systems. A text is the path of a file, or a list with a string for each line; several
    references or hypotheses are a list of `pathlib.Path`s, or a list of lists of strings. `captions` scores
    texts as captions of images. `gold`: word alignments to compare the attention with; their first word has
    the number `gold_first`. `options` of the search and `settings` replace those of the runs.
    `progress(stage, done, total)` is called during the work; `total` is None if it is not known.

    Returns a report for each test set and system. Raises UsageError for arguments that do not go together,
    UserError for runs, data or texts that are missing or do not fit.
    """
    request = Evaluation(
        tuple(
            arguments.path(run, "runs")
            for run in ([runs] if isinstance(runs, str | os.PathLike) else arguments.several(runs, "runs"))
        ),
        tuple(arguments.strings([split] if isinstance(split, str) and split else split or (), "split")),
        None if data is None else Path(arguments.path(data, "data")),
        None if source is None else _text(source, "source"),
        _texts(reference, "reference"),
        _texts(hypotheses, "hypotheses"),
        captions,
        language,
        by_length,
        None if gold is None else _text(gold, "gold"),
        gold_first,
        with_shortcuts(options, {}),
        tuple(as_typed(settings)),
        device,
        precision,
        allow_code,
    )
    request.check()
    reports = evaluations(request, stages(progress)).reports
    return Reports(report for of_test in reports for report in of_test)


def score_alignments(alignments: Lines, gold: Lines, gold_first: int = 0) -> "AlignmentScore":
    """The alignment error rate of an aligner's output, links i-j counted from 0, against gold alignments."""
    from seq2attn.evaluation.alignment import parse_lines, score

    name, gold_name = (
        evaluation_inputs.name_of(alignments, "alignments"),
        evaluation_inputs.name_of(gold, "gold"),
    )
    predicted = parse_lines(read_lines(alignments, name), where=name)
    truth = parse_lines(read_lines(gold, gold_name), gold_first, gold_name)
    refuse_other_length(name, len(predicted), gold_name, len(truth))
    return score([links.sure for links in predicted], truth)


def _text(text: object, name: str) -> Lines:
    """One text: the path of a file, or a list of its lines."""
    if isinstance(text, str | os.PathLike):
        return arguments.path(text, name)
    return arguments.strings(text, name)


def _texts(texts: object, name: str) -> tuple[Lines, ...]:
    """One text or several as a tuple. A list of strings is the lines of one text."""
    if texts is None or isinstance(texts, str | os.PathLike):
        return () if texts is None else (_text(texts, name),)
    listed = arguments.several(texts, name)
    if listed and all(isinstance(text, str) for text in listed):
        return (_text(listed, name),)
    return tuple(_text(text, name) for text in listed)
