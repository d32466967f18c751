"""How well the confidence of words tells wrong words from right ones, and how well it is calibrated.

    python tests/benchmarks/confidence.py RUN [RUN ...]
    python tests/benchmarks/confidence.py --train 600 --seeds 1 2 3 --out FOLDER

It calibrates each run on the validation set, as `seq2attn calibrate` does, and prints a Markdown table of the
test set: the share of wrong words, areas under the ROC curve, and expected calibration errors of 10 bins.
`--train` first trains `first-try` on `phrases` for so many steps, once for each seed. A run that is there
already is not trained again.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import seq2attn
from seq2attn.evaluation.confidence import calibration_error, roc_area
from seq2attn.inference.confidence import NAMES
from seq2attn.tasks.calibration_report import CalibrationReport


def train(folder: Path, steps: int, seed: int) -> Path:
    """The run of one seed, which is trained unless it is there."""
    out = folder / f"first-try-{steps}-{seed}"
    if not (out / "model.safetensors").is_file():
        settings = [f"train.max_steps={steps}", f"train.validate_every={steps}", f"train.seed={seed}"]
        seq2attn.train("first-try", data="phrases", out=out, settings=settings)
    return out


def figures(report: CalibrationReport) -> dict[str, float]:
    """What the table shows of one run, by the name of the row."""
    words = report.words
    rows = {
        "wrong words": 1 - float(words.right.mean()),
        "AUC of confidence": report.area,
        "AUC of the product of token probabilities": roc_area(words.product, words.right),
    }
    for place, name in enumerate(NAMES):
        rows[f"AUC of {name} alone"] = report.alone(place)[1]
    rows["ECE of the product of token probabilities"] = calibration_error(words.product, words.right)
    rows["ECE of confidence"] = report.error
    return rows


def table(names: Sequence[str], columns: Sequence[dict[str, float]]) -> str:
    """The figures as Markdown, a column for each run and one for their mean."""
    lines = ["| " + " | ".join(["", *names, "mean"]) + " |", "| --- |" + " ---: |" * (len(names) + 1)]
    for row in columns[0]:
        values = [of_run[row] for of_run in columns]
        cells = [f"{value:.3f}" for value in (*values, float(np.mean(values)))]
        lines.append("| " + " | ".join([row, *cells]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--train", type=int, metavar="STEPS")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--out", type=Path, default=Path("runs"), metavar="FOLDER")
    arguments = parser.parse_args()
    runs = [Path(run) for run in arguments.runs]
    if arguments.train is not None:
        runs += [train(arguments.out, arguments.train, seed) for seed in arguments.seeds]
    if not runs:
        parser.error("name a run, or train some with --train")
    columns = [figures(seq2attn.calibrate(run)) for run in runs]
    print(table([run.name for run in runs], columns), flush=True)


if __name__ == "__main__":
    main()
