"""Attention over a training as one HTML page: a slider over the validations, play and pause, and the curves
of the training with a moving mark.

The keyboard alone suffices: space plays and pauses, the arrow keys go a validation back and on. This module
knows weights and words, and no model.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seq2attn.plotting import html_page, svg_chart
from seq2attn.plotting.charts import Chart, thinned
from seq2attn.plotting.scene import MOST_MOMENTS, Scene

_HOW = (
    "Press play, or move the slider: each moment is a validation of the training. "
    "Space plays and pauses; the arrow keys go one validation back or on. The stronger a cell, the higher "
    "the weight."
)


def save(
    scenes: Sequence[Scene], steps: Sequence[int], charts: Sequence[Chart], path: Path, title: str
) -> None:
    """Write the page to `path`, whole or not at all."""
    html_page.write(render(scenes, steps, charts, title), path)


def render(scenes: Sequence[Scene], steps: Sequence[int], charts: Sequence[Chart], title: str) -> str:
    """The page as text, with at most MOST_MOMENTS validations."""
    moments = thinned(len(steps), MOST_MOMENTS)
    drawings = [svg_chart.figure(chart, [""], mark=True) for chart in charts]
    sections = [
        _controls(len(moments), charts),
        '<div class="charts">' + "\n".join(drawings) + "</div>",
        '<div class="scenes">',
        *(_section(scene, number) for number, scene in enumerate(scenes)),
        "</div>",
    ]
    data = [
        [steps[moment] for moment in moments],
        [[round(svg_chart.place(chart, steps[moment]), 1) for moment in moments] for chart in charts],
        [[_at(chart, steps[moment]) for moment in moments] for chart in charts],
        [_numbers(scene, moments) for scene in scenes],
    ]
    return html_page.page(title, _HOW, sections, data, "film", charts=True)


def _controls(count: int, charts: Sequence[Chart]) -> str:
    values = "".join(
        f'<span class="value">{html_page.text(chart.title.split(",")[0].split(" of ")[0])} <b></b></span>'
        for chart in charts
    )
    return (
        '<div class="controls"><button type="button" id="play" aria-pressed="false">Play</button>'
        f'<input type="range" id="moment" min="0" max="{count - 1}" value="0" aria-label="validation">'
        f'<output for="moment"><span class="value">step <b id="step"></b></span>{values}</output></div>'
    )


def _section(scene: Scene, number: int) -> str:
    heading = html_page.text(str(scene))
    body = _cells(scene) if scene.grid else _table(scene)
    return f'<section data-scene="{number}" aria-label="{heading}"><h2>{heading}</h2>{body}</section>'


def _table(scene: Scene) -> str:
    last = len(scene.columns) - 1 if scene.ends else -1
    head = "".join(
        f'<th scope="col"{_end(column == last)}><span><bdi>{html_page.text(word)}</bdi></span></th>'
        for column, word in enumerate(scene.columns)
    )
    last = len(scene.target_words) - 1 if scene.ends else -1
    cells = "<td></td>" * len(scene.columns)
    rows = "".join(
        f'<tr><th scope="row"{_end(row == last)}><bdi>{html_page.text(word)}</bdi></th>{cells}</tr>'
        for row, word in enumerate(scene.target_words)
    )
    return (
        f'<div class="wide"><table><thead><tr><td class="corner"></td>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _cells(scene: Scene) -> str:
    assert scene.grid is not None
    high, wide = scene.grid
    figures = "".join(
        f'<figure><canvas width="{wide}" height="{high}" style="aspect-ratio: {wide} / {high}"></canvas>'
        f"<figcaption><bdi>{html_page.text(word)}</bdi></figcaption></figure>"
        for word in scene.target_words
    )
    return f'<div class="grids">{figures}</div>'


def _end(last: bool) -> str:
    return ' class="end"' if last else ""


def _numbers(scene: Scene, moments: Sequence[int]) -> list[object]:
    """Whether the scene is an image, the weight of the strongest colour, and the weights, in 255ths."""
    numbers = np.rint(255 * np.clip(scene.weights, 0, 1)).astype(int)
    return [int(scene.grid is not None), scene.highest, [numbers[moment].tolist() for moment in moments]]


def _at(chart: Chart, step: int) -> float | None:
    """The value of the strong curve of a chart at a step."""
    for curve in chart.curves:
        if not curve.pale and step in curve.x:
            return round(curve.y[list(curve.x).index(step)], 3)
    return None
