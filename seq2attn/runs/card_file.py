"""The file of a run's card, RUN/README.md, and whether this program wrote it. `tasks.card` has its text."""

from pathlib import Path

NAME = "README.md"
MARK = "<!-- written by seq2attn -->"  # a card without it is the user's own
MOST_BYTES = 1 << 24


def is_own(folder: Path) -> bool:
    """Whether the folder has a card that this program wrote."""
    file = folder / NAME
    return file.is_file() and file.stat().st_size < MOST_BYTES and MARK.encode() in file.read_bytes()
