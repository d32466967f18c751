"""Writes a matplotlib figure to a PNG, SVG or PDF file with our own matplotlib settings.

The ending of the path chooses the format. The file is complete, or does not exist. This module does not know
what is drawn.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from seq2attn import files
from seq2attn.errors import UsageError
from seq2attn.plotting import IMAGES


def check_ending(path: Path, what: str) -> None:
    """Raise UsageError if the ending of `path` is none of IMAGES. It is called before anything is drawn.

    `what` names the drawing in the error.
    """
    ending = path.suffix.lower()
    if ending not in IMAGES:
        raise UsageError(
            f"{path}: {what} is written as {', '.join(IMAGES)}, not as {ending or 'a file without an ending'}"
        )


def write(figure: Figure, path: Path, families: Sequence[str], **how: Any) -> None:
    """Save `figure` to `path`, completely or not at all. The same figure gives the same bytes.

    `how` goes to matplotlib's savefig. Raises UserError if the file cannot be written.
    """
    ending = path.suffix.lower()
    no_date: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(ending, {})
    content = io.BytesIO()  # so that `files.write` reports all errors of the disk
    with settings(families):
        figure.savefig(content, format=ending.removeprefix("."), metadata=no_date, **how)
    files.write(path, content.getvalue())


@contextmanager
def settings(families: Sequence[str]) -> Iterator[None]:
    """Use only our own matplotlib settings in the body, whatever a user's matplotlibrc says.

    Text of an SVG or PDF stays text, so that a program can search and edit it.
    """
    ours: dict[Any, Any] = {
        # The last one is for readers of an SVG who have none of the others.
        "font.family": [*families, "sans-serif"],
        "font.sans-serif": list(families),
        "svg.hashsalt": "seq2attn",
        "svg.fonttype": "none",
        "pdf.fonttype": 42,
        "axes.unicode_minus": False,
        "image.composite_image": False,
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(ours)
        yield
