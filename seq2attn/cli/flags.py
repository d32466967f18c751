"""Options that several commands share, as typer annotations: one name, one meaning, one line of help.

    def evaluate(..., device: flags.Device = "auto", seed: flags.Seed = 1, quiet: flags.Quiet = False, ...)

Declaring `Quiet` and `Debug` is enough: `--quiet` silences `console`, and `app.main` reads `--debug`.
"""

import re
from typing import Annotated

import typer

from seq2attn import config
from seq2attn.cli import console
from seq2attn.errors import UsageError


def _quiet(value: bool) -> bool:
    console.quiet = value
    return value


def _device(name: str) -> str:
    # by its form alone, before torch is imported; later the machine says whether it has the device
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", name):
        raise UsageError(f"--device {name}: choose auto, cpu, cuda or cuda:N")
    return name


def _settings(settings: list[str] | None) -> list[str] | None:
    config.refuse_spent(settings or ())
    return settings


# As in `evaluation.text` and `inference.searcher`, which take seconds to import; a test holds them equal.
UTILITIES = ("chrf", "bleu")
SAMPLES = 32

Device = Annotated[
    str, typer.Option(help="Where to compute: auto, cpu, cuda or cuda:N.", metavar="DEVICE", callback=_device)
]
Seed = Annotated[
    int,
    typer.Option(
        help="Starts the random numbers: the same N, the same result.", min=0, max=2**31 - 1, metavar="N"
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a setting of the run (none that is in its weights), as in model.attention.temperature=2; repeatable.",
        metavar="KEY=VALUE",
        show_default=False,
        callback=_settings,
    ),
]
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        help="Run code that a model of images names, package.module:function; only for what you trust.",
    ),
]
Beam = Annotated[
    int | None,
    typer.Option(
        "--beam",
        help="Beam size: candidates kept while searching; 1 is greedy search.",
        min=1,
        max=config.MOST_BEAM,
        metavar="N",
        show_default="the run's",
    ),
]
LengthPenalty = Annotated[
    float | None,
    typer.Option(
        "--length-penalty",
        help="A candidate's log probability is divided by its length to this power.",
        min=0,
        max=config.MOST_PENALTY,
        metavar="X",
        show_default="the run's",
    ),
]
MaxLength = Annotated[
    int | None,
    typer.Option(
        "--max-length",
        help="Longest output, in tokens.",
        min=1,
        max=config.MOST_TOKENS,
        metavar="N",
        show_default="the run's",
    ),
]
MinLength = Annotated[
    int | None,
    typer.Option(
        "--min-length",
        help="Shortest output, in tokens.",
        min=0,
        max=config.MOST_TOKENS,
        metavar="N",
        show_default="the run's",
    ),
]
Sample = Annotated[
    bool, typer.Option("--sample", help="Draw outputs at random instead of searching for the best.")
]
Temperature = Annotated[
    float | None,
    typer.Option(
        "--temperature",
        help="With --sample or --mbr: below 1 likelier tokens, above 1 wilder ones.",
        metavar="X",
        show_default="1.0",
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        help="With --sample or --mbr: draw among the N likeliest tokens.",
        metavar="N",
        min=1,
        max=1_000_000,
        show_default="all",
    ),
]
TopP = Annotated[
    float | None,
    typer.Option(
        "--top-p",
        help="With --sample or --mbr: draw among the fewest tokens of this probability together.",
        metavar="P",
        show_default="1.0",
    ),
]
BatchTokens = Annotated[
    int | None,
    typer.Option(
        "--batch-tokens",
        help="Source tokens in one batch, padding counted; changes speed and memory only.",
        min=1,
        max=config.MOST_BATCH_TOKENS,
        metavar="N",
        show_default="as fits the device",
    ),
]
Precision = Annotated[
    str, typer.Option("--precision", help="Number format: auto (fp32), fp32, bf16 or fp16.", metavar="FORMAT")
]
NoRepeat = Annotated[
    int | None,
    typer.Option(
        "--no-repeat-ngram",
        help="No N tokens in a row twice in an output; 0: they may come again.",
        min=0,
        max=config.MOST_TOKENS,
        metavar="N",
        show_default="the run's",
    ),
]
Mbr = Annotated[
    str | None,
    typer.Option(
        "--mbr",
        help="Draw samples and give the one most like all of them, by sentence chrF or BLEU.",
        metavar="chrf|bleu",
        show_default=False,
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        "--samples",
        help="With --mbr: samples drawn a line.",
        min=2,
        max=config.MOST_SAMPLES,
        metavar="N",
        show_default=str(SAMPLES),
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="No progress and no notes on stderr; warnings and errors still show.",
        callback=_quiet,
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback when something fails.")]
