"""`plot-alignment --compare`: several views of one pair side by side, each with a title.

The views are the attention of the run, that of another run, layer or head, and attributions. All are of the
same output.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from seq2attn.cli import console, mistaken, plot_texts
from seq2attn.cli.output.alignments import Views
from seq2attn.cli.plot_images import Search, run_names
from seq2attn.errors import UsageError
from seq2attn.inference.alignments import Pair
from seq2attn.inference.heads import Heads, head_title
from seq2attn.plotting import MOST_PANELS
from seq2attn.plotting import words as tokens
from seq2attn.plotting.alignment import Alignment

if TYPE_CHECKING:
    from seq2attn.inference import Translation, Translator

METHODS = {"gradient": "input x gradient", "integrated": "integrated gradients", "occlusion": "occlusion"}
NO_HEADS = Heads(None, None)
_HEAD = re.compile(r"(\d{1,9})\.(\d{1,9})", re.ASCII)


class View(NamedTuple):
    """What one panel shows: the attention of a run, of all its heads or of some, or an attribution."""

    run: str | None  # None: the first run
    heads: Heads
    method: str | None = None


def parse(texts: Sequence[str], runs: Sequence[str], heads: Heads) -> list[View]:
    """The views of the panels, from the values of --compare; the first is that of `runs` and `heads`.

    Raises UsageError for what is no view.
    """
    if len(runs) > 1:
        raise UsageError(f"--compare with {len(runs)} runs: name one, and each other run as --compare RUN")
    if heads.several:
        raise UsageError(
            "--compare with all heads: choose one for each panel: --head N, --compare LAYER.HEAD"
        )
    views = [View(None, heads), *(_view(text.strip()) for text in texts)]
    if len(views) > MOST_PANELS:
        raise UsageError(f"--compare: {len(views)} panels, and {MOST_PANELS} are the most of one drawing")
    return views


def _view(text: str) -> View:
    match = _HEAD.fullmatch(text)
    if text in METHODS:
        return View(None, NO_HEADS, text)
    if text == "mean":
        return View(None, NO_HEADS)
    if match is not None:
        try:
            return View(None, Heads.parse(match[1], match[2]))
        except UsageError as error:
            raise UsageError(f"--compare {text}: {error}") from None
    if not mistaken.is_run(Path(text.split(",")[0].strip())):
        raise UsageError(
            f"--compare {text}: no run: name the folder of one, or write LAYER.HEAD as 1.2, mean, "
            f"{', '.join(METHODS)}"
        )
    mistaken.refuse_no_run(text)
    return View(text, NO_HEADS)


def side_by_side(
    run: str, views: Sequence[View], text: str, target: str | None, words: bool | None, search: Search
) -> list[list[Views]]:
    """One row with a panel for each view: the output of the first run, or the target, under each of them."""
    for number, view in enumerate(views):
        try:
            view.heads.check_run(run)
        except UsageError as error:
            if number:
                raise UsageError(f"--compare {view.heads.layer}.{view.heads.head}: {error}") from None
            raise
    first, translation = plot_texts.translate_one(run, text, target, search)
    others = [view.run for view in views if view.run is not None]
    name, *names = run_names([run, *others])
    panels: list[tuple[Pair, Alignment]] = []
    for view in views:
        output, where, label = translation, run, name
        if view.run is not None:
            where, label = view.run, names.pop(0)
            _, output = plot_texts.translate_one(view.run, text, translation.text, search)
        elif view.method is not None:
            output = _attribution(first, translation, view.method, panels[0][1].subwords)
        pair = Pair.of_translation(output)
        title = METHODS[view.method] if view.method is not None else _title(view.heads, pair)
        if view.heads.any:
            pair = pair.select(*_numbers(view.heads))
        [alignment] = pair.alignments(NO_HEADS, words, where=where, way_out="")
        panels.append((pair, alignment._replace(title=title, name=label)))
    plot_texts.note_subwords([panels[0][1]], words)
    if any(view.method is not None for view in views):
        console.note("attributions are drawn as shares: the positive parts of a row add up to 1")
    # all panels have the end token, or none
    ends = any(alignment.ends for _, alignment in panels)
    return [
        [
            [_with_ends(pair, alignment, words, ends, view.method is not None)]
            for view, (pair, alignment) in zip(views, panels, strict=True)
        ]
    ]


def _with_ends(pair: Pair, alignment: Alignment, words: bool | None, ends: bool, shares: bool) -> Alignment:
    from seq2attn.explaining.output_attribution import positive_shares

    [result] = pair.alignments(NO_HEADS, words, ends, where="", way_out="")
    result = result._replace(title=alignment.title, name=alignment.name)
    if not shares:
        return result
    return result._replace(attention=positive_shares(np.asarray(result.attention)), attribution=True)


def _numbers(heads: Heads) -> tuple[int | None, int | None]:
    return cast(tuple[int | None, int | None], heads)  # `parse` refuses "all"


def _title(heads: Heads, pair: Pair) -> str:
    """Of the attention of one head, or of the mean."""
    assert pair.counts is not None  # all heads were asked for
    if pair.counts == (1, 1):
        return "attention"
    return f"attention, {head_title(*_numbers(heads), *pair.counts) or 'mean of all heads'}"


def _attribution(
    translator: "Translator", translation: "Translation", method: str, subwords: bool
) -> "Translation":
    from seq2attn.explaining.output_attribution import with_attribution

    side = None if subwords else tokens.side(translation.source_words, translation.source_subwords)
    return with_attribution(translator, translation, method, None if side is None else side.token_of)
