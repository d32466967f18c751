"""The options of `seq2attn calibrate`, as typer annotations."""

from typing import Annotated

import typer

Run = Annotated[str, typer.Argument(help="Trained run.", metavar="RUN", show_default=False)]
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
