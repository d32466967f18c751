"""Options that several commands share, as typer annotations: one name, one meaning, one line of help.

    def evaluate(..., device: flags.Device = "auto", seed: flags.Seed = 1, quiet: flags.Quiet = False, ...)

Declaring `Quiet` and `Debug` is enough: `--quiet` silences `console`, and `app.main` reads `--debug`.
"""

import re
from pathlib import Path
from typing import Annotated

import typer

from seq2attn import config, ranks
from seq2attn.cli import console
from seq2attn.errors import UsageError


def _quiet(value: bool) -> bool:
    console.quiet = value or not ranks.speaks()
    return value


def _device(name: str) -> str:
    # Checks only the form, before torch is imported. `devices` checks later if the machine has the device.
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]{1,3})?", name):
        raise UsageError(f"--device {name}: choose auto, cpu, cuda or cuda:N")
    return name


def _settings(settings: list[str] | None) -> list[str] | None:
    config.refuse_training_only(settings or (), "--set")
    return settings


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
        help="Allow the run to import and call your Python code that its settings name as "
        "package.module:name: a backbone, score or normaliser. Only for code you trust.",
    ),
]
Precision = Annotated[
    str, typer.Option("--precision", help="Number format; auto is fp32.", metavar="auto|fp32|bf16|fp16")
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
Confidence = Annotated[
    bool,
    typer.Option(
        "--confidence",
        help="Write the probability that each word is right after a tab, separated by spaces, or in jsonl "
        "under the key confidence. `seq2attn calibrate` prepares the run. A terminal shows doubtful words in "
        "colour.",
    ),
]
PreparedData = Annotated[
    Path | None,
    typer.Option(help="Prepared folder with the splits.", metavar="PREPARED", show_default="that of the run"),
]
