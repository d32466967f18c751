"""A matplotlib figure as a file: our own settings, PNG, SVG or PDF by the ending, whole or not there. Knows
nothing of what is drawn.
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
    """Raises UsageError, before anything is drawn, where `path` has none of the endings that `write` knows;
    `what` says what was to be written.
    """
    ending = path.suffix.lower()
    if ending not in IMAGES:
        raise UsageError(
            f"{path}: {what} is written as {', '.join(IMAGES)}, not as {ending or 'a file without an ending'}"
        )


def write(figure: Figure, path: Path, families: Sequence[str], **how: Any) -> None:
    """Save `figure` to `path`, whole or not at all; the same figure gives the same bytes. `how` goes to
    matplotlib's savefig.
    """
    ending = path.suffix.lower()
    no_date: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(ending, {})
    content = io.BytesIO()  # so that whatever the disk refuses is said in one way
    with settings(families):
        figure.savefig(content, format=ending.removeprefix("."), metadata=no_date, **how)
    files.write(path, content.getvalue())


@contextmanager
def settings(families: Sequence[str]) -> Iterator[None]:
    """Our own settings alone, whatever a user's matplotlibrc says; letters stay letters where a program may
    search or edit them."""
    ours: dict[Any, Any] = {
        # the last for readers of an SVG who have none of the others
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
