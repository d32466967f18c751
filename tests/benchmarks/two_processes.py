"""Speed of one process with two threads, and of two processes with one thread each, measured in turn.

    python tests/benchmarks/two_processes.py [--before CHECKOUT] [--rounds 5] [--preset first-try]

It trains on a bundled corpus and prints target tokens per second: the median of the rounds, and the share of
the two processes. `--before` adds the two processes of another checkout of the package. Two quiet cores are
needed: each row uses both.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from in_turn import Row, number_before, output_of, run_in_turn

ROOT = Path(__file__).parents[2]
UNIT = "tokens/s"
ONE, TWO, BEFORE = "one process, two threads", "two processes, one thread each", "two processes, before"


def measure(preset: str, precision: str, steps: int, folder: Path) -> None:
    """Train for twice as many steps, and print the speed of the second half."""
    import seq2attn

    settings = {"train.log_every": steps, "train.precision": precision, "train.validate_every": 10**6}
    speeds = []
    with seq2attn.training_session(preset, out=folder / "run", settings=settings) as training:
        for event in training.events():
            if getattr(event, "logged", False):
                speeds.append(event.speed)
            if len(speeds) == 2:
                break
    if training.world.is_main:
        print(f"{speeds[1]:.1f} {UNIT}")


def speed(checkout: Path, processes: int, options: argparse.Namespace) -> float:
    threads = 2 // processes
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    with tempfile.TemporaryDirectory() as folder:
        arguments = ["--inner", options.preset, options.precision, str(options.steps), folder]
        return number_before(
            UNIT,
            output_of(
                ["env", f"PYTHONPATH={checkout}", f"OMP_NUM_THREADS={threads}", sys.executable]
                + (launcher if processes == 2 else [])
                + [__file__, *arguments]
            ),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="another checkout of the package")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100, help="updates of each half")
    parser.add_argument("--preset", default="first-try")
    parser.add_argument("--precision", default="fp32")
    options = parser.parse_args()
    rows = [Row(ONE, lambda: speed(ROOT, 1, options)), Row(TWO, lambda: speed(ROOT, 2, options))]
    if options.before is not None:
        rows.append(Row(BEFORE, lambda: speed(options.before, 2, options)))
    speeds, failures = run_in_turn(rows, options.rounds)
    for name, why in failures.items():
        print(f"{name}: {why}")
    medians = {name: statistics.median(values) for name, values in speeds.items() if values}
    for name, value in medians.items():
        share = f"  {value / medians[ONE]:.2f} of {ONE}" if name != ONE and ONE in medians else ""
        print(f"{name:32} {value:10,.0f} {UNIT}{share}")


if __name__ == "__main__":
    if "--inner" in sys.argv:
        measure(sys.argv[2], sys.argv[3], int(sys.argv[4]), Path(sys.argv[5]))
    else:
        main()
