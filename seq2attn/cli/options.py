"""Options that several commands have in common, as typer annotations: one name, one meaning, one line of help.

    def evaluate(..., device: options.Device = "auto", seed: options.Seed = 1, quiet: options.Quiet = False, debug: options.Debug = False)

Quiet and Debug work by being declared: `--quiet` silences `console`, `--debug` is read by `app.main`.
"""

import re
from typing import Annotated

import typer

from seq2attn.cli import console
from seq2attn.errors import UsageError


def _quiet(value: bool) -> bool:
    console.quiet = value
    return value


def _device(name: str) -> str:
    # Said by its form alone, before torch is there; whether the machine has it is seen later.
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", name):
        raise UsageError(f"--device {name}: choose auto, cpu, cuda or cuda:N")
    return name


Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda or cuda:N.", metavar="DEVICE", callback=_device)]
Seed = Annotated[int, typer.Option(help="Seed of everything random.", min=0, max=2**31 - 1, metavar="N")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr; warnings and errors still show.", callback=_quiet)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback when something fails.")]
