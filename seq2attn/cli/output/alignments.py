"""Alignments as a drawing in the terminal, an image file or a page, with notes for the user."""

import shutil
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seq2attn.cli import console
from seq2attn.cli.output import result_files
from seq2attn.cli.plot_flags import Canvas
from seq2attn.plotting import terminal_heatmap
from seq2attn.plotting.alignment import Alignment, count_line, hardly_read, mean

if TYPE_CHECKING:
    from seq2attn.cli.plot_pages import Answers
    from seq2attn.plotting.fonts import Fonts


Views = Sequence[Alignment]  # the attention of one pair: one alignment, or one for each head


def draw(
    rows: Sequence[Sequence[Views]],
    output: Path | None,
    canvas: Canvas,
    title: str,
    notes: bool,
    page: "Answers | None" = None,
) -> None:
    """Draw rows of pairs. `title` is the default title of a `page`, which has them as answers.

    In an image or the terminal, several pairs have one alignment each. With `notes`, notes tell what is
    remarkable in each pair.
    """
    pairs = [views for row in rows for views in row]
    if notes:
        for views in pairs:
            note_facts(views, output is not None, f"{views[0].heading}: " if len(pairs) > 1 else "")
    if output is None:
        _draw_in_terminal(pairs, canvas.title)
        return
    if page is not None:
        page.write(output, title if canvas.title is None else canvas.title)
    else:
        result_files.warn_of_fonts(_save_image(rows, output, canvas).unseen())
    console.note(f"wrote {output}")


def _save_image(rows: Sequence[Sequence[Views]], output: Path, canvas: Canvas) -> "Fonts":
    from seq2attn.plotting import grid, heatmap

    how: dict[str, Any] = {"size": canvas.size, "dpi": canvas.dpi, "style": canvas.style()}
    title = canvas.title or ""
    if len(rows) == len(rows[0]) == 1:
        return heatmap.save_alignments(rows[0][0], output, title=title, **how)
    panels = [[view._replace(title=view.heading) for [view] in row] for row in rows]
    if len(rows[0]) == 1:
        panels = grid.arrange([view for [view] in panels])
    return grid.save(panels, output, title=title, **how)


def note_facts(alignments: Views, written: bool, where: str = "") -> None:
    """Note how many target words attend mostly to the end token. `where` names one of several pairs.

    If a file is `written`, also note the source words that were hardly read. The terminal shows them itself.
    """
    alignment = mean(alignments)
    if alignment.subwords or alignment.self_attention or alignment.attribution:
        return
    if alignment.ends:
        weights_TS = np.asarray(alignment.attention)[:-1]
        total = len(weights_TS)
        if count := int((weights_TS[:, -1] > weights_TS[:, :-1].sum(1)).sum()):
            attend = "attends" if count == 1 else "attend"
            some = f"{count} of the {total} target words {attend}" if total > 1 else "the target word attends"
            console.note(f"{where}{some} mostly to the end of the sentence")
    if written and (line := count_line(alignment)):
        console.note(where + line)


def _draw_in_terminal(pairs: Sequence[Views], title: str | None) -> None:
    colour = console.has_colour()
    width, height = shutil.get_terminal_size((100, 0))  # a pipe has no height
    hardly = [hardly_read(mean(views)) for views in pairs]
    notes = [terminal_heatmap.legend(colour, width)]
    if len(pairs) == 1 and hardly[0]:
        count = count_line(mean(pairs[0]), name_words=False).partition(":")[0]
        notes.append("\n".join(textwrap.wrap(f"(word): {count}", width)))
    elif any(hardly):
        notes.append("\n".join(textwrap.wrap("(word): a source word that was hardly read", width)))
    if title is not None:
        console.result(terminal_heatmap.fit(title, width))
    below = 1 + sum(note.count("\n") + 1 for note in notes)  # lines below the drawing, with the prompt
    room = None if height < 1 or len(pairs) > 1 else max(height - 2 - (title is not None) - below, 1)
    for number, (views, columns) in enumerate(zip(pairs, hardly, strict=True)):
        if number:
            console.result()
        if len(pairs) > 1:
            heading = views[0].heading if len(views) == 1 else views[0]._replace(title="").heading
            console.result(terminal_heatmap.fit(heading, width))
        elif len(views) == 1 and views[0].title:
            console.result(terminal_heatmap.fit(views[0].title, width))
            room = None if room is None else max(room - 1, 1)
        console.result(_in_terminal(views, width, colour, room, columns))
    for note in notes:
        console.result(note)


def _in_terminal(views: Views, width: int, colour: bool, room: int | None, hardly: Sequence[int]) -> str:
    first = views[0]
    sides = (first.source_words, first.target_words)
    if len(views) > 1:
        panels = [terminal_heatmap.Panel(view.title, view.attention) for view in views]
        return terminal_heatmap.render_panels(panels, *sides, width, colour, hardly)
    return terminal_heatmap.render(first.attention, *sides, width, colour, room, hardly)
