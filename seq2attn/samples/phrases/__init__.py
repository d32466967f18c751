"""`phrases`: English-French from a synchronous grammar of our own, any number of sentences, with gold word
alignments.

Pure Python, the same for the same seed. `folder()` finds the committed corpus; `generate` makes more.
"""

from pathlib import Path

from seq2attn.errors import UserError
from seq2attn.samples.phrases.corpus import generate, splits, write
from seq2attn.samples.phrases.sentences import Sentence

__all__ = ["Sentence", "folder", "generate", "splits", "write"]


def folder() -> Path:
    """The folder of the bundled corpus: in the installed package, or data/phrases of a checkout."""
    here = Path(__file__).resolve()
    for candidate in (here.parents[1] / "bundled" / "phrases", here.parents[3] / "data" / "phrases"):
        if (candidate / "train.en").is_file():
            return candidate
    raise UserError(
        "the bundled corpus `phrases` is missing from this installation: make it with `python -m seq2attn.samples.phrases OUT`"
    )
