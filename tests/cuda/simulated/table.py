"""The counts of presets: an update at T = 10 and T = 30, and a step of decoding, as JSON and in Markdown.

T is the length of sources and targets, in tokens.
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from small import settings_of

from . import workload

LENGTHS = (10, 30)
PRESETS = (
    *("transformer", "vaswani17", "vaswani17-paper", "first-try", "recurrent", "multihead", "entmax15"),
    *("hard-sample", "bahdanau15", "bahdanau15-paper", "cho14", "cho14-paper", "sutskever14-paper"),
    *("luong15", "luong15-paper", "chorowski15", "tu16", "gehring17-paper", "xu15-soft", "xu15-hard"),
    *("caption-transformer", "caption-fixed", "video"),
)
GRAPHED = 6  # updates, of which the first ones record the graph
LAUNCH = 6e-6  # seconds of the host for an operation
CARDS = ("H200", "RTX 4090", "T4, fp16")


class Paper(NamedTuple):
    """What products and traffic of memory take on paper."""

    tokens: int  # target tokens of an update
    speeds: tuple[int, ...]  # target tokens a second of each of CARDS


BOUNDS = {
    "transformer": Paper(4096, (1_900_000, 580_000, 170_000)),
    "vaswani17-paper": Paper(25_000, (740_000, 220_000, 56_000)),
    "bahdanau15-paper": Paper(4096, (500_000, 175_000, 52_000)),
    "luong15-paper": Paper(4096, (190_000, 70_000, 21_000)),
}


def measure(preset: str, format: str = "bf16") -> dict[str, Any]:
    """What an update at each length and a step of decoding do."""
    row: dict[str, Any] = {}
    settings = settings_of(preset, 3)
    with tempfile.TemporaryDirectory() as folder:
        for length in LENGTHS:
            path = Path(folder, str(length), "run")
            training = workload.train(path, settings, format, source=length, target=length)
            row[f"update {length}"] = training.last._asdict()
        for name, search in workload.decode(path, format).items():
            row[name] = search.step._asdict()
        for name, search in workload.decode(path, format, graphs=True).items():
            row[f"{name} with graphs"] = search.step._asdict()
        graphed = settings_of(preset, GRAPHED, ["train.cuda_graphs=true"])
        path = Path(folder, "graphs", "run")
        graphs = workload.train(path, graphed, format, source=LENGTHS[-1], target=LENGTHS[-1])
        if "graph:replay" in graphs.counts[-1]:
            row["graphs"] = graphs.last._asdict()
    last = sorted(training.counts[-1].items())
    row["calls"] = {name: n for name, n in last if name.startswith(("cudnn", "sdpa"))}
    row["reasons"] = {name: n for name, n in last if name.startswith(("wait", "copy"))}
    return row


def measure_all(presets: Sequence[str]) -> dict[str, Any]:
    rows = {}
    for preset in presets:
        print(preset, file=sys.stderr, flush=True)
        rows[preset] = measure(preset)
    return rows


def count(arguments: Sequence[str]) -> int:
    """Print the counts of the presets as JSON."""
    print(json.dumps(measure_all(arguments or PRESETS), indent=1))
    return 0


def main(arguments: Sequence[str]) -> int:
    """Print a table: what is counted now, beside the file of `--before`."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=True))
    if not options.keys() <= {"--before", "--now"}:
        print("usage: table [--before FILE] [--now FILE]", file=sys.stderr)
        return 2
    before = json.loads(Path(options["--before"]).read_text()) if "--before" in options else {}
    now = json.loads(Path(options["--now"]).read_text()) if "--now" in options else measure_all(PRESETS)
    print("\n".join([*markdown(now, before), "", *bounds(now, before)]))
    return 0


def bounds(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """Target tokens a second that launches and cards allow."""
    column = f"update {LENGTHS[-1]}"
    lines = [
        f"| target tokens a second | launches | {' | '.join(CARDS)} |",
        f"| --- | {'---: | ' * (len(CARDS) + 1)}".rstrip(),
    ]
    for preset, paper in BOUNDS.items():
        if preset not in now:
            continue
        # in thousands, because the time of a launch is not known better
        launches = [
            f"{paper.tokens / (LAUNCH * row[preset][column]['operations']) / 1000:,.0f},000"
            for row in (before, now)
            if preset in row
        ]
        speeds = " | ".join(f"{speed:,}" for speed in paper.speeds)
        lines.append(f"| `{preset}`, {paper.tokens:,} an update | {' → '.join(launches)} | {speeds} |")
    return lines


def markdown(now: dict[str, Any], before: dict[str, Any]) -> list[str]:
    columns = [*(f"update {length}" for length in LENGTHS), "greedy", "beam"]
    head = [*(f"update, T = {length}" for length in LENGTHS), "greedy step", "beam step"]
    head += ["update with CUDA graphs", "step with CUDA graphs", "waits of an update", "waits of a step"]
    lines = [f"| preset | {' | '.join(head)} |", f"| --- | {'---: | ' * len(head)}".rstrip()]
    for preset, row in now.items():
        old = before.get(preset)
        cells = [change(row, old, column, "operations") for column in columns]
        cells.append(number(row["graphs"]["operations"]) if "graphs" in row else "not possible")
        steps = {number(row[f"{name} with graphs"]["operations"]) for name in ("greedy", "beam")}
        cells.append(" or ".join(sorted(steps)))
        cells += [change(row, old, f"update {LENGTHS[0]}", "waits"), change(row, old, "greedy", "waits")]
        lines.append(f"| `{preset}` | {' | '.join(cells)} |")
    return lines


def change(now: dict[str, Any], before: dict[str, Any] | None, column: str, name: str) -> str:
    """ "before → now", or the number alone where it is the same."""
    value = number(now[column][name])
    old = value if before is None else number(before[column][name])
    return value if old == value else f"{old} → {value}"


def number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
