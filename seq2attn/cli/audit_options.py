"""The options of `seq2attn audit`, as typer annotations."""

from pathlib import Path
from typing import Annotated

import typer

Run = Annotated[str, typer.Argument(help="Trained run with attention.", metavar="RUN", show_default=False)]
Split = Annotated[
    str,
    typer.Option(
        help="Split that is scored. What has to be chosen is chosen on the split valid.", metavar="NAME"
    ),
]
Limit = Annotated[
    int, typer.Option(help="Number of pairs of each split, from its beginning.", min=1, metavar="N")
]
Reverse = Annotated[
    str | None,
    typer.Option(
        help="Run of the other direction. Links of both runs are compared and intersected.",
        metavar="RUN2",
        show_default=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON with every method.")]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Page to write, with every method.", metavar="FILE.html", show_default=False
    ),
]
Remember = Annotated[
    bool,
    typer.Option(
        "--remember",
        help="Write the best attention to RUN/attention.json. From then on the run shows, aligns and points "
        "by it where you name no layer and no head.",
    ),
]
