"""`seq2attn evaluate`: scores of runs, of other systems' outputs, and of word alignments."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from seq2attn.cli import console, flags, mistaken
from seq2attn.cli.conflicts import Conflict, Needs, check, set_options
from seq2attn.cli.output import report
from seq2attn.cli.search_flags import FLAGS, flag_of, given_flags, set_rules, with_search_flags
from seq2attn.config import Precision
from seq2attn.errors import UsageError, UserError
from seq2attn.inference.options import DEFAULTS, SearchOptions
from seq2attn.tasks.evaluation import Evaluation, evaluations

_LISTS = ("--reference", "--hypotheses")  # options that take one file or several
# Options of a search without a flag here: a system has one output for each line.
_WITHOUT = ("n_best", "max_length", "min_length", "sample", "temperature", "top_k", "top_p", "seed")
_SEARCH = [name for name in FLAGS if name not in _WITHOUT]
RULES: tuple[Conflict | Needs, ...] = (
    Needs("--alignments", "--gold FILE", "the alignments to compare with"),
    Conflict(
        "--alignments",
        "RUN, --hypotheses, --source, --reference, --split, --data, --by-length, --captions",
        "it compares an aligner's output with --gold, without a run or texts",
    ),
    Needs("--hypotheses", "--reference FILE, --data PREPARED, RUN", "the references to compare with"),
    Conflict("--reference", "--split, --data", "it is a file of its own, and they name prepared data"),
    Needs("--source", "--reference FILE", "a reference translation for each line"),
    Needs("--reference, RUN", "--source FILE", "the text that the run translates"),
    Needs("--by-length, --reference", "--source FILE", "the lengths to group by"),
    Needs("--gold", "RUN, --alignments FILE", "the attention of a run or an aligner's output to score"),
    Conflict(
        "--captions", "RUN, --source", "it is for files alone: captions of runs have these scores without it"
    ),
    Needs("--captions", "--reference FILE", "the captions to compare with"),
    Needs("--gold-first", "--gold FILE", "it tells how that file counts words"),
    *(Needs(flag_of(name), "RUN", "it changes how a run searches") for name in _SEARCH),
    Needs("--set", "RUN", "it changes the settings of a run"),
    Needs("--allow-code", "RUN", "it is for runs that name code of your own"),
    Needs("--samples", "--mbr", "it is the number of samples that --mbr chooses from"),
    *set_rules(_SEARCH),
)


class Command(TyperCommand):
    """Reads `--reference A B` as `--reference A --reference B`.

    A file after such an option belongs to it, because a run is a folder.
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


@with_search_flags(without=_WITHOUT)
def evaluate(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            help="Trained runs. Several runs are compared with the first; joined by commas they are an "
            "ensemble.",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Split of the prepared data to score. Repeat the option, or use commas, for several.",
            metavar="NAME",
            show_default="test",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Prepared folder with the split.", metavar="PREPARED", show_default="that of the first run"
        ),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option(
            help="Text to translate instead of a split, one sentence per line. Needs --reference.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            help="Reference translations, one for each source line. Several files are several references.",
            metavar="FILE...",
            show_default=False,
        ),
    ] = None,
    hypotheses: Annotated[
        list[Path] | None,
        typer.Option(
            help="Outputs of other systems, one line per sentence. Each file is one system.",
            metavar="FILE...",
            show_default=False,
        ),
    ] = None,
    captions: Annotated[
        bool,
        typer.Option(
            "--captions",
            help="Treat the files as captions, one line per image. Also print BLEU-1 to BLEU-4, CIDEr-D "
            "and ROUGE-L. A blank line means: no reference for this image.",
        ),
    ] = False,
    language: Annotated[
        str | None,
        typer.Option(
            help="Target language; it chooses the tokenizer of BLEU.",
            metavar="CODE",
            show_default="from the run or the file ending",
        ),
    ] = None,
    by_length: Annotated[
        bool, typer.Option("--by-length", help="Also print BLEU and chrF by source length.")
    ] = False,
    gold: Annotated[
        Path | None,
        typer.Option(
            help="Gold word alignments to compare the attention with. i-j is a sure link, i?j a possible "
            "link.",
            metavar="FILE",
            show_default="those of the split, if any",
        ),
    ] = None,
    gold_first: Annotated[
        int, typer.Option(help="Number of the first word in --gold, 0 or 1.", min=0, max=1, metavar="N")
    ] = 0,
    alignments: Annotated[
        Path | None,
        typer.Option(
            help="Output of a word aligner (links i-j, counted from 0) to score against --gold. It needs no "
            "run.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    search: SearchOptions = DEFAULTS,
    set_: flags.Settings = None,
    seed: flags.Seed = 1,
    device: flags.Device = "auto",
    precision: Annotated[
        Precision, typer.Option(help="Number format; auto is fp32.", metavar="auto|fp32|bf16|fp16")
    ] = "auto",
    allow_code: flags.AllowCode = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON for each split and system.")
    ] = False,
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
    check(RULES, values | set_options(settings))
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
    for number, reports in enumerate(evaluations(request, console.progress)):
        report.show(reports, as_json, first=number == 0, named=len(splits) > 1)


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
