"""Attention between words as a small page to explore, which a notebook shows in a cell.

The reader points at a word to see its weights on the other side. Else curves join words with high weights,
and source words that were hardly read are underlined. This module knows weights and words, and no model.
"""

import numpy as np

from seq2attn.errors import UsageError
from seq2attn.plotting import html_page
from seq2attn.plotting.alignment import Alignment, count_line, hardly_read
from seq2attn.plotting.html_fragment import frame, lines_of


def fragment(alignment: Alignment) -> str:
    """The page of one pair, in a frame that a notebook shows. Errors: see `render`."""
    lines = sum(map(lines_of, (alignment.source_words, alignment.target_words)))
    notes = bool(hardly_read(alignment)) + bool(alignment.score)
    return frame(render(alignment), 40 + 41 * lines + 18 * notes)


def render(alignment: Alignment) -> str:
    """The page as text. Raises UsageError if the shape of the weights does not fit the words."""
    rows, columns = len(alignment.target_words), len(alignment.source_words)
    if np.shape(alignment.attention) != (rows, columns):
        raise UsageError(
            f"attention of shape {np.shape(alignment.attention)} for {rows} target and {columns} source "
            "words: it needs a row for each target word and a column for each source word"
        )
    weights = np.round(np.asarray(alignment.attention, dtype=np.float64), 4).tolist()
    return html_page.page("Attention", "", [_section(alignment)], weights, "alignment", small=True)


def _section(one: Alignment) -> str:
    notes = filter(None, (count_line(one, name_words=False), one.score))
    return "\n".join(
        [
            '<section aria-label="pair">',
            '<div class="pair">',
            html_page.line("source", one.source_words, ends=one.ends, hardly=hardly_read(one)),
            html_page.line("target", one.target_words, one.ends, first=False, confidence=one.confidence),
            "</div>",
            *(f'<p class="note">{html_page.text(note)}</p>' for note in notes),
            '<p class="spoken" aria-live="polite"></p>',
            "</section>",
        ]
    )
