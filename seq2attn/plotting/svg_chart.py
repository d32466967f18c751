"""A chart as SVG in a page: it takes the colours of the page, light or dark, and stays sharp at any size.

The page's style has the colours of the curves: `charts.css`. A moving mark is a line that a script moves.
"""

from collections.abc import Sequence

from seq2attn.plotting import html_page
from seq2attn.plotting.charts import Chart, Curve, short, ticks

WIDTH, HEIGHT = 340, 200
LEFT, RIGHT, TOP, BOTTOM = 38, 10, 12, 30
_MOST = 600  # points of a curve


def figure(chart: Chart, names: Sequence[str], mark: bool = False) -> str:
    """The chart with its title as an HTML figure. Curves of a reader who points at them say their name."""
    low, high, bottom, top = chart.box
    high, top = (high if high > low else low + 1), (top if top > bottom else bottom + 1)

    def across(x: float) -> float:
        return LEFT + (x - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def down(y: float) -> float:
        return HEIGHT - BOTTOM - (y - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)

    base = HEIGHT - BOTTOM
    parts = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down(y):.1f}" y2="{down(y):.1f}"/>'
        f'<text x="{LEFT - 6}" y="{down(y) + 3.5:.1f}" text-anchor="end">{short(y)}</text>'
        for y in ticks(bottom, top, 4)
    ]
    parts += [
        f'<text x="{across(x):.1f}" y="{base + 14}" text-anchor="middle">{short(x)}</text>'
        for x in ticks(low, high, 4)
    ]
    name = html_page.text(chart.across)
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 3}" text-anchor="end">{name}</text>')
    for curve in sorted(chart.curves, key=lambda curve: not curve.pale):
        points = [(across(x), down(y)) for x, y in _thin(curve)]
        parts.append(_curve(curve, points, names[curve.run]))
    if mark:
        parts.append(f'<line class="mark" x1="0" x2="0" y1="{TOP - 4}" y2="{base}"/>')
    title = html_page.text(chart.title)
    drawing = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">{"".join(parts)}</svg>'
    return f'<figure class="chart"><figcaption>{title}</figcaption>{drawing}</figure>'


def place(chart: Chart, x: float) -> float:
    """Where x is across the chart."""
    low, high, *_ = chart.box
    return LEFT + (x - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)


def legend(names: Sequence[str]) -> str:
    """The names of the runs in their colours, for a page."""
    items = "".join(
        f'<li><svg viewBox="0 0 24 8" aria-hidden="true"><path class="curve run{number % 8}"'
        f'{_dashes(Curve(number, [], []))} d="M0 4H24"/></svg><bdi>{html_page.text(name)}</bdi></li>'
        for number, name in enumerate(names)
    )
    return f'<ul class="runs">{items}</ul>'


def _curve(curve: Curve, points: Sequence[tuple[float, float]], name: str) -> str:
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    kind = f"curve run{curve.colour}{' pale' if curve.pale else ''}"
    title = f"<title>{html_page.text(name)}</title>"
    dots = ""
    if curve.dots and len(points) <= 40:
        dots = "".join(
            f'<circle class="run{curve.colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.2"/>' for x, y in points
        )
    return f'<g>{title}<path class="{kind}"{_dashes(curve)} d="{path}"/>{dots}</g>'


def _dashes(curve: Curve) -> str:
    return f' stroke-dasharray="{curve.dash}"' if curve.dash else ""


def _thin(curve: Curve) -> list[tuple[float, float]]:
    every = -(-len(curve.x) // _MOST)
    return list(zip(curve.x[::every], curve.y[::every], strict=True))
