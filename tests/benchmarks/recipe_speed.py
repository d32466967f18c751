"""What each part of the training recipe costs: target tokens a second, tokens a second of the processor, and
memory, beside plain training.

    python tests/benchmarks/recipe_speed.py DATA [--base transformer] [--rounds 3] [--steps 30]
    [--parts PART ...] [--set KEY=VALUE ...]

DATA is a prepared folder of a unigram tokenizer, or of a bpe one. Each row is a program of its own; all run
once in turn, then all again, and the median counts. Counted are the tokens of the data: R-Drop, which reads
each twice, counts them once. The first --steps updates are not counted, the next --steps are. The subwords of
an epoch are drawn once an epoch, so the seconds that this takes are a number of their own. Memory is the peak
of the process, Python and torch included (Linux alone). Have the machine to yourself: tokens a second of the
processor are less disturbed by others, but not undisturbed. OMP_NUM_THREADS sets the threads.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]  # a checkout that is not installed

from in_turn import Failed, Row, note_load, output_of, run_in_turn
from peak import resident

SAMPLING = {"bpe": "train.subword_dropout=0.1", "unigram": "train.subword_alpha=0.3"}
PARTS = {
    "plain": (),
    "subword-sampling": ("SAMPLING",),
    "word-dropout": ("train.word_dropout=0.1",),
    "attention-dropout": ("train.attention_dropout=0.1",),
    "muon": ("train.optimizer=muon",),
    "r-drop": ("train.r_drop=5",),
    "together": (
        *("SAMPLING", "train.word_dropout=0.1", "train.attention_dropout=0.1"),
        *("train.optimizer=muon", "train.r_drop=5"),
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--base", default="transformer", help="preset")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of every row")
    parser.add_argument("--inner", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inner:
        inner(options)
        return 0
    note_load()
    facts: dict[str, list[dict[str, float]]] = {part: [] for part in options.parts}

    def row(part: str) -> Row:
        def run() -> float:
            printed = output_of([sys.executable, __file__, *sys.argv[1:], "--inner", part])
            facts[part].append(json.loads(printed.strip().splitlines()[-1]))
            return facts[part][-1]["speed"]

        return Row(part, run)

    _, failures = run_in_turn([row(part) for part in options.parts], options.rounds)
    names = ("speed", "of_cpu", "memory", "epoch")
    medians = {
        part: {name: statistics.median(one[name] for one in own) for name in names}
        for part, own in facts.items()
        if own
    }
    plain = medians.get("plain")
    print(
        "| part | tokens/s | tokens/s of the processor | beside plain | memory, MB | an epoch drawn in, s |"
    )
    print("|---|---:|---:|---:|---:|---:|")
    for part, own in medians.items():
        share = "" if plain is None else f"{own['of_cpu'] / plain['of_cpu']:.2f}"
        cells = [part, f"{own['speed']:.0f}", f"{own['of_cpu']:.0f}", share, f"{own['memory'] / 1e6:.0f}"]
        print(f"| {' | '.join(cells)} | {own['epoch']:.1f} |")
    for part, reason in failures.items():
        print(f"{part}: {reason}", file=sys.stderr)
    return 1 if failures else 0


def inner(options: argparse.Namespace) -> None:
    """One row: its facts as JSON."""
    import seq2attn
    from seq2attn.data.prepared import Prepared
    from seq2attn.training.events import Update

    kind = Prepared(options.data).target_tokenizer.kind
    if "SAMPLING" in PARTS[options.inner] and kind not in SAMPLING:
        raise Failed(f"{options.data} has a {kind} tokenizer, which has no samples")
    settings = [SAMPLING[kind] if name == "SAMPLING" else name for name in PARTS[options.inner]]
    steps = options.steps
    settings += [*options.set, f"train.max_steps={10 * steps}", f"train.log_every={steps}"]
    settings += ["train.validate_every=1000000", "train.metric=loss"]
    with (
        tempfile.TemporaryDirectory() as out,
        seq2attn.training_session(
            options.base, options.data, Path(out) / "run", settings, device="cpu"
        ) as training,
    ):
        began = time.process_time()
        training.data.training.of_epoch(0, 1)
        epoch = time.process_time() - began
        for event in training.events():
            if isinstance(event, Update) and event.step == steps:
                wall, spent = time.perf_counter(), time.process_time()
            elif isinstance(event, Update) and event.step == 2 * steps:
                wall, spent = time.perf_counter() - wall, time.process_time() - spent
                break
        tokens = event.speed * wall
        training.close()
    facts = {"speed": event.speed, "of_cpu": tokens / spent, "memory": resident(), "epoch": epoch}
    print(json.dumps(facts))


if __name__ == "__main__":
    sys.exit(main())
