"""Figures of translations and captions: what `Translation.plot`, `Caption.plot` and `seq2attn.plot` draw.

matplotlib is imported with this module.
"""

from collections.abc import Sequence
from numbers import Real
from typing import Any

import numpy as np

from seq2attn.errors import UsageError
from seq2attn.inference.alignments import Pair
from seq2attn.inference.attention_file import SavedAttention
from seq2attn.inference.caption_panels import Image, pixels, rows
from seq2attn.inference.encoding import listed
from seq2attn.inference.heads import Heads, select_head
from seq2attn.inference.results import Caption, Translation
from seq2attn.plotting import figures, filmstrip, grid, heatmap, overlay, own_axes
from seq2attn.plotting.alignment import Alignment
from seq2attn.plotting.figures import Axes, Figure
from seq2attn.plotting.style import Colormap, Style

__all__ = ["Axes", "Colormap", "Figure", "Image", "plot", "plot_caption", "plot_translation"]

Output = Translation | SavedAttention
Number = int | str | None  # of a layer or a head: a number from 1, "all", or None for the mean

MOST_INCHES = 60  # of a side of a figure

_HEADS_OF_SEVERAL = (
    'head: "all" draws the heads of one translation: give one translation, or the number of a head'
)


def plot(
    outputs: Output | Caption | Sequence[Output | Caption] | Sequence[Sequence[Output | Caption]],
    *,
    titles: Sequence[str] | None = None,
    layer: Number = None,
    head: Number = None,
    words: bool | None = None,
    title: str = "",
    size: tuple[float, float] | None = None,
    colormap: str | Colormap | None = None,
    font: str | None = None,
) -> Figure:
    """The attention of several translations, or captions, in one matplotlib figure with one colour scale.

        texts = ["I see the cat", "She sleeps"]
        seq2attn.plot(translator.translate(texts)).savefig("two.png")

        first, second = (seq2attn.load(run).translate(texts) for run in ("runs/a", "runs/b"))
        seq2attn.plot([[a[0], b[0]] for a, b in zip(first, second)], titles=["a", "b"])

    `outputs` are a list of translations, a panel each, or a list of rows of them: above, a row for each text
    and a column for each run. The lines that `inference.attention_file.read_attention` gives are outputs,
    too. A figure has at most 30 panels. Captions of images, at most 12, are drawn one below the other.

    `titles` has one for each panel or caption of a list, or for each column of rows. `title` stands above
    all. A single output is drawn as by its own `plot`: see `Translation.plot` and `Caption.plot` for it and
    for the other arguments.

    Raises UsageError for wrong arguments, and UserError if there is nothing to draw.
    """
    heads = Heads.parse(layer, head)
    style = Style.of(colormap, font)
    _check_texts(title, titles, size)
    if not isinstance(outputs, Output | Caption):
        outputs = listed(outputs, "outputs: plot takes a list")  # type: ignore[assignment]
    if isinstance(outputs, Caption):
        return plot_caption(
            outputs, layer=layer, head=head, words=words, title=title, size=size, colormap=colormap, font=font
        )
    if captions := _captions(outputs):
        if title:
            raise UsageError("title: give each caption one: `titles`", setting="title")
        _refuse_for_captions(heads, size, colormap, still=True)
        _check_titles(titles, len(captions))
        names = [""] * len(captions) if titles is None else list(titles)
        parts = [
            _overlay(caption, None, heads, words, name) for caption, name in zip(captions, names, strict=True)
        ]
        return overlay.stack(parts, style=style)[0]
    lines = _lines(outputs)
    if heads.several:
        if sum(map(len, lines)) != 1:
            raise UsageError(_HEADS_OF_SEVERAL, setting="head")
        figure, _ = heatmap.picture(
            _alignments(lines[0][0], heads, words), title=title, size=size, style=style
        )
        return figure
    grid.check_count(sum(map(len, lines)))
    panels = [[_alignments(output, heads, words)[0] for output in line] for line in lines]
    if max(map(len, panels)) == 1:  # one after another
        panel_row = _named([line[0] for line in panels], titles)
        if len(panel_row) == 1:
            return heatmap.picture(panel_row, title=title, size=size, style=style)[0]
        panels = grid.arrange(panel_row)
    else:
        panels = [_named(line, titles) for line in panels]
    return grid.picture(panels, title=title, size=size, style=style)[0]


def plot_translation(
    translation: Output,
    layer: Number = None,
    head: Number = None,
    ax: Axes | None = None,
    *,
    words: bool | None = None,
    title: str = "",
    size: tuple[float, float] | None = None,
    colormap: str | Colormap | None = None,
    font: str | None = None,
) -> Figure:
    """The figure of `Translation.plot`, which documents the arguments."""
    if ax is None:
        return plot(
            translation,
            layer=layer,
            head=head,
            words=words,
            title=title,
            size=size,
            colormap=colormap,
            font=font,
        )
    _check_texts(title, None, size)
    _refuse_size(size)
    heads = Heads.parse(layer, head)
    if heads.several:
        raise UsageError('head: "all" needs a figure of its own: leave out `ax`', setting="head")
    [alignment] = _alignments(translation, heads, words)
    title = ": ".join(filter(None, (title, alignment.title)))
    own_axes.draw(ax, alignment, title=title, style=Style.of(colormap, font))
    return own_axes.figure_of(ax)


def plot_caption(
    caption: Caption,
    image: Image | None = None,
    layer: Number = None,
    head: Number = None,
    ax: Axes | None = None,
    *,
    words: bool | None = None,
    title: str = "",
    size: tuple[float, float] | None = None,
    colormap: str | Colormap | None = None,
    font: str | None = None,
) -> Figure:
    """The figure of `Caption.plot`, which documents the arguments."""
    heads = Heads.parse(layer, head)
    _check_texts(title, None, size)
    if ax is not None:
        own_axes.check(ax)
    _refuse_for_captions(heads, size, colormap, still=caption.grid is not None)
    style = Style.of(colormap, font)
    if caption.grid is None:
        caption, of_head = select_head(caption, heads, "this caption")
        labels, weights_TF, *_ = rows(caption, words)
        title = ": ".join(filter(None, (title, of_head)))
        figure, _ = filmstrip.picture(pixels(caption, image), labels, weights_TF, title=title, style=style)
    else:
        figure, _ = overlay.stack([_overlay(caption, image, heads, words, title)], style=style)
    if ax is None:
        return figure
    figures.show_in(ax, figure)
    return own_axes.figure_of(ax)


def _overlay(
    caption: Caption, image: Image | None, heads: Heads, words: bool | None, title: str
) -> overlay.Overlay:
    """The overlay of a still."""
    if caption.grid is None:
        raise UsageError("outputs: a clip is drawn by its own plot()", setting="outputs")
    caption, of_head = select_head(caption, heads, "this caption")
    labels, weights_TS, *_ = rows(caption, words)
    title = ": ".join(filter(None, (title, of_head)))
    assert caption.grid is not None
    return overlay.Overlay(pixels(caption, image)[0], labels, weights_TS, caption.grid, (), title)


def _refuse_for_captions(
    heads: Heads, size: tuple[float, float] | None, colormap: object, still: bool
) -> None:
    """Raise UsageError for arguments that are for translations."""
    if heads.several:
        raise UsageError(
            "head: the heads of a caption are drawn one at a time: give a number", setting="head"
        )
    if size is not None:
        raise UsageError(
            "size: the drawing of an image has a size of its own; draw into axes of your size: `ax`",
            setting="size",
        )
    if colormap is not None and still:
        raise UsageError(
            "colormap: attention is drawn as light on an image; colour maps are for texts and clips",
            setting="colormap",
        )


def _captions(outputs: Any) -> list[Caption]:
    """The captions of a list, or of the best of each row as `caption` gives them; empty for translations."""
    if isinstance(outputs, Output):
        return []
    best: list[Any] = [
        entry[0] if isinstance(entry, list) and len(entry) == 1 else entry for entry in outputs
    ]
    return best if all(isinstance(entry, Caption) for entry in best) else []


def _lines(outputs: Output | Sequence[Any]) -> list[list[Output]]:
    """The outputs as rows: a single one, a list of them, or a list of rows, as `translate` gives it."""
    if isinstance(outputs, Output):
        return [[outputs]]
    lines: list[list[Output]] = []
    for entry in outputs:
        line: Any = [entry] if isinstance(entry, Output) else entry
        if not isinstance(line, Sequence) or not all(isinstance(output, Output) for output in line):
            kind = Caption if isinstance(line, Caption) else type(line)
            hint = (
                "draw each with its own plot()" if kind is Caption else "give translations, or rows of them"
            )
            raise UsageError(f"outputs: a {kind.__name__} in the list: {hint}", setting="outputs")
        if line:
            lines.append(list(line))
    return lines


def _alignments(output: Output, heads: Heads, words: bool | None) -> list[Alignment]:
    if isinstance(output, SavedAttention):
        pair = Pair.of_saved(output)
    else:
        if output.attention is None:
            raise UsageError(
                "this translation has no attention: translate with attention=True, by a model that has some",
                setting="attention",
            )
        pair = Pair.of_translation(output)
    way_out = 'translate with attention="all"'
    return pair.alignments(heads, words, where="this translation", way_out=way_out)


def _named(alignments: Sequence[Alignment], titles: Sequence[str] | None) -> list[Alignment]:
    """The alignments with these titles, before that of a head."""
    if titles is None:
        return list(alignments)
    _check_titles(titles, len(alignments))
    return [
        one._replace(title=": ".join(filter(None, (name, one.title))))
        for name, one in zip(titles, alignments, strict=True)
    ]


def _check_titles(titles: Sequence[str] | None, count: int) -> None:
    if titles is not None and (isinstance(titles, str) or len(titles) != count):
        raise UsageError(f"titles: give a list of one for each of {count} panels", setting="titles")


def _check_texts(title: object, titles: object, size: object) -> None:
    """Raise UsageError for titles that are no texts, and for a size that no figure has."""
    if not isinstance(title, str):
        raise UsageError(f"title is of type {type(title).__name__}: give a text", setting="title")
    if titles is not None and not (
        isinstance(titles, Sequence) and all(isinstance(one, str | None) for one in titles)
    ):
        raise UsageError("titles: give a list of texts", setting="titles")
    sides = size if isinstance(size, tuple | list | np.ndarray) and len(size) == 2 else None
    if size is not None and (
        sides is None or not all(isinstance(side, Real) and side <= MOST_INCHES for side in sides)
    ):
        problem = f"give width and height in inches, as (8, 5), each at most {MOST_INCHES}"
        raise UsageError(f"size {size!r}: {problem}", setting="size")


def _refuse_size(size: tuple[float, float] | None) -> None:
    if size is not None:
        raise UsageError("size: the axes have a size of their own; leave it out", setting="size")
