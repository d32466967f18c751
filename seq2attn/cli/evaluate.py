"""`seq2attn evaluate`: scores of runs, of other systems' outputs, and of word alignments."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from seq2attn.cli import console, flags, mistaken
from seq2attn.cli import evaluate_options as options
from seq2attn.cli.conflicts import check, set_options
from seq2attn.cli.output import report
from seq2attn.cli.search_flags import given_flags, with_search_flags
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.options import DEFAULTS, SearchOptions
from seq2attn.tasks.evaluation import Evaluation, evaluations


@with_search_flags(without=options.WITHOUT)
def evaluate(
    runs: options.Runs = None,
    split: options.Split = None,
    data: options.Data = None,
    source: options.Source = None,
    reference: options.Reference = None,
    hypotheses: options.Hypotheses = None,
    captions: options.Captions = False,
    language: options.Language = None,
    by_length: options.ByLength = False,
    gold: options.Gold = None,
    gold_first: options.GoldFirst = 0,
    alignments: options.Alignments = None,
    search: SearchOptions = DEFAULTS,
    set_: flags.Settings = None,
    seed: flags.Seed = 1,
    device: flags.Device = "auto",
    precision: options.Format = "auto",
    allow_code: flags.AllowCode = False,
    as_json: options.AsJson = False,
    quiet: flags.Quiet = False,
    debug: flags.Debug = False,
) -> None:
    """Print BLEU with its sacreBLEU signature, chrF, TER, and the cross-entropy and perplexity of the
    references.

    For captioning runs it also prints BLEU-1 to BLEU-4, CIDEr-D and ROUGE-L and, if the data has bounding
    boxes, pointing accuracy. Several systems are compared with the first by a paired bootstrap.

    Outputs and scores also go to RUN/scores; the file name contains the settings that you changed.
    """
    runs, reference, hypotheses, settings = runs or [], reference or [], hypotheses or [], set_ or []
    splits = [name.strip() for part in split or [] for name in part.split(",") if name.strip()]
    search = replace(search, seed=seed)
    values: dict[str, object] = {
        "RUN": runs,
        "--split": splits,
        "--data": data,
        "--source": source,
        "--reference": reference,
        "--hypotheses": hypotheses,
        "--captions": captions,
        "--by-length": by_length,
        "--gold": gold,
        "--gold-first": gold_first or None,
        "--alignments": alignments,
        "--set": settings,
        "--allow-code": allow_code,
    }
    values |= given_flags(search)
    if alignments is None and not runs and not hypotheses:
        raise UsageError("nothing to evaluate: name a RUN, or give --hypotheses FILE with --reference FILE")
    check(options.RULES, values | set_options(settings))
    request = Evaluation(
        tuple(runs),
        tuple(splits),
        data,
        source,
        tuple(reference),
        tuple(hypotheses),
        captions,
        language,
        by_length,
        gold,
        gold_first,
        search,
        tuple(settings),
        device,
        precision,
        allow_code,
    )
    if alignments is None:
        request.check()
    _check_files(
        [*reference, *hypotheses, *(path for path in (source, gold, alignments) if path is not None)]
    )
    _check_runs(runs)
    if alignments is not None and gold is not None:
        report.show_alignments(alignments, gold, gold_first, as_json)
        return
    names, of_tests = evaluations(request, console.progress)
    for number, reports in enumerate(of_tests):
        report.show(reports, as_json, first=number == 0, named=len(names) > 1)


def _check_files(files: Sequence[Path]) -> None:
    for file in files:
        mistaken.refuse_no_file(
            str(file),
            "This option takes a file of lines: write the text to one, as in echo {text} > text.txt",
        )
        if file.is_dir():
            raise UserError(f"{file}: a folder, not a file")
        if not file.exists():
            raise UserError(f"{file}: no such file")


def _check_runs(runs: Sequence[str]) -> None:
    for run in runs:
        mistaken.refuse_no_run(run)
        if Path(run).is_file():
            raise UsageError(
                f"{run}: a file, not a run; files to score follow --hypotheses, --reference or --source"
            )
