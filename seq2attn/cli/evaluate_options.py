"""The options of `seq2attn evaluate`, as typer annotations, and what goes together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from seq2attn.cli.conflicts import Conflict, Needs
from seq2attn.cli.search_flags import FLAGS, flag_of, set_rules
from seq2attn.config import Precision

Runs = Annotated[
    list[str] | None,
    typer.Argument(
        help="Trained runs. Several runs are compared with the first; joined by commas they are an ensemble.",
        metavar="RUN",
        show_default=False,
    ),
]
Split = Annotated[
    list[str] | None,
    typer.Option(
        help="Split of the prepared data to score. Repeat the option, or use commas, for several.",
        metavar="NAME",
        show_default="test",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        help="Prepared folder with the split.", metavar="PREPARED", show_default="that of the first run"
    ),
]
Source = Annotated[
    Path | None,
    typer.Option(
        help="Text to translate instead of a split, one sentence per line. Needs --reference.",
        metavar="FILE",
        show_default=False,
    ),
]
Reference = Annotated[
    list[Path] | None,
    typer.Option(
        help="Reference translations, one for each source line. Several files are several references.",
        metavar="FILE...",
        show_default=False,
    ),
]
Hypotheses = Annotated[
    list[Path] | None,
    typer.Option(
        help="Outputs of other systems, one line per sentence. Each file is one system.",
        metavar="FILE...",
        show_default=False,
    ),
]
Captions = Annotated[
    bool,
    typer.Option(
        "--captions",
        help="Treat the files as captions, one line per image. Also print BLEU-1 to BLEU-4, CIDEr-D "
        "and ROUGE-L. A blank line means: no reference for this image.",
    ),
]
Language = Annotated[
    str | None,
    typer.Option(
        help="Target language; it chooses the tokenizer of BLEU.",
        metavar="CODE",
        show_default="from the run or the file ending",
    ),
]
ByLength = Annotated[bool, typer.Option("--by-length", help="Also print BLEU and chrF by source length.")]
Gold = Annotated[
    Path | None,
    typer.Option(
        help="Gold word alignments to compare the attention with. i-j is a sure link, i?j a possible link.",
        metavar="FILE",
        show_default="those of the split, if any",
    ),
]
GoldFirst = Annotated[
    int, typer.Option(help="Number of the first word in --gold, 0 or 1.", min=0, max=1, metavar="N")
]
Alignments = Annotated[
    Path | None,
    typer.Option(
        help="Output of a word aligner (links i-j, counted from 0) to score against --gold. It needs no run.",
        metavar="FILE",
        show_default=False,
    ),
]
Format = Annotated[
    Precision, typer.Option(help="Number format; auto is fp32.", metavar="auto|fp32|bf16|fp16")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON for each split and system.")]

_LISTS = ("--reference", "--hypotheses")  # options that take one file or several
# Options of a search without a flag here: a system has one output for each line.
WITHOUT = ("n_best", "max_length", "min_length", "sample", "temperature", "top_k", "top_p", "seed")
_SEARCH = [name for name in FLAGS if name not in WITHOUT]
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
