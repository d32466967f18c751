"""Where the corpora that come with the program lie: in the installed package, or in `data/` of a checkout."""

from pathlib import Path

from seq2attn.errors import UserError

PACKAGE = Path(__file__).resolve().parents[1]
TEXT, IMAGES = ("phrases", "names"), ("scenes", "clips")
NAMES = TEXT + IMAGES


def bundled_folder(name: str) -> Path:
    """The folder of the bundled corpus `name`, one of NAMES. Raises UserError if the files are missing."""
    for folder in (PACKAGE / "samples" / "bundled" / name, PACKAGE.parent / "data" / name):
        if any(folder.glob("train.*")):
            return folder
    way_out = f"make it with `python -m seq2attn.samples.{name} OUT`"
    raise UserError(f"the bundled corpus `{name}` is missing from this installation: {way_out}")
