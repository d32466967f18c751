"""A sentence that the page of a run begins with: one of those that it was validated on."""

from pathlib import Path

from seq2attn.data import bundled
from seq2attn.data.formats.lines import read_lines
from seq2attn.errors import UserError
from seq2attn.runs import attention_log
from seq2attn.runs.directory import open_run

_LEAST, _MOST = 4, 12  # words of an example


def example_of(run: Path) -> str | None:
    """A source of the run's own log of attention or, where it has none, of the bundled corpus it learnt from.

    No other file that a run names is read. None if there is neither.
    """
    try:
        sources = [" ".join(pair.source_words or []) for pair in attention_log.read(run).pairs]
    except UserError:
        sources = _of_corpus(run)
    return next((text for text in sources if _LEAST <= len(text.split()) <= _MOST), None)


def _of_corpus(run: Path) -> list[str]:
    try:
        about = open_run(run)
        if about.corpus not in bundled.TEXT:
            return []
        lines = read_lines(bundled.bundled_folder(about.corpus) / f"valid.{about.languages[0]}")
        return [text for text, _ in zip(lines, range(100), strict=False)]
    except (UserError, OSError):
        return []
