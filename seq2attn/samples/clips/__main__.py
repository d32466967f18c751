"""`python -m seq2attn.samples.clips OUT`: writes the corpus.

With the default seed and sizes it is the committed one.
"""

import argparse
from pathlib import Path

from seq2attn.samples.clips.corpus import SIZES, rows, splits
from seq2attn.samples.image_files import write_folders, write_tables


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m seq2attn.samples.clips", description="Writes SPLIT.parquet for each split."
    )
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="folder to write; it is created if it is missing"
    )
    parser.add_argument(
        "--folder", action="store_true", help="write SPLIT/ instead: GIF files and metadata.jsonl"
    )
    parser.add_argument("--seed", type=int, default=1)
    for name, size in SIZES.items():
        parser.add_argument(
            f"--{name}", type=int, default=size, metavar="N", help=f"clips of {name} (default {size:,})"
        )
    arguments = parser.parse_args()
    tables = rows(splits(arguments.seed, {name: getattr(arguments, name) for name in SIZES}))
    (write_folders if arguments.folder else write_tables)(arguments.out, tables)


if __name__ == "__main__":
    main()
