"""The command line of a generator of sentence pairs: where to write, the seed, and the sizes of splits."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

Splits = TypeVar("Splits")


def run(
    program: str,
    sizes: Mapping[str, int],
    splits: Callable[[int, dict[str, int]], Splits],
    write: Callable[[Path, Splits], None],
) -> None:
    """Write what `splits(seed, sizes)` draws into the folder that the arguments name; `sizes` are the
    defaults.
    """
    parser = argparse.ArgumentParser(
        prog=program, description="Writes SPLIT.en, SPLIT.fr and SPLIT.align for each split."
    )
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder to write; it is created if it is missing"
    )
    parser.add_argument("--seed", type=int, default=1)
    for name, size in sizes.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=int,
            default=size,
            metavar="N",
            help=f"sentences of {name} (default {size:,})",
        )
    arguments = parser.parse_args()
    write(arguments.out, splits(arguments.seed, {name: getattr(arguments, name) for name in sizes}))
