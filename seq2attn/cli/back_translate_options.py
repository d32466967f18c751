"""The options of `seq2attn back-translate`, as typer annotations."""

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[
    str,
    typer.Argument(
        help="Trained run that translates the text. The model to improve translates the other way.",
        metavar="RUN",
        show_default=False,
    ),
]
Files = Annotated[
    list[str],
    typer.Argument(
        help="Files of text, one sentence per line, also packed.", metavar="FILE", show_default=False
    ),
]
Output = Annotated[
    Path,
    typer.Option(
        "--output", "-o", help="File of pairs to write.", metavar="FILE.tsv|FILE.jsonl", show_default=False
    ),
]
Tag = Annotated[
    str,
    typer.Option(
        help='Word before each source, which tells a model that it is a back-translation. "" for none.',
        metavar="TAG",
    ),
]
Best = Annotated[
    float,
    typer.Option(
        help="Share of the pairs to write: those with the highest mean log probability of a token.",
        min=0.01,
        max=1,
        metavar="SHARE",
    ),
]
