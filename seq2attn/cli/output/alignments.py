"""Alignments as a drawing in the terminal, an image file or a page, with notes for the user."""

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seq2attn.cli import console
from seq2attn.cli.output import result_files
from seq2attn.cli.plot_flags import Canvas
from seq2attn.plotting import PAGES, terminal_heatmap
from seq2attn.plotting.alignment import Alignment, count_line, hardly_read, mean


def draw(pairs: Sequence[Sequence[Alignment]], output: Path | None, canvas: Canvas, title: str) -> None:
    """Draw each pair as one alignment, or one for each head.

    Only a page holds several pairs. `title` is its default title.
    """
    if output is None:
        _draw_in_terminal(pairs[0], canvas.title)
        return
    if output.suffix.lower() in PAGES:
        from seq2attn.plotting import html_alignment

        html_alignment.save(pairs, output, title if canvas.title is None else canvas.title)
    else:
        from seq2attn.plotting import heatmap

        fonts = heatmap.save_alignments(
            pairs[0], output, title=canvas.title or "", size=canvas.size, dpi=canvas.dpi
        )
        result_files.warn_of_fonts(fonts.unseen())
    console.note(f"wrote {output}")


def note_facts(alignments: Sequence[Alignment], written: bool) -> None:
    """Note how many target words attend mostly to the end token.

    If a file is `written`, also note the source words that were hardly read. The terminal shows them itself.
    """
    alignment = mean(alignments)
    if alignment.subwords or alignment.self_attention:
        return
    if alignment.ends:
        weights_TS = np.asarray(alignment.attention)[:-1]
        total = len(weights_TS)
        if count := int((weights_TS[:, -1] > weights_TS[:, :-1].sum(1)).sum()):
            some = f"{count} of the {total} target words attend" if total > 1 else "the target word attends"
            console.note(f"{some} mostly to the end of the sentence")
    if written and (line := count_line(alignment)):
        console.note(line)


def _draw_in_terminal(alignments: Sequence[Alignment], title: str | None) -> None:
    colour = console.has_colour()
    width, height = shutil.get_terminal_size((100, 0))  # a pipe has no height
    first, together = alignments[0], mean(alignments)
    hardly = hardly_read(together)
    notes = [terminal_heatmap.legend(colour, width)]
    if hardly:
        count = count_line(together, name_words=False).partition(":")[0]
        notes.append("\n".join(textwrap.wrap(f"(word): {count}", width)))
    if title is not None:
        console.result(terminal_heatmap.fit(title, width))
    sides = (first.source_words, first.target_words)
    if len(alignments) > 1:
        panels = [terminal_heatmap.Panel(alignment.title, alignment.attention) for alignment in alignments]
        console.result(terminal_heatmap.render_panels(panels, *sides, width, colour, hardly))
    else:
        if first.title:
            console.result(terminal_heatmap.fit(first.title, width))
        above = bool(first.title) + (title is not None)
        below = 1 + sum(note.count("\n") + 1 for note in notes)  # lines below the drawing, with the prompt
        room = None if height < 1 else max(height - 2 - above - below, 1)
        console.result(terminal_heatmap.render(first.attention, *sides, width, colour, room, hardly))
    for note in notes:
        console.result(note)
