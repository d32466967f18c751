"""`python -m seq2attn.samples.names OUT`: writes the corpus.

With the default seed and sizes it is the committed one, byte for byte.
"""

import argparse
from pathlib import Path

from seq2attn.samples.names.corpus import SIZES, splits, write


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m seq2attn.samples.names",
        description="Writes SPLIT.en, SPLIT.fr and SPLIT.align for each split.",
    )
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder to write; it is created if it is missing"
    )
    parser.add_argument("--seed", type=int, default=1)
    for name, size in SIZES.items():
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=int,
            default=size,
            metavar="N",
            help=f"sentences of {name} (default {size:,})",
        )
    arguments = parser.parse_args()
    write(arguments.out, splits(arguments.seed, {name: getattr(arguments, name) for name in SIZES}))


if __name__ == "__main__":
    main()
