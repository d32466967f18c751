"""Attention between words as one HTML page to explore: point at a word to see its weights on the other side.

While the reader points at no word, curves join words with high weights, and source words that were hardly
read are underlined. Several heads have a small map each above the words, and the reader chooses one. This
module knows weights and words, and no model.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seq2attn.errors import UsageError
from seq2attn.plotting import html_page
from seq2attn.plotting.alignment import Alignment, count_line, hardly_read, mean
from seq2attn.plotting.html_fragment import frame, lines_of

Pair = Alignment | Sequence[Alignment]  # the attention of one pair, or that of each of several heads

_HOW = (
    "Point at a word, or move with the arrow keys: the stronger the colour of a word on the other side, "
    "the larger its weight. A click pins a word until the next. Underlined: hardly read."
)
_SHADED = "Shaded target words are doubtful: the stronger, the less likely they are right."


def save(pairs: Sequence[Pair], path: Path, title: str = "Attention") -> None:
    """Write the page to `path`, whole or not at all. Raises UsageError if a shape does not fit its words."""
    html_page.write(render(pairs, title), path)


def fragment(alignment: Alignment) -> str:
    """A small page of one pair, in a frame that a notebook shows. Errors: see `render`."""
    lines = sum(map(lines_of, (alignment.source_words, alignment.target_words)))
    notes = bool(hardly_read(alignment)) + bool(alignment.score)
    return frame(render([alignment], small=True), 40 + 41 * lines + 18 * notes)


def render(pairs: Sequence[Pair], title: str = "Attention", *, small: bool = False) -> str:
    """The page as text; a `small` one is for a notebook.

    A pair without weights, from an empty line of a file, shows only its number. Raises
    UsageError if a shape does not fit its words.
    """
    sections: list[str] = []
    weights: list[object] = []
    for pair in pairs:
        views = _views(pair)
        if len(pairs) > 1 and not np.size(views[0].attention):
            sections.append(f'<p class="empty">{_name(views[0])}: empty</p>')
            continue
        sections.append(_section(views, len(weights)))
        matrices = [np.round(np.asarray(view.attention, dtype=np.float64), 4).tolist() for view in views]
        weights.append(matrices[0] if len(views) == 1 else matrices)
    sure = any(view.confidence for pair in pairs for view in _views(pair))
    how = f"{_HOW} {_SHADED}" if sure else _HOW
    return html_page.page(title, how, sections, weights, "alignment", small=small)


def _views(pair: Pair) -> list[Alignment]:
    """The alignment of a pair; of several heads their mean and then each of them."""
    if isinstance(pair, Alignment):
        return [pair]
    return list(pair) if len(pair) == 1 else [mean(pair)._replace(title="mean"), *pair]


def _name(alignment: Alignment) -> str:
    return "line" if alignment.line is None else f"line {alignment.line}"


def _section(views: Sequence[Alignment], number: int) -> str:
    first = views[0]
    rows, columns = len(first.target_words), len(first.source_words)
    for view in views:
        if np.shape(view.attention) != (rows, columns):
            raise UsageError(
                f"attention of shape {np.shape(view.attention)} for {rows} target and {columns} source "
                "words: "
                "it needs a row for each target word and a column for each source word"
            )
    of_pair = first._replace(title="").heading
    headings = [heading for heading in (of_pair, first.title if len(views) == 1 else "") if heading]
    of_all_heads = first if len(views) == 1 else first._replace(title="")
    notes = filter(None, (count_line(of_all_heads, name_words=False), first.score))
    return "\n".join(
        [
            f'<section data-pair="{number}" aria-label="{_name(first) if first.line else "pair"}">',
            *(f"<h2>{html_page.text(heading)}</h2>" for heading in headings),
            *_heads(views),
            '<div class="pair">',
            html_page.line("source", first.source_words, ends=first.ends, hardly=hardly_read(first)),
            html_page.line(
                "target", first.target_words, first.ends, first=False, confidence=first.confidence
            ),
            "</div>",
            *(f'<p class="note">{html_page.text(note)}</p>' for note in notes),
            '<p class="spoken" aria-live="polite"></p>',
            "</section>",
        ]
    )


def _heads(views: Sequence[Alignment]) -> list[str]:
    """A button with a small map for each view."""
    if len(views) == 1:
        return []
    buttons = [
        f'<button type="button" aria-pressed="{"false" if number else "true"}">'
        f"<canvas></canvas><span>{html_page.text(view.title)}</span></button>"
        for number, view in enumerate(views)
    ]
    return ['<div class="heads" role="group" aria-label="layers and heads">', *buttons, "</div>"]
