"""The options of `seq2attn calibrate`, as typer annotations."""

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[str, typer.Argument(help="Trained run.", metavar="RUN", show_default=False)]
Data = Annotated[
    Path | None,
    typer.Option(help="Prepared folder with the splits.", metavar="PREPARED", show_default="that of the run"),
]
Split = Annotated[
    str,
    typer.Option(
        help="Split to measure the result on. The regression is fitted on the split valid.", metavar="NAME"
    ),
]
Limit = Annotated[
    int, typer.Option(help="Number of sources of each split, from its beginning.", min=1, metavar="N")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON with every figure.")]
