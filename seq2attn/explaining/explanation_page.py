"""Explanations as one HTML file: the explorer with answers that are recorded."""

import os
from collections.abc import Iterable
from pathlib import Path

from seq2attn import files
from seq2attn.errors import UsageError
from seq2attn.explaining.explanation import Explanation
from seq2attn.explorer.bundle import page

MOST = 200  # explanations on one page


def write_page(explanations: Iterable[Explanation], path: str | os.PathLike[str]) -> None:
    """Write a page that shows these explanations, to explore without a server and without a network.

        texts = ["They will buy two old books.", "The small dog sleeps."]
        done = [seq2attn.explain(translator, text, parts=["candidates", "beam"]) for text in texts]
        seq2attn.write_page(done, "page.html")

    The reader chooses a text. Several runs, told apart by the `run` of explanations, stand side by side.
    The file is written whole or not at all. Raises UsageError for more than MOST explanations, for none, for
    those of images, and for two of the same text and run; UserError if the file cannot be written.
    """
    answers = list(explanations)
    if not 1 <= len(answers) <= MOST:
        raise UsageError(f"there are {len(answers):,} explanations: a page has from 1 to {MOST}")
    keys = set()
    for one in answers:
        if one.source.fit is not None:
            raise UsageError("a page shows explanations of texts, and one is of an image")
        key = (one.run, one.source.text)
        if key in keys:
            text = " ".join(one.source.text.split())[:60]
            raise UsageError(f"two explanations are of run {one.run!r} and the text {text!r}: leave one out")
        keys.add(key)
    text = page("recorded_page.js", {"answers": [one.to_dict() for one in answers]})
    files.write(Path(path), text.encode("utf-8", "replace"))
