"""What the figures of the benchmarks share: a look, and labels beside the ends of their lines. Knows nothing
of what is drawn.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Okabe and Ito: told apart by every eye
ORANGE, BLUE, GREEN, PURPLE = "#D55E00", "#0072B2", "#009E73", "#CC79A7"
INK, FAINT, GRID, SHADE = "#1f2933", "#5b6672", "#e3e7ec", "#f1f3f6"


@contextmanager
def panels(
    titles: Sequence[str], size: tuple[float, float], paths: Sequence[Path]
) -> Iterator[Sequence[Any]]:
    """Axes side by side with one scale, for a block that draws on them; then the image is in all `paths`,
    by their endings. `size` in inches.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever a user's matplotlibrc says
        matplotlib.rcParams.update({"svg.hashsalt": "seq2attn", "font.size": 10, "text.color": INK})
        matplotlib.rcParams.update(
            dict.fromkeys(("axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), INK)
        )
        figure = Figure(figsize=size, facecolor="white", layout="constrained")
        axes = figure.subplots(1, len(titles), squeeze=False, sharey=True)[0]
        for panel, title in zip(axes, titles, strict=True):
            panel.set_title(title, size=11, loc="left", color=INK)
            panel.grid(axis="y", color=GRID, lw=0.8)
            panel.set_axisbelow(True)
            for edge in ("top", "right", "left"):
                panel.spines[edge].set_visible(False)
            panel.tick_params(length=0, which="both")
        yield axes
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            # the same image is the same file
            no_date = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix)
            figure.savefig(path, dpi=160, metadata=no_date)


def label(axes: Any, x: float, ends: Sequence[tuple[float, str, str, bool]], lines: float = 17) -> None:
    """(y, text, colour, bold) beside x, moved where they would overlap: `lines` of text fill the height of
    the axes. After the limits are set.
    """
    to_share = axes.transData + axes.transAxes.inverted()  # of the height, whatever the scale
    shares = [float(to_share.transform((x, y))[1]) for y, _, _, _ in ends]
    order = sorted(range(len(ends)), key=shares.__getitem__)
    for place, number in zip(apart([shares[number] for number in order], 1 / lines), order, strict=True):
        _, text, colour, bold = ends[number]
        at = {
            "xycoords": ("data", "axes fraction"),
            "xytext": (7, 0),
            "textcoords": "offset points",
            "annotation_clip": False,
        }
        axes.annotate(
            text, (x, place), color=colour, va="center", size=9.5, weight="bold" if bold else "normal", **at
        )


def apart(places: Sequence[float], gap: float) -> list[float]:
    """Ascending shares of the height, those nearer than the gap spread about their mean; none above the top
    or below the bottom.
    """
    clusters: list[list[float]] = []
    for place in places:
        clusters.append([place])
        while len(clusters) > 1 and _low(clusters[-1], gap) - _high(clusters[-2], gap) < gap:
            last = clusters.pop()
            clusters[-1] += last
    return [_low(cluster, gap) + gap * number for cluster in clusters for number in range(len(cluster))]


def _low(cluster: Sequence[float], gap: float) -> float:
    height = gap * (len(cluster) - 1)
    return max(0.0, min(1 - height, sum(cluster) / len(cluster) - height / 2))


def _high(cluster: Sequence[float], gap: float) -> float:
    return _low(cluster, gap) + gap * (len(cluster) - 1)
