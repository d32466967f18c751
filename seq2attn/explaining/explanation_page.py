"""Explanations as one HTML file: the explorer with answers that are recorded."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seq2attn import files
from seq2attn.errors import UsageError
from seq2attn.explaining.explanation import Explanation
from seq2attn.explorer.bundle import page

MOST = 200  # explanations on one page


def write_page(explanations: Iterable[Explanation], path: str | os.PathLike[str], title: str = "") -> None:
    """Write a page that shows these explanations, to explore without a server and without a network.

        texts = ["They will buy two old books.", "The small dog sleeps."]
        done = [seq2attn.explain(translator, text, parts=["candidates", "beam"]) for text in texts]
        seq2attn.write_page(done, "page.html")

    The reader chooses a text. Several runs, told apart by the `run` of explanations, stand side by side.
    Those of images need the part "picture". The file is written whole or not at all. Raises UsageError for
    more than MOST explanations, for none, and for two of the same text and run; UserError if the file cannot
    be written.
    """
    answers = []
    for number, one in enumerate(explanations, 1):
        answer = one.to_dict()
        if one.source.fit is not None:
            if one.source.pictures is None:
                raise UsageError('an explanation of an image needs its part "picture" to stand on a page')
            answer["label"] = f"image {number}"
        answers.append(answer)
    write_answers(answers, path, {"title": title} if title else {})


def write_answers(
    answers: Sequence[Mapping[str, Any]], path: str | os.PathLike[str], about: Mapping[str, Any] | None = None
) -> None:
    """Write a page of answers as `Explanation.to_dict` has them.

    The reader chooses one by its key "label" or, without one, by its text.

    `about` may have a `title` of the page, and a `view`: what it shows first, by the names of its address.
    Errors: see `write_page`.
    """
    if not 1 <= len(answers) <= MOST:
        raise UsageError(f"there are {len(answers):,} explanations: a page has from 1 to {MOST}")
    keys = set()
    for one in answers:
        key = (one["run"], one.get("label", one["source"]["text"]))
        if key in keys:
            text = " ".join(key[1].split())[:60]
            raise UsageError(f"two explanations are of run {key[0]!r} and the text {text!r}: leave one out")
        keys.add(key)
    text = page("recorded_page.js", {"answers": list(answers), "about": dict(about or {})})
    files.write(Path(path), text.encode("utf-8", "replace"))
