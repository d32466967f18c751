"""The options of `seq2attn caption`, as typer annotations."""

from pathlib import Path
from typing import Annotated

import typer

FORMATS = ("text", "jsonl")

Run = Annotated[
    str,
    typer.Argument(
        help="Trained run. Runs joined by commas are an ensemble.", metavar="RUN", show_default=False
    ),
]
Images = Annotated[
    list[str] | None,
    typer.Argument(
        help="Images, or folders of images. For a run that reads clips: folders of frames, animated "
        "images, or folders of those. - reads paths from standard input.",
        metavar="PATH",
        show_default="paths on standard input, one a line",
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write.", metavar="FILE", show_default="standard output"),
]
Format = Annotated[
    str,
    typer.Option(
        help='Output format. text: path, tab, caption. jsonl: {"image": ..., "caption": ...}.',
        metavar="text|jsonl",
    ),
]
Scores = Annotated[
    bool,
    typer.Option(
        "--scores",
        help="With --format text, write the score and a tab before each caption. The score is a log "
        "probability divided by the length penalty, or with --mbr the mean chrF or BLEU.",
    ),
]
Attention = Annotated[
    Path | None,
    typer.Option(
        help="Folder for a drawing of the attention of each caption: a PNG named after the image.",
        metavar="DIR",
        show_default=False,
    ),
]
Layer = Annotated[
    str | None,
    typer.Option(
        help="Decoder layer to draw with --attention, counted from 1. A recurrent decoder has one "
        "attention layer.",
        metavar="N",
        show_default="the mean over all",
    ),
]
Head = Annotated[
    str | None,
    typer.Option(
        help="Attention head to draw with --attention, counted from 1.",
        metavar="N",
        show_default="the mean over all",
    ),
]
