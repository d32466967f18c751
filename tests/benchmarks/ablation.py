"""What each part of the training recipe gives on Multi30k, alone and all together: BLEU and chrF2 on `val`.

    python tests/benchmarks/ablation.py --multi30k FOLDER --out ABLATION [--seeds 3] [--steps 4000]
    [--minutes M] [--base transformer] [--parts PART ...] [--set KEY=VALUE ...] [--processes 1] [--report]

FOLDER holds the raw text (train.en, train.de, val.en, val.de). Each model (part, seed) is a training of its
own and ends as one file, ABLATION/PART-SEED.json. What is there is not made again, and a training that was
cut goes on from its last saved state, so the same command always leads to the end. Seeds are the outer loop:
a whole table of one seed is there first. Every call ends by printing the table of what is there, with the
means over the seeds; --report does that alone. `val` chooses, so the test sets are not read.

Every model has the base preset and the same number of updates (--steps), or the same time (--minutes, on a
machine that does nothing else). `base` is the preset with a unigram vocabulary of 4,000; `together` has all
parts but the vocabularies. The scores are of a beam of 5, with the best weights by the preset's own metric.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT)]  # a checkout that is not installed

LINES = ("en", "de")


class Part(NamedTuple):
    """What a model has that the base has not."""

    settings: tuple[str, ...] = ()
    tokenizer: str = "unigram"
    vocabulary: int = 4000


SAMPLING, WORDS = "train.subword_alpha=0.3", "train.word_dropout=0.1"
WEIGHTS, AGREE = "train.attention_dropout=0.1", "train.r_drop=5"
MEAN, MUON = "train.average=5", "train.optimizer=muon"
PARTS = {
    "base": Part(),
    "vocabulary-1000": Part(vocabulary=1000),
    "vocabulary-8000": Part(vocabulary=8000),
    "bpe": Part(tokenizer="bpe"),
    "bpe-subword-dropout": Part(("train.subword_dropout=0.1",), tokenizer="bpe"),
    "subword-sampling": Part((SAMPLING,)),
    "word-dropout": Part((WORDS,)),
    "attention-dropout": Part((WEIGHTS,)),
    "average": Part((MEAN,)),
    "muon": Part((MUON,)),
    "r-drop": Part((AGREE,)),
    "together": Part((SAMPLING, WORDS, WEIGHTS, MEAN, MUON, AGREE)),
    "together-without-muon": Part((SAMPLING, WORDS, WEIGHTS, MEAN, AGREE)),
    "together-without-r-drop": Part((SAMPLING, WORDS, WEIGHTS, MEAN, MUON)),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--multi30k", type=Path, help="folder with the raw text")
    parser.add_argument("--out", type=Path, required=True, help="folder of the files, runs and prepared data")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4000, help="updates of each model")
    parser.add_argument("--minutes", type=float, help="minutes of each model, in place of --steps")
    parser.add_argument("--base", default="transformer", help="preset")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of every model")
    parser.add_argument("--processes", type=int, default=1, help="models at a time, each in one thread")
    parser.add_argument("--report", action="store_true", help="print the table of what is there")
    parser.add_argument("--make", nargs=2, metavar=("PART", "SEED"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(options, options.make[0], int(options.make[1]))
        return 0
    failures = [] if options.report else make_all(options)
    print(table(options.out, options.parts))
    for line in failures:
        print(line, file=sys.stderr)
    return 1 if failures else 0


def make_all(options: argparse.Namespace) -> list[str]:
    """Make every model that is not there; returns why some were not made."""
    if options.multi30k is None:
        raise SystemExit("--multi30k FOLDER: where the raw text is")
    models = [(part, seed) for seed in range(1, options.seeds + 1) for part in options.parts]
    left = [model for model in models if not result(options.out, *model).is_file()]
    for part in {PARTS[part]: part for part, _ in left}.values():
        prepared(options, PARTS[part])  # before processes of their own would do it at once
    failures = []

    def run(model: tuple[str, int]) -> None:
        part, seed = model
        command = [sys.executable, __file__, *sys.argv[1:], "--make", part, str(seed)]
        environment = os.environ | ({"OMP_NUM_THREADS": "1"} if options.processes > 1 else {})
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["(nothing printed)"])[-1]
            failures.append(f"{part}, seed {seed}: {last}")
            outcome = "failed"
        else:
            outcome = line_of(json.loads(result(options.out, *model).read_text()))
        print(f"{part}, seed {seed}: {outcome}", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(options.processes) as pool:
        list(pool.map(run, left))
    return failures


def result(out: Path, part: str, seed: int) -> Path:
    return out / f"{part}-{seed}.json"


def prepared(options: argparse.Namespace, part: Part) -> Path:
    """The prepared folder of a tokenizer and a vocabulary."""
    import seq2attn

    folder: Path = options.out / "prepared" / f"{part.tokenizer}-{part.vocabulary}"
    if not (folder / "prepared.json").is_file():
        source, target = LINES
        seq2attn.prepare(
            options.multi30k,
            folder,
            source=source,
            target=target,
            tokenizer=part.tokenizer,
            vocab_size=part.vocabulary,
        )
    return folder


def make(options: argparse.Namespace, name: str, seed: int) -> None:
    """Train one model, or go on with it, score it, and write its file."""
    import seq2attn

    part = PARTS[name]
    folder, run = prepared(options, part), options.out / "runs" / f"{name}-{seed}"
    settings = [*options.set, *part.settings, f"train.seed={seed}", "train.log_every=50"]
    settings += (
        [f"train.max_steps={options.steps}"]
        if options.minutes is None
        else ["train.max_steps=1000000", f"train.max_minutes={options.minutes}"]
    )
    facts: dict[str, Any] = {"part": name, "seed": seed, "settings": settings, "tokenizer": part.tokenizer}

    existing = (run / "config.json").is_file()
    preset = None if existing else options.base
    began = time.time()
    seq2attn.train(preset, folder, run, settings, resume=existing)
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    best = [line for line in log if line.get("best")][-1]
    facts |= {"step": log[-1]["step"], "seconds": log[-1]["elapsed"]}
    facts |= {"best_step": best["step"], "valid_loss": round(best["valid_loss"], 4)}
    splits = json.loads((folder / "prepared.json").read_text())["splits"]
    valid = next(split for split in splits if split.startswith("val"))
    [report] = seq2attn.evaluate(run, data=folder, split=valid)
    scores = {score.name: round(score.value, 2) for score in report.scores}
    facts |= {"scores": scores, "signatures": [score.signature for score in report.scores]}
    facts |= {"vocabulary": part.vocabulary, "wall": round(time.time() - began, 1)}
    file = result(options.out, name, seed)
    file.with_suffix(".part").write_text(json.dumps(facts, indent=1) + "\n")
    file.with_suffix(".part").replace(file)


def line_of(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in facts["scores"].items())


def table(out: Path, parts: list[str]) -> str:
    """The Markdown table of all models that are there."""
    lines = [
        "| part | seeds | BLEU | chrF2 | over base | loss | updates | minutes |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    every = {
        part: [json.loads(f.read_text()) for f in sorted(out.glob(f"{part}-[0-9]*.json"))] for part in parts
    }
    by_seed = {facts["seed"]: facts["scores"]["BLEU"] for facts in every.get("base", [])}
    for part, models in every.items():
        own = [facts for facts in models if facts["part"] == part]
        if not own:
            continue
        bleu = [facts["scores"]["BLEU"] for facts in own]
        gains = [
            b - by_seed[facts["seed"]] for b, facts in zip(bleu, own, strict=True) if facts["seed"] in by_seed
        ]
        spread = f" ± {statistics.stdev(bleu):.2f}" if len(bleu) > 1 else ""
        cells = [
            part,
            str(len(own)),
            f"{statistics.mean(bleu):.2f}{spread}",
            f"{statistics.mean(facts['scores']['chrF2'] for facts in own):.2f}",
            f"{statistics.mean(gains):+.2f}" if gains else "",
            f"{statistics.mean(facts['valid_loss'] for facts in own):.3f}",
            f"{statistics.mean(facts['step'] for facts in own):.0f}",
            f"{statistics.mean(facts['seconds'] for facts in own) / 60:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
