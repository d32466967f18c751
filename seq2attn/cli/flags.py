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
    # Checks only the form, before torch is imported. `devices` checks later if the machine has the device.
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", name):
        raise UsageError(f"--device {name}: choose auto, cpu, cuda or cuda:N")
    return name


def _settings(settings: list[str] | None) -> list[str] | None:
    config.refuse_training_only(settings or (), "--set")
    return settings


# As in `evaluation.text` and `inference.predictor`, which take seconds to import. A test compares them.
UTILITIES = ("chrf", "bleu")
SAMPLES = 32
BATCH_TOKENS_DEFAULT = "3,072 on a CPU, 16,384 on CUDA"

Device = Annotated[
    str, typer.Option(help="Device: auto, cpu, cuda or cuda:N.", metavar="DEVICE", callback=_device)
]
Seed = Annotated[
    int,
    typer.Option(
        help="Seed of the random numbers. The same seed gives the same result.",
        min=0,
        max=2**31 - 1,
        metavar="N",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a setting of the run, as in model.attention.temperature=2. "
        "A setting that changes the shape of a parameter is refused. Repeatable.",
        metavar="KEY=VALUE",
        show_default=False,
        callback=_settings,
    ),
]
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        help="Allow the run to import and call the Python function named in model.encoder.backbone. "
        "Only for code you trust.",
    ),
]
Beam = Annotated[
    int | None,
    typer.Option(
        "--beam",
        help="Beam size: number of hypotheses that the search keeps. 1 is greedy search.",
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
        help="Divide the log probability of a hypothesis by its length in tokens to the power of X.",
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
        help="Maximum length of an output, in tokens.",
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
        help="Minimum length of an output, in tokens.",
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
        help="Divide the logits by X before sampling; below 1 prefers likely tokens. With --sample or --mbr.",
        metavar="X",
        show_default="1.0",
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        help="Sample from the N most likely tokens only. With --sample or --mbr.",
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
        help="Sample from the fewest tokens whose probabilities sum to P (nucleus). With --sample or --mbr.",
        metavar="P",
        show_default="1.0",
    ),
]
BatchTokens = Annotated[
    int | None,
    typer.Option(
        "--batch-tokens",
        help="Maximum number of source tokens in a batch, padding included. It changes speed and "
        "memory, not the output.",
        min=1,
        max=config.MOST_BATCH_TOKENS,
        metavar="N",
        show_default=BATCH_TOKENS_DEFAULT,
    ),
]
Precision = Annotated[
    str, typer.Option("--precision", help="Number format; auto is fp32.", metavar="auto|fp32|bf16|fp16")
]
NoRepeat = Annotated[
    int | None,
    typer.Option(
        "--no-repeat-ngram",
        help="Never repeat a sequence of N tokens within an output. 0 allows repetition.",
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
        help="Minimum Bayes risk: draw samples and write the sample with the highest mean sentence chrF or "
        "BLEU against all samples.",
        metavar="chrf|bleu",
        show_default=False,
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        "--samples",
        help="Number of samples for each input. With --mbr.",
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
        help="Print no progress and no notes to stderr, only warnings and errors.",
        callback=_quiet,
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Print the traceback of an error.")]
