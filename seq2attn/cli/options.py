"""Options that several commands have in common, as typer annotations: one name, one meaning, one line of help.

    def evaluate(..., device: options.Device = "auto", seed: options.Seed = 1, quiet: options.Quiet = False, debug: options.Debug = False)

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
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", name):
        raise UsageError(f"--device {name}: choose auto, cpu, cuda or cuda:N")
    return name


def _settings(settings: list[str] | None) -> list[str] | None:
    config.refuse_spent(settings or ())
    return settings


def refuse_twice(settings: Iterable[str], **options: object) -> None:
    """Raise UsageError where --set names the search setting of an option that was given, too."""
    for name, value in options.items():
        if value is not None and sets(settings, f"search.{name}"):
            raise UsageError(f"--{name.replace('_', '-')} and --set search.{name} say one thing twice: leave one out")


def sets(settings: Iterable[str], *keys: str) -> bool:
    return any(setting.partition("=")[0].strip() in keys for setting in settings)


Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda or cuda:N.", metavar="DEVICE", callback=_device)]
Seed = Annotated[int, typer.Option(help="Seed of everything random.", min=0, max=2**31 - 1, metavar="N")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a setting of the run that holds no weights, as in model.attention.temperature=2; repeatable.",
        metavar="KEY=VALUE",
        show_default=False,
        callback=_settings,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr; warnings and errors still show.", callback=_quiet)]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback when something fails.")]
