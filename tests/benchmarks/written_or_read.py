"""Which step shows the source of a word: the one that writes it, or the next one, which reads it?

    python tests/benchmarks/written_or_read.py --out STUDY [--seeds 5] [--processes 2] [--families rnn ...]

Small models of every family are trained on phrases, with several seeds. Of each, every layer and head is read
at both steps; layer, head and rule of the links are the best on `valid`, and the alignment error rate (AER)
is that of `test`. Each model ends as one file, STUDY/FAMILY-SEED.json; what is there is not made again. The
table is printed at the end.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]  # a checkout that is not installed

import attention_study

SIZE = 128
PAIRS = 500  # of each split
STEPS = 1000  # as many as in the study of all attentions
PARALLEL = (
    f"model.embedding={SIZE}",
    f"model.encoder.size={SIZE}",
    f"model.decoder.size={SIZE}",
    "model.dropout=0.1",
)


class Family(NamedTuple):
    preset: str
    about: str
    settings: tuple[str, ...] = ()  # none: those of attention_study
    steps: int = STEPS


FAMILIES = {
    "rnn-previous": Family("bahdanau15", "GRU, query from the state before the word"),
    "rnn-current": Family("recurrent", "LSTM, query from the state of the word"),
    "rnn-feeding": Family("luong15", "LSTM with input feeding"),
    "transformer": Family(
        "transformer",
        "Transformer, 3 layers of 4 heads",
        (
            *PARALLEL,
            "model.encoder.feedforward=344",
            "model.decoder.feedforward=344",
            "train.warmup=400",
            "train.optimizer=adamw",  # the weight decay of the preset is for it
        ),
        1500,
    ),
    "conv": Family("gehring17", "convolutions, 4 layers", PARALLEL),
}


def settings(family: Family) -> list[str]:
    """The `--set` of a family: its size, and its budget."""
    if not family.settings:
        return attention_study.settings(family.preset, family.steps)
    budget = (*attention_study.TRAIN, f"max_steps={family.steps}", f"validate_every={family.steps}")
    own = ["train.lr=2e-3"]  # these families do not bear the rate of recurrent ones
    return [*(f"train.{value}" for value in budget), *own, *family.settings, "search.beam=1"]


def train_and_measure(out: Path, name: str, seed: int) -> None:
    """Write STUDY/FAMILY-SEED.json, in processes of their own with one thread each."""
    file, run = out / f"{name}-{seed}.json", out / f"{name}-{seed}"
    if file.exists():
        return
    family = FAMILIES[name]
    changes = [*settings(family), f"train.seed={seed}"]
    command = ["-m", "seq2attn", "train", family.preset, "--data", str(out / "phrases"), "-q"]
    command += ["--out", str(run), "--resume" if run.exists() else "--force", "--device", "cpu"]
    command += [part for change in changes for part in ("--set", change)]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    for arguments in (command, [__file__, "--out", str(out), "--measure", str(run)]):
        subprocess.run([sys.executable, *arguments], env=environment, check=True)
    attention_study.shutil.rmtree(run / "training", ignore_errors=True)


def measure(run: str) -> dict[str, Any]:
    """AER of the best attention at both steps, of the mean, and BLEU of the best translations on `test`."""
    from seq2attn.data.prepared import Prepared
    from seq2attn.evaluation import alignment, text, translation
    from seq2attn.explaining import links
    from seq2attn.explaining.attention import select, word_attention
    from seq2attn.explaining.choice import MEAN, candidates
    from seq2attn.explaining.forced import ForcedModel
    from seq2attn.explaining.pairs import of_texts
    from seq2attn.inference import SearchOptions, Translator

    translator = Translator.load(run, device="cpu")
    prepared = Prepared(Path(run).parent / "phrases")
    model = ForcedModel(translator)
    sides = []
    for name in ("valid", "test"):
        split = prepared.split(name)
        pairs = of_texts(translator, *split.texts(0, PAIRS))
        assert split.gold is not None
        gold = alignment.parse_lines(split.gold[:PAIRS], where=name)
        sides.append((word_attention(model, pairs).matrices, [gold[pair.number] for pair in pairs]))
    (on_valid, gold_valid), (on_test, gold_test) = sides
    result: dict[str, Any] = {}
    layers, heads = on_valid[0].shape[1:3]
    for shift, step in enumerate(("written", "read")):
        rated = []
        for choice in candidates(layers, heads):
            if choice.shift == shift:
                rule, rate = links.best_rule([select(m, *choice) for m in on_valid], gold_valid)
                rated.append((1.0 if rate is None else rate, choice, rule))
        _, choice, rule = min(rated, key=lambda one: one[0])
        matrices = [select(m, *choice) for m in on_test]
        result[step] = links.scored(matrices, rule, gold_test).error_rate
        result[f"{step} choice"] = list(choice)
        mean = [select(m, *MEAN._replace(shift=shift)) for m in on_test]
        result[f"{step} mean"] = links.scored(mean, links.ARG_MAX, gold_test).error_rate
    sources, targets = prepared.split("test").texts(0, PAIRS)
    outputs = translation.translate(translator, sources, SearchOptions(beam=1))
    result["bleu"] = text.bleu(outputs, [targets], prepared.languages[1]).value
    return result


def table(out: Path, names: Sequence[str]) -> str:
    """Means and standard deviations over the seeds, in percent."""
    lines = [
        "| | models | written | read | mean written | mean read | read is better | BLEU |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name in names:
        files = sorted(out.glob(f"{name}-[0-9]*.json"))
        records = [json.loads(file.read_text()) for file in files]
        if not records:
            continue
        columns = [FAMILIES[name].about, str(len(records))]
        for key in ("written", "read", "written mean", "read mean"):
            columns.append(spread([100 * record[key] for record in records]))
        better = sum(record["read"] < record["written"] for record in records)
        columns += [f"{better} of {len(records)}", spread([record["bleu"] for record in records])]
        lines.append(f"| {' | '.join(columns)} |")
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.1f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.1f}{deviation}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=[*FAMILIES])
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        result = json.dumps(measure(options.measure), indent=1)
        attention_study.write(Path(f"{options.measure}.json"), result + "\n")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    if not (options.out / "phrases").exists():
        import seq2attn

        seq2attn.prepare("phrases", options.out / "phrases", vocab_size=attention_study.VOCABULARY)
    with ThreadPoolExecutor(options.processes) as pool:
        cells = [(name, seed) for seed in range(1, options.seeds + 1) for name in options.families]
        list(pool.map(lambda cell: train_and_measure(options.out, *cell), cells))
    print(table(options.out, options.families))


if __name__ == "__main__":
    main()
