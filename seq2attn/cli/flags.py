"""Options that several commands have in common, as typer annotations: one name, one meaning, one line of
help.

    def evaluate(..., device: options.Device = "auto", seed: options.Seed = 1, quiet: options.Quiet = False,
    debug: options.Debug = False)

Quiet and Debug work by being declared: `--quiet` silences `console`, `--debug` is read by `app.main`.
"""

import re
from collections.abc import Iterable
from typing import Annotated

import typer

from seq2attn import config
from seq2attn.cli import console
from seq2attn.errors import UsageError


def _quiet(value: bool) -> bool:
    console.quiet = value
    return value


def _device(name: str) -> str:
    # Said by its form alone, before torch is there; whether the machine has it is seen later.
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", name):
        raise UsageError(f"--device {name}: choose auto, cpu, cuda or cuda:N")
    return name


def _settings(settings: list[str] | None) -> list[str] | None:
    config.refuse_training_only(settings or (), "--set")
    return settings


def refuse_twice(settings: Iterable[str], **options: object) -> None:
    """Raise UsageError where --set names the search setting of an option that was given, too."""
    for name, value in options.items():
        if value is not None and sets(settings, f"search.{name}"):
            raise UsageError(
                f"--{name.replace('_', '-')} and --set search.{name} say one thing twice: leave one out"
            )


def sets(settings: Iterable[str], *keys: str) -> bool:
    return any(setting.partition("=")[0].strip() in keys for setting in settings)


UTILITIES = ("chrf", "bleu")  # those of evaluation.text, which is too heavy to be imported for a wrong option
SAMPLES = 32  # as in inference.translator


def refuse_utility(
    settings: Iterable[str],
    mbr: str | None,
    samples: int | None,
    n_best: int,
    beam: int | None,
    length_penalty: float | None,
    sample: bool = False,
) -> None:
    """Raise UsageError for what makes no sense with --mbr, or without it."""
    if mbr is None:
        if samples is not None:
            raise UsageError(
                "--samples are what --mbr chooses from: give --mbr too"
                + ("; with --sample, --n-best N draws N" if sample else "")
            )
        return
    if mbr not in UTILITIES:
        raise UsageError(f"--mbr {mbr}: choose {' or '.join(UTILITIES)}")
    if sample:
        raise UsageError(
            "--sample gives the draws themselves, and --mbr chooses among draws of its own: leave one out"
        )
    for name, value, why in (
        ("beam", beam, "it draws samples and searches for nothing"),
        ("length_penalty", length_penalty, "it chooses by utility alone"),
    ):
        if value is not None or sets(settings, f"search.{name}"):
            raise UsageError(
                f"--{name.replace('_', '-') if value is not None else f'set search.{name}'} and --mbr: {why}; leave one out"
            )
    if n_best > (samples or SAMPLES):
        raise UsageError(
            f"--n-best {n_best}: no more can be chosen than the {samples or SAMPLES} samples that are drawn; set --samples {n_best} or more"
        )


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
