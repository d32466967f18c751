"""The files in RUN/scores: the outputs and the scores of each evaluation of the run."""

import hashlib

from seq2attn import files
from seq2attn.errors import UserError
from seq2attn.notes import warn
from seq2attn.tasks.json_text import as_json
from seq2attn.tasks.report import Report

LONGEST = 240  # bytes of a file's name without its ending; most file systems allow 255


def write(report: Report) -> None:
    """Write scores and outputs into the run, if it is one that was scored.

    A run that is not writable (somebody else's) is scored all the same.
    """
    if report.run is None:
        return
    folder = report.run / "scores"
    try:
        folder.mkdir(exist_ok=True)
        files.sweep(folder)
        name = _short(",".join([report.split, *(f"{key}={value}" for key, value in report.changed.items())]))
        files.write(folder / f"{name}.txt", "".join(line + "\n" for line in report.outputs).encode())
        files.write(folder / f"{name}.json", (as_json(report.to_dict(), indent=1) + "\n").encode())
    except (OSError, UserError) as error:
        warn(f"{folder}: the scores are not kept: {error.strerror if isinstance(error, OSError) else error}")


def _short(name: str) -> str:
    """The name, or a part of it that a file system accepts, with a hash of the whole.

    The file also holds the settings that were changed. A name stays within its folder: separators, as in a
    path of a setting, and characters that are not printable become "_".
    """
    whole = name.encode(errors="surrogatepass")
    within = "".join(c if c.isprintable() and c not in "/\\" else "_" for c in name)
    if within == name and len(whole) <= LONGEST:
        return name
    return f"{within.encode()[: LONGEST - 9].decode(errors='ignore')}-{hashlib.sha256(whole).hexdigest()[:8]}"
