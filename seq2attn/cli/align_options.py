"""The options of `seq2attn align`, as typer annotations."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from seq2attn.cli.conflicts import Conflict, Needs

ONE_INPUT = "both name the pairs"
RULES = (
    Conflict("--pairs", "--source, --target", ONE_INPUT),
    Needs("--source", "--target FILE", "every pair has two sides"),
    Needs("--target", "--source FILE", "every pair has two sides"),
    Needs("--symmetrise", "--reverse RUN", "it joins the links of two directions"),
)

Run = Annotated[
    str,
    typer.Argument(
        help="Trained run. Runs joined by commas are an ensemble.", metavar="RUN", show_default=False
    ),
]
Source = Annotated[
    str | None, typer.Option(help="File of source texts, one per line.", metavar="FILE", show_default=False)
]
Target = Annotated[
    str | None,
    typer.Option(
        help="File of target texts, one for each line of --source.", metavar="FILE", show_default=False
    ),
]
Pairs = Annotated[
    str | None,
    typer.Option(
        help="File of pairs: source, a tab and target on each line. - is standard input.",
        metavar="FILE",
        show_default="standard input, without --source",
    ),
]
Reverse = Annotated[
    str | None,
    typer.Option(
        help="Run that translates the other way. The links of both directions become one.",
        metavar="RUN",
        show_default=False,
    ),
]
Symmetrise = Annotated[
    Literal["grow-diag-final-and", "grow-diag-final", "grow-diag", "intersection", "union", "mean"] | None,
    typer.Option(
        help="How the links of two directions become one: those of both (intersection), of either (union), "
        "or those of both with neighbours (grow-diag) and the rest of unlinked words (final); or links of "
        "the mean of their weights (mean).",
        metavar="METHOD",
        show_default="grow-diag-final-and",
    ),
]
Layer = Annotated[
    int | None, typer.Option(help="Layer to read, from 1.", min=1, metavar="N", show_default="mean of all")
]
Head = Annotated[
    int | None, typer.Option(help="Head to read, from 1.", min=1, metavar="N", show_default="mean of all")
]
Shift = Annotated[
    int | None,
    typer.Option(
        help="Step to read for a target word. 0: the one that writes it. 1: the next one, which reads it.",
        min=0,
        max=1,
        metavar="0|1",
        show_default="0, or the step that the run remembers",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        help="Smallest weight of a link, from 0 to 1. A target word has a link to every source word with at "
        "least this weight.",
        min=0,
        max=1,
        metavar="WEIGHT",
        show_default="one link, to the largest weight",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write.", metavar="FILE", show_default="standard output"),
]
