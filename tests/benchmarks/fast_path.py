"""What it is worth that all steps of a decoder run at once: training speed of a preset as it is, and of the
same model made to go step by step.

    python tests/benchmarks/fast_path.py [PRESET ...] [--data CORPUS --source en --target de] [--rounds 3]
    [--steps 40] [--precision bf16]

Without names the preset is `first-try`, without --data the corpus is the bundled one. Each row of the table
is a program of
its own; all run once in turn, then all again, and the median counts. Both rows of a preset train the same
first weights on the same batches, so the
losses printed beside them must agree. Counted are real target tokens from the eleventh update on, the whole
update with encoder, output layer
and optimizer, validation not. Have the machine to yourself. OMP_NUM_THREADS sets the threads.
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
from pathlib import Path

from in_turn import Failed, Row, last_line, note_load, output_of, run_in_turn
from training_speed import UNCOUNTED, counted_steps, measure

from seq2attn import config
from seq2attn.errors import UserError

SAID = re.compile(r"loss ([\d.]+), .* (\d+) target tokens/s")
WAYS = {"at once": False, "step by step": True}


def table(
    presets: list[str], speeds: dict[str, list[float]], losses: dict[str, str], failures: dict[str, str]
) -> list[str]:
    """Markdown: a line for each preset and way; the ratio is that of the medians."""
    lines = [
        ["preset", "decoder", "target tokens/s", "rounds", "loss", "times as fast"],
        ["---", "---", "---:", "---:", "---:", "---:"],
    ]
    for preset in presets:
        names = [f"{preset}, {way}" for way in WAYS]
        whole = not any(name in failures for name in names)
        for name, way in zip(names, WAYS, strict=True):
            if name in failures:
                lines.append([preset, way, f"failed: {failures[name]}", "", "", ""])
                continue
            ratio = (
                f"{statistics.median(speeds[name]) / statistics.median(speeds[names[1]]):.2f}"
                if whole
                else ""
            )
            rounds = " ".join(f"{speed:,.0f}" for speed in speeds[name])
            lines.append(
                [preset, way, f"{statistics.median(speeds[name]):,.0f}", rounds, losses[name], ratio]
            )
    return [f"| {' | '.join(cells)} |" for cells in lines]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("presets", nargs="*", metavar="PRESET")
    parser.add_argument("--data", default="phrases", help="a corpus, as `prepare` takes it")
    parser.add_argument("--source")
    parser.add_argument("--target")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting of every preset"
    )
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--steps", type=counted_steps, default=40, help=f"updates of a row, the first {UNCOUNTED} not counted"
    )
    # one measurement
    parser.add_argument("--inner", nargs=2, metavar=("PREPARED", "WAY"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    chosen.presets = chosen.presets or ["first-try"]
    if chosen.rounds < 1:
        parser.error("--rounds: at least 1")
    return chosen


def main() -> int:
    options = arguments()
    # Neither an end nor a validation in sight: the measurement stops by itself.
    endless = ["train.max_steps=1000000", "train.validate_every=1000000", "train.metric=loss"]
    if options.inner:
        folder, way = options.inner
        measure(
            Path(folder),
            config.load(options.presets[0], options.set + endless),
            options.precision,
            options.steps,
            WAYS[way],
        )
        return 0
    note_load()
    losses: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as work:
        try:
            settings = {preset: config.load(preset, options.set) for preset in options.presets}
            folders = {
                preset: prepare_once(options, chosen, Path(work, preset))
                for preset, chosen in settings.items()
            }
        except UserError as error:
            print(error, file=sys.stderr)
            return 1

        def run(preset: str, way: str) -> float:
            command = [
                sys.executable,
                __file__,
                preset,
                "--inner",
                str(folders[preset]),
                way,
                "--precision",
                options.precision,
                "--steps",
                str(options.steps),
            ]
            printed = output_of(command + [f"--set={setting}" for setting in options.set])
            if not (found := SAID.search(printed)):
                raise Failed(f"printed no speed: {last_line(printed)}")
            losses[f"{preset}, {way}"] = found[1]
            return float(found[2])

        rows = [
            Row(f"{preset}, {way}", lambda preset=preset, way=way: run(preset, way))
            for preset in options.presets
            for way in WAYS
        ]
        speeds, failures = run_in_turn(rows, options.rounds)
    changed = f", {' '.join(options.set)}" if options.set else ""
    threads = os.environ.get("OMP_NUM_THREADS", f"{os.cpu_count()}")
    print(
        f"{options.data}{changed}, {options.precision}, {threads} threads, "
        f"updates {UNCOUNTED + 1} to {options.steps}, median of {options.rounds} rounds\n"
    )
    print("\n".join(table(options.presets, speeds, losses, failures)))
    return 1 if failures else 0


def prepare_once(options: argparse.Namespace, chosen: config.Config, folder: Path) -> Path:
    from seq2attn.data.prepare import prepare

    sides = [
        f"data.{side}={json.dumps(value)}"
        for side, value in (("source", options.source), ("target", options.target))
        if value
    ]
    prepare(options.data, folder, config.change(chosen, sides).data)
    return folder


if __name__ == "__main__":
    sys.exit(main())
