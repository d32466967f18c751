"""The options of `seq2attn translate`, as typer annotations."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from seq2attn.cli.conflicts import Conflict, Needs
from seq2attn.cli.output import formats, result_files
from seq2attn.errors import UsageError

FORMATS = ("text", "jsonl", "moses")
RULES = (
    Needs("--attention-heads", "--attention FILE", "it chooses the weights in that file"),
    Conflict("--confidence", "--format moses", "an n-best list of Moses has no place for it"),
)

Run = Annotated[
    str,
    typer.Argument(
        help="Trained run. Runs joined by commas are an ensemble.", metavar="RUN", show_default=False
    ),
]
Files = Annotated[
    list[str] | None,
    typer.Argument(
        help="Files of text, one sentence per line.", metavar="FILE", show_default="standard input"
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="File to write.", metavar="FILE", show_default="standard output"),
]
Prefix = Annotated[
    Path | None,
    typer.Option(
        help="File with one target prefix per input line. The translation begins with it. An empty line "
        "sets no prefix.",
        metavar="FILE",
        show_default=False,
    ),
]
Format = Annotated[
    str,
    typer.Option(
        help='Output format. text: plain lines. jsonl: JSON lines, also as input: {"text": ...}, other '
        "keys allowed. moses: an n-best list.",
        metavar="text|jsonl|moses",
    ),
]
Scores = Annotated[
    bool,
    typer.Option(
        "--scores",
        help="With --format text, write the score and a tab before each translation. The score is a "
        "log probability divided by the length penalty, or with --mbr the mean chrF or BLEU.",
    ),
]
Alignments = Annotated[
    bool,
    typer.Option(
        "--alignments",
        help="Write word alignments after a tab, or in jsonl under the key alignment. A link i-j joins "
        "source word i and target word j, counted from 0.",
    ),
]
Attention = Annotated[
    Path | None,
    typer.Option(
        help="File to write attention weights to.", metavar="FILE.npz|FILE.jsonl", show_default=False
    ),
]
AttentionHeads = Annotated[
    Literal["mean", "all"] | None,
    typer.Option(
        help="Weights to write with --attention. mean: averaged over layers and heads. all: also each head.",
        metavar="mean|all",
        show_default="mean",
    ),
]


def check_files(files: list[str], output: Path | None, attention: Path | None, prefix: Path | None) -> None:
    """Raise UsageError or UserError for files that cannot be written, or not together."""
    for path, option in ((output, "-o"), (attention, "--attention")):
        result_files.check_place(path, option)
    if attention is not None and attention.suffix not in formats.ATTENTION_ENDINGS:
        raise UsageError(f"--attention {attention}: its name must end in .npz or .jsonl")
    if output is not None and attention is not None and output.resolve() == attention.resolve():
        raise UsageError(f"-o and --attention: both would be {output}")
    if prefix is not None and str(prefix) == "-" and (not files or "-" in files):
        raise UsageError("--prefix -: standard input is read already, for the text")
