"""Trainings as curves: the losses, scores and speed in the logs of several runs, by step or by time.

`plot_training` draws them from Python. matplotlib is imported with the first drawing.
"""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from seq2attn.errors import UsageError, UserError
from seq2attn.plotting.charts import MOST_RUNS, Chart, Curve
from seq2attn.runs import metrics
from seq2attn.runs.metrics import Column

if TYPE_CHECKING:
    from seq2attn.plotting.figures import Figure

BY = ("steps", "time")
NOTE = "loss: pale in training, strong in validation"
_TITLES = {
    "valid_loss": "loss, nats a token",
    "bleu": "BLEU of the validation sample",
    "cider": "CIDEr-D of the validation sample",
    "speed": "target tokens a second",
}
_UNITS = ((3600.0, "hours of training"), (60.0, "minutes of training"), (1.0, "seconds of training"))


class Curves(NamedTuple):
    """Charts of several runs, and their numbers as a table whose first line has the headings."""

    names: list[str]
    charts: list[Chart]
    table: list[list[str]]


def plot_training(
    runs: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, by: str = "steps", title: str = ""
) -> "Figure":
    """The losses, scores and speed of trainings as a matplotlib figure, with a colour for each run.

        seq2attn.plot_training(["runs/a", "runs/b"]).savefig("curves.png")

    `runs` is a run or a list of at most 12. `by` is "steps", or "time" in seconds, minutes or hours of
    training. What no log holds is left out. Raises UsageError for wrong arguments, and UserError, which names
    file and line, for a log that is missing or damaged.
    """
    from seq2attn.plotting import curves

    if not isinstance(title, str):
        raise UsageError(f"title is of type {type(title).__name__}: give a text", setting="title")
    if isinstance(runs, str | os.PathLike):
        runs = [runs]
    names, charts, _ = of_runs([os.fspath(run) for run in runs], by)
    return curves.picture(charts, names, title, NOTE if _has_two_losses(charts) else "")[0]


def of_runs(runs: Sequence[str], by: str = "steps") -> Curves:
    """The curves of runs. Errors: see `plot_training`."""
    if by not in BY:
        raise UsageError(f"by {by}: choose {' or '.join(BY)}", setting="by")
    if not 0 < len(runs) <= MOST_RUNS:
        raise UsageError(f"{len(runs)} runs: give 1 to {MOST_RUNS}")
    logs = [metrics.read(Path(run)) for run in runs]
    unit, across = 1.0, "steps"
    if by == "time":
        times = [time for log in logs for column in log.values() for time in column.seconds]
        longest = max(filter(math.isfinite, times), default=0.0)
        unit, across = next((one for one in _UNITS if longest >= 2 * one[0]), _UNITS[-1])
    charts = [_chart(logs, name, across, None if by == "steps" else unit) for name in _TITLES]
    full = [chart for chart in charts if chart.curves]
    if not full:
        raise UserError(f"{runs[0]}/metrics.jsonl: its lines have no time in them: draw them by steps")
    return Curves(run_names(runs), full, _table(runs, logs))


def of_one(run: str) -> tuple[list[Chart], Mapping[str, Column]]:
    """The loss and the scores of one run by step, and its log."""
    log = metrics.read(Path(run))
    names = [name for name in _TITLES if name != "speed"]
    charts = [_chart([log], name, "steps", None) for name in names]
    return [chart for chart in charts if chart.curves], log


def note_of(charts: Sequence[Chart]) -> str:
    """What the lines mean, for people."""
    return NOTE if _has_two_losses(charts) else ""


def run_names(runs: Sequence[str]) -> list[str]:
    """The names of their folders, or their paths if two have the same name."""
    short = [Path(run).resolve().name for run in runs]
    return short if len(set(short)) == len(short) else list(runs)


def _chart(logs: Sequence[Mapping[str, Column]], name: str, across: str, unit: float | None) -> Chart:
    curves = []
    for number, log in enumerate(logs):
        for column in ("loss", "valid_loss") if name == "valid_loss" else (name,):
            curve = _curve(number, log.get(column), unit)
            if curve is not None:
                curves.append(curve._replace(pale=column == "loss", dots=column not in ("loss", "speed")))
    return Chart(_TITLES[name], across, curves)


def _curve(run: int, column: Column | None, unit: float | None) -> Curve | None:
    if column is None:
        return None
    if unit is None:
        return Curve(run, column.steps, column.values)
    rows = [
        (time / unit, value)
        for time, value in zip(column.seconds, column.values, strict=True)
        if math.isfinite(time)
    ]
    return Curve(run, [time for time, _ in rows], [value for _, value in rows]) if rows else None


def _has_two_losses(charts: Sequence[Chart]) -> bool:
    return {curve.pale for curve in charts[0].curves} == {True, False}


def _table(runs: Sequence[str], logs: Sequence[Mapping[str, Column]]) -> list[list[str]]:
    """The last step, the best of each score and the mean speed of each run."""
    best = {"valid_loss": min, "bleu": max, "cider": max}
    names = {"valid_loss": "lowest valid loss", "bleu": "highest BLEU", "cider": "highest CIDEr-D"}
    scores = [name for name in best if any(name in log for log in logs)]
    lines = [["run", "last step", *(names[name] for name in scores), "tokens a second"]]
    for run, log in zip(run_names(runs), logs, strict=True):
        last = max(step for column in log.values() for step in column.steps)
        numbers = [f"{best[name](log[name].values):.4g}" if name in log else "–" for name in scores]
        speeds = log["speed"].values if "speed" in log else ()
        speed = f"{sum(speeds) / len(speeds):,.0f}" if speeds else "–"
        lines.append([run, f"{last:,.0f}", *numbers, speed])
    return lines
