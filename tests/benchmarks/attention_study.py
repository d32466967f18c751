"""Every attention at one size and one budget: BLEU, alignment error, entropy of the weights, speed, memory,
and BLEU against source length.

    python tests/benchmarks/attention_study.py --out STUDY [--processes 2] [--corpora phrases multi30k]
    [--multi30k PREPARED] [--speed 100]

Each cell (corpus, preset, seed) is a training of its own and ends as one file, STUDY/CORPUS/PRESET-SEED.json,
with scores and outputs. What is
there is not made again and a training that was cut goes on from its last saved state, so the same command
always leads to the end; seeds are
the outer loop, so that a whole table of one seed is there first. Every call ends by printing the tables of
what is there, drawing
STUDY/length.svg and .png, and saying whether the fixed context falls with length more than attention does:
from the numbers. --report does that alone.

The size: embeddings of 128, an encoder of 128 (64 in each direction, or 128 one way where the paper reads one
way), a decoder of 128, attention
of 128, one layer each (two in `keyed`, whose context goes to the next layer), dropout 0.1, readouts of 128,
the output matrix tied to the target
embedding. What a preset is about stays: its cell, its query, where the context goes, input feeding, its
bridge, maxout or tanh. Windows reach 4
positions to either side, for sentences of 8 words and not of 25. The budget is the same number of updates of
the same batches; rates, schedule and
smoothing are the same and were chosen for `first-try` at this size. At equal size luong15-general is luong15,
and first-try and recurrent are keyed-bilinear.

Translations are greedy. Alignment error is against the gold links of `test` with the reference forced on the
model, as `evaluate` measures it;
entropy is that of the weights over source positions, in nats, the mean over the target tokens of the same
forced references (heads are
averaged first, and weights that do not sum to 1 divided by their sum). Peak memory is that of the training
process, Python and torch included.
Target tokens/s come from a pass of their own (--speed N: N updates each, alone, after as many uncounted; the
median of --rounds):
have the machine to yourself. All run in one thread.

MULTI30K is a prepared folder (`seq2attn prepare`); phrases comes with the program.
"""

import argparse
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]  # a checkout that is not installed

from figures import BLUE, FAINT, GREEN, ORANGE, SHADE, label, panels

from seq2attn import config
from seq2attn.config import sizes

FIXED, SOFT, HARD = "fixed context", "soft attention", "hard attention"
PRESETS = {
    **dict.fromkeys(("sutskever14", "cho14"), FIXED),
    **dict.fromkeys(("bahdanau15", "tu16", "chorowski15", "tu17"), SOFT),
    **dict.fromkeys(
        (
            "luong15",
            "luong15-dot",
            "luong15-scaled-dot",
            "luong15-concat",
            "luong15-location",
            "luong15-local-m",
            "luong15-local-p",
        ),
        SOFT,
    ),
    **dict.fromkeys(
        ("keyed", "keyed-identity", "keyed-linear", "keyed-nonlinear", "keyed-bilinear", "keyed-values"), SOFT
    ),
    **dict.fromkeys(
        ("scaled-dot", "multihead", "cosine", "sigmoid-score", "concat-linear", "concat-location"), SOFT
    ),
    **dict.fromkeys(("sparsemax", "entmax15", "sigmoid-weights"), SOFT),
    **dict.fromkeys(("hard-topk", "hard-sample", "gumbel"), HARD),
}
# at equal size
SAME = {"luong15-general": "luong15", "first-try": "keyed-bilinear", "recurrent": "keyed-bilinear"}
# by length
COMPARED = {
    FIXED: ("sutskever14", "cho14"),
    SOFT: ("bahdanau15", "luong15", "keyed-bilinear"),
    HARD: ("hard-topk", "hard-sample", "gumbel"),
}
SIZE = 128
HALF_WIDTH = 4
VOCABULARY = 2000  # of phrases
STEPS = {"phrases": 1000, "multi30k": 1000}
TRAIN = (
    "batch_tokens=2048",
    "lr=6e-3",
    "schedule=cosine",
    "warmup=100",
    "label_smoothing=0.05",
    "clip_norm=1.0",
    "optimizer=adam",
    "metric=loss",
)
# Source words of each range, and the longest that training has.
RANGES = {
    "phrases": ((1, 4), (5, 6), (7, 8), (9, 10), (11, 15), (16, 20), (21, 25), (26, 30), (31, 40)),
    "multi30k": ((1, 8), (9, 11), (12, 14), (15, 18), (19, 99)),
}
SEEN = {"phrases": 15, "multi30k": 99}
FEWEST = 20  # sentences of a range that is scored
COLOURS = {FIXED: ORANGE, SOFT: BLUE, HARD: GREEN}
MARKERS = {FIXED: "s", SOFT: "o", HARD: "^"}
TITLES = {"phrases": "phrases (English-French)", "multi30k": "Multi30k (English-German)"}


class Cell(NamedTuple):
    corpus: str
    preset: str
    seed: int


class Failed(Exception):
    """A cell was not made; the text says why in a line."""


# What is trained


def settings(preset: str, steps: int) -> list[str]:
    """The `--set` of a preset that make its size and its budget those of all the others."""
    model = config.load(preset).model
    encoder, decoder, layers = model.encoder, model.decoder, 2 if "layer" in model.decoder.context_to else 1
    size = {
        "encoder.size": SIZE // 2 if encoder.bidirectional else SIZE,
        "encoder.layers": layers,
        "decoder.size": SIZE,
        "decoder.layers": layers,
    }
    if decoder.readout == "linear" or decoder.readout_size is not None:
        size["decoder.readout_size"] = SIZE
    if decoder.context_source == "attention" and sizes.uses_attention_size(model):
        size["attention.size"] = SIZE
    if decoder.context_source == "attention" and model.attention.window != "none":
        size["attention.half_width"] = HALF_WIDTH
    changes = [
        f"model.{key}={value}"
        for key, value in ({"embedding": SIZE, "dropout": 0.1, "tied": "output"} | size).items()
    ]
    # One validation, at the end: nobody's best is chosen from more looks than another's.
    return (
        changes
        + [
            f"train.{value}"
            for value in (*TRAIN, f"max_steps={steps}", f"validate_every={steps}", "validate_sentences=50")
        ]
        + ["search.beam=1"]
    )


class Study:
    def __init__(
        self, out: Path, prepared: Mapping[str, Path], steps: Mapping[str, int], sentences: int | None
    ) -> None:
        self.out, self.prepared, self.steps, self.sentences = out, prepared, steps, sentences
        self.children: set[int] = set()
        self.stopped = False

    def file(self, cell: Cell) -> Path:
        return self.out / cell.corpus / f"{cell.preset}-{cell.seed}.json"

    def recipe(self, cell: Cell) -> list[str]:
        return [*settings(cell.preset, self.steps[cell.corpus]), f"train.seed={cell.seed}"]

    def finished(self, cell: Cell) -> dict[str, Any] | None:
        file = self.file(cell)
        found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
        if found is None or found["sentences"] != self.sentences:
            return None
        # where attention has no such size, an older recipe may name it all the same
        there, wanted = (
            [setting for setting in recipe if not setting.startswith("model.attention.size=")]
            for recipe in (found["settings"], self.recipe(cell))
        )
        return found if there == wanted else None

    def make(self, cell: Cell) -> dict[str, Any]:
        """Train, score, keep. Raises Failed."""
        run, recipe = self.file(cell).with_suffix(""), self.recipe(cell)
        command = [
            sys.executable,
            "-m",
            "seq2attn",
            "train",
            cell.preset,
            "--data",
            str(self.prepared[cell.corpus]),
            "--out",
            str(run),
            "--device",
            "cpu",
        ]
        command += ["--quiet", *(part for setting in recipe for part in ("--set", setting))]
        begin = time.monotonic()
        peak, _ = self.run([*command, "--resume" if self._same_run(run, cell) else "--force"])
        seconds = time.monotonic() - begin
        limit = [] if self.sentences is None else ["--sentences", str(self.sentences)]
        _, printed = self.run(
            [sys.executable, __file__, "--evaluate", str(run), str(self.prepared[cell.corpus]), *limit]
        )
        made = {
            **cell._asdict(),
            "settings": recipe,
            "sentences": self.sentences,
            "seconds": round(seconds, 1),
            "peak_mb": peak,
            **json.loads(printed),
        }
        write(self.file(cell), json.dumps(made, ensure_ascii=False))
        # the state to go on from, four times the size of the rest
        shutil.rmtree(run / "training", ignore_errors=True)
        return made

    def _same_run(self, run: Path, cell: Cell) -> bool:
        """Whether a run with this recipe stands there, to be gone on with."""
        try:
            there = json.loads((run / "config.json").read_text(encoding="utf-8"))["config"]
        except (OSError, ValueError, LookupError):
            return False
        wanted = config.load(cell.preset, self.recipe(cell)).model_dump(mode="json")
        return (run / "training" / "state.json").is_file() and {**there, "data": None} == {
            **wanted,
            "data": None,
        }

    def run(self, command: Sequence[str]) -> tuple[float, str]:
        """(peak memory in MB, what was printed) of a command with one thread. Raises Failed."""
        if self.stopped:
            raise Failed("stopped")
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as printed,
            tempfile.TemporaryFile("w+", encoding="utf-8") as said,
        ):
            # A session of its own: Ctrl-C reaches it once, from here.
            process = subprocess.Popen(
                command, stdout=printed, stderr=said, env=environment, cwd=ROOT, start_new_session=True
            )
            self.children.add(process.pid)
            _, status, usage = os.wait4(process.pid, 0)
            self.children.discard(process.pid)
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            if process.returncode:
                raise Failed(
                    next(
                        (line.strip() for line in reversed(said.read().splitlines()) if line.strip()),
                        f"exit {process.returncode}",
                    )
                )
            printed.seek(0)
            return round(usage.ru_maxrss / 1024, 1), printed.read()

    def stop(self) -> None:
        self.stopped = True
        for child in tuple(self.children):
            os.kill(child, signal.SIGTERM)  # training saves its state


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_text(content, encoding="utf-8")
    beside.replace(path)


def make_all(study: Study, cells: Sequence[Cell], processes: int) -> dict[Cell, str]:
    """Make what is missing, `processes` at a time; why those that failed did."""
    missing = [cell for cell in cells if study.finished(cell) is None]
    failures: dict[Cell, str] = {}
    with ThreadPoolExecutor(processes) as pool:
        waiting = {pool.submit(study.make, cell): cell for cell in missing}
        try:
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    cell = waiting.pop(future)
                    try:
                        told = said(future.result())
                    except Failed as error:
                        failures[cell] = told = str(error)
                    note(
                        f"[{len(missing) - len(waiting)}/{len(missing)}] "
                        f"{cell.corpus} {cell.preset} {cell.seed}: {told}"
                    )
        except KeyboardInterrupt:
            study.stop()
            raise
    return failures


def said(cell: Mapping[str, Any]) -> str:
    scores = ", ".join(f"{name} {value:.2f}" for name, value in cell["bleu"].items())
    more = f", AER {100 * cell['aer']:.1f}%" if cell.get("aer") is not None else ""
    return f"BLEU {scores}{more}, {cell['seconds']:.0f} s"


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


# What is measured, in a process of its own


def evaluate(run: str, folder: str, sentences: int | None) -> dict[str, Any]:
    """Scores of a run on every test split of a prepared folder, greedy; and of its weights where there are
    gold alignments, or else on the first split.
    """
    from seq2attn.data.prepared import Prepared
    from seq2attn.evaluation import alignment, text, translation
    from seq2attn.inference import SearchOptions, Translator

    translator, prepared = Translator.load(run, device="cpu"), Prepared(folder)
    found: dict[str, Any] = {
        "bleu": {},
        "outputs": {},
        "aer": None,
        "precision": None,
        "recall": None,
        "entropy": None,
    }
    found["parameters"] = sum(p.numel() for p in translator.members[0].model.parameters())
    tests = [name for name in prepared.splits if name.startswith("test")]
    for name in tests:
        split = prepared.split(name)
        sources, targets = split.texts(0, sentences)
        outputs = translation.translate(translator, sources, SearchOptions(beam=1))
        score = text.bleu(outputs, [targets], prepared.languages[1])
        found["bleu"][name], found["signature"], found["outputs"][name] = (
            score.value,
            score.signature,
            outputs,
        )
        if translator.attends and name == ("test" if "test" in tests else tests[0]):
            forced = translator.score_targets(sources, targets)
            found["entropy"] = entropy([translation.subword_attention for translation in forced])
            if split.gold is not None:
                gold = alignment.parse_lines(split.gold[:sentences], where=name)
                links = alignment.score([set(translation.alignment()) for translation in forced], gold)
                found |= {"aer": links.error_rate, "precision": links.precision, "recall": links.recall}
    return found


def entropy(weights: Sequence[Any]) -> float:
    """Mean entropy in nats over all target tokens (end tokens apart) of matrices (tokens + 1, positions);
    rows that read nothing do not count.
    """
    import numpy as np

    total, rows = 0.0, 0
    for matrix in weights:
        read = np.asarray(matrix[:-1], dtype=np.float64)
        read = read[read.sum(1) > 0]
        p = read / read.sum(1, keepdims=True)
        total -= float((p * np.log(np.where(p > 0, p, 1.0))).sum())
        rows += len(p)
    return total / max(rows, 1)


def training_speed(preset: str, folder: str, updates: int) -> float:
    """Target tokens a second over that many updates, after as many that do not count."""
    import torch

    from seq2attn import devices
    from seq2attn.data.prepared import Prepared
    from seq2attn.models.seq2seq import build
    from seq2attn.runs import directory
    from seq2attn.training import trainer
    from seq2attn.training.distributed import World

    prepared = Prepared(folder)
    # Neither an end nor a validation in sight: whoever reads the events stops.
    chosen = config.load(
        preset, [*settings(preset, 10**6), f"train.log_every={updates}", "train.metric=loss"]
    )
    torch.manual_seed(chosen.train.seed)
    sizes = {"source_size": prepared.source_tokenizer.size, "target_size": prepared.target_tokenizer.size}
    model = build(chosen.model, *sizes.values())
    world = World(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as out:
        run = directory.create(
            Path(out) / "run",
            chosen,
            **sizes,
            languages=prepared.languages,
            tokenizers={},
            corpus="",
            force=False,
        )
        format = devices.find_format(chosen.train.precision, world.device)
        with closing(
            trainer.train(
                model, run, prepared.split("train"), prepared.split("valid"), world=world, format=format
            )
        ) as events:
            return next(event.speed for event in events if event.step == 2 * updates)


def time_all(study: Study, presets: Sequence[str], corpora: Sequence[str], updates: int, rounds: int) -> None:
    """All presets once in turn, then again: STUDY/CORPUS/PRESET.speed.json holds a number for each round."""
    if os.getloadavg()[0] > 0.5:
        note(f"the machine is busy (load {os.getloadavg()[0]:.1f}): speeds will say little")
    for number in range(rounds):
        for corpus in corpora:
            for preset in presets:
                file = speed_file(study.out, corpus, preset)
                found = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
                if len(found) <= number:
                    _, printed = study.run(
                        [
                            sys.executable,
                            __file__,
                            "--time",
                            preset,
                            str(study.prepared[corpus]),
                            str(updates),
                        ]
                    )
                    write(file, json.dumps([*found, float(printed)]))
                    note(f"round {number + 1}, {corpus} {preset}: {float(printed):,.0f} target tokens/s")


def speed_file(out: Path, corpus: str, preset: str) -> Path:
    return out / corpus / f"{preset}.speed.json"


# What comes of it


def table(cells: Sequence[Mapping[str, Any]], speeds: Mapping[str, float]) -> list[str]:
    """Markdown, a row a preset: mean and standard deviation over seeds. Columns that no cell has are left
    out.
    """
    by_preset: dict[str, list[Mapping[str, Any]]] = {}
    for preset in PRESETS:
        by_preset |= (
            {preset: found} if (found := [cell for cell in cells if cell["preset"] == preset]) else {}
        )
    splits = list(cells[0]["bleu"])
    columns: list[tuple[str, Any, int]] = [
        (name, lambda cell, name=name: cell["bleu"][name], 1) for name in splits
    ]
    columns += [
        ("AER, %", lambda cell: None if cell["aer"] is None else 100 * cell["aer"], 1),
        ("entropy, nats", lambda cell: cell["entropy"], 2),
    ]
    rows = {
        preset: [spread([value(cell) for cell in found], digits) for _, value, digits in columns]
        for preset, found in by_preset.items()
    }
    for preset, found in by_preset.items():
        peak, weights = max(cell["peak_mb"] for cell in found), found[0]["parameters"]
        rows[preset] += [
            f"{speeds[preset]:,.0f}" if preset in speeds else "",
            f"{peak:,.0f}",
            f"{weights / 1e3:,.0f}k",
        ]
    header = ["", *(name for name, _, _ in columns), "target tokens/s", "peak MB", "weights"]
    kept = [
        number
        for number in range(len(header))
        if number == 0 or any(row[number - 1] for row in rows.values())
    ]
    lines = [
        header,
        ["---", *("---:" for _ in header[1:])],
        *([f"`{preset}`", *row] for preset, row in rows.items()),
    ]
    return [f"| {' | '.join(line[number] for number in kept)} |" for line in lines]


def spread(values: Sequence[float | None], digits: int) -> str:
    """`mean ± standard deviation` of those there are."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    mean = f"{statistics.mean(known):.{digits}f}"
    return f"{mean} ± {statistics.stdev(known):.{digits}f}" if len(known) > 1 else mean


class Range(NamedTuple):
    """BLEU of the sentences of all tests whose sources have `low` to `high` words, `words` on average."""

    low: int
    high: int
    words: float
    sentences: int
    bleu: float


def by_length(
    corpus: str,
    sources: Sequence[str],
    references: Sequence[str],
    outputs: Sequence[str],
    language: str | None,
) -> list[Range]:
    """Ranges with too few sentences to score are left out."""
    from seq2attn.evaluation import text

    lengths, found = [len(source.split()) for source in sources], []
    for low, high in RANGES[corpus]:
        rows = [row for row, length in enumerate(lengths) if low <= length <= high]
        if len(rows) >= FEWEST:
            score = text.bleu(
                [outputs[row] for row in rows], [[references[row] for row in rows]], language
            ).value
            real = [lengths[row] for row in rows]
            found.append(Range(min(real), max(real), statistics.mean(real), len(rows), score))
    return found


def lengths_of(
    corpus: str, cells: Sequence[Mapping[str, Any]], folder: Path, sentences: int | None
) -> dict[str, dict[int, list[Range]]]:
    """preset -> seed -> ranges, of the presets that are compared. The tests of a corpus are pooled,
    test_compositional apart: its pairs are new, not longer.
    """
    from seq2attn.data.prepared import Prepared

    prepared, found = Prepared(folder), {}
    splits = [name for name in cells[0]["bleu"] if name != "test_compositional"]
    texts = [prepared.split(name).texts(0, sentences) for name in splits]
    sources, references = ([line for text in texts for line in text[side]] for side in (0, 1))
    for cell in cells:
        if any(cell["preset"] in presets for presets in COMPARED.values()):
            outputs = [line for name in splits for line in cell["outputs"][name]]
            found.setdefault(cell["preset"], {})[cell["seed"]] = by_length(
                corpus, sources, references, outputs, prepared.languages[1]
            )
    return found


def courses(found: Mapping[str, Mapping[int, Sequence[Range]]]) -> dict[str, dict[int, list[float]]]:
    """kind -> seed -> BLEU of each range, the mean over the kind's presets; only seeds that every preset of
    the kind has.
    """
    result: dict[str, dict[int, list[float]]] = {}
    for kind, presets in COMPARED.items():
        there = [found[preset] for preset in presets if preset in found]
        seeds = set.intersection(*(set(seeds) for seeds in there)) if there else set()
        means = {
            seed: [
                statistics.mean(values)
                for values in zip(*([r.bleu for r in seeds[seed]] for seeds in there), strict=True)
            ]
            for seed in sorted(seeds)
        }
        result |= {kind: means} if means else {}
    return result


def verdict(
    corpus: str, ranges: Sequence[Range], by_kind: Mapping[str, Mapping[int, Sequence[float]]]
) -> list[str]:
    """Whether the fixed context falls with length more than attention does, first within the lengths of
    training and then beyond: as the numbers say.
    """
    seen = [number for number, r in enumerate(ranges) if r.high <= SEEN[corpus]]
    ends = [("lengths that training has", seen[-1])] if len(seen) > 1 else []
    ends += [("longer than any in training", len(ranges) - 1)] if ranges and len(seen) < len(ranges) else []
    lines = []
    for what, end in ends:
        lines += ["", f"{corpus}, from {words(ranges[0])} to {words(ranges[end])} words ({what}):", ""]
        lost = {
            kind: {seed: (b[0] - b[end]) / b[0] if b[0] else math.nan for seed, b in seeds.items()}
            for kind, seeds in by_kind.items()
        }
        for kind, seeds in by_kind.items():
            first, last = (statistics.mean(b[number] for b in seeds.values()) for number in (0, end))
            share = statistics.mean(lost[kind].values())
            lines.append(
                f"- {kind}: BLEU {first:.1f} -> {last:.1f}, "
                + (f"{100 * share:.0f}% of it lost" if share > 0 else "nothing lost")
            )
        for kind in (SOFT, HARD):
            if FIXED in lost and kind in lost:
                seeds = sorted(lost[FIXED].keys() & lost[kind].keys())
                more = sum(lost[FIXED][seed] > lost[kind][seed] for seed in seeds)
                order = "comes out" if more == len(seeds) else "does NOT come out"
                lines.append(
                    f"- The expected order {order}: {FIXED} loses a larger share than {kind} "
                    f"in {more} of {len(seeds)} seeds."
                )
                if kind == SOFT:
                    falls = statistics.mean(lost[kind].values()) > 0.05
                    lines.append(
                        f"- That {kind} itself does not fall "
                        + (
                            "does NOT come out: it loses more than 5%."
                            if falls
                            else "comes out: it loses at most 5%."
                        )
                    )
    return lines


def words(r: Range) -> str:
    return f"{r.low}-{r.high}" if r.low < r.high else str(r.low)


def draw(found: Mapping[str, Mapping[str, Mapping[int, Sequence[Range]]]], paths: Sequence[Path]) -> None:
    """corpus -> preset -> seed -> ranges, a panel a corpus: a thin line for each preset (the mean over
    seeds), a thick one for each kind.
    """
    with panels(
        [TITLES[corpus] for corpus in found], (7.2 if len(found) == 1 else 5.2 * len(found), 4.2), paths
    ) as axes:
        for panel, (corpus, presets) in zip(axes, found.items(), strict=True):
            _draw_corpus(panel, corpus, presets)
        axes[0].set_ylabel("BLEU")


def _draw_corpus(axes: Any, corpus: str, presets: Mapping[str, Mapping[int, Sequence[Range]]]) -> None:
    ranges = next(iter(next(iter(presets.values())).values()))
    x = [r.words for r in ranges]
    ends = []
    for kind, seeds in courses(presets).items():
        colour = COLOURS[kind]
        for preset in COMPARED[kind]:
            if preset in presets:
                means = [
                    statistics.mean(values)
                    for values in zip(
                        *([r.bleu for r in found] for found in presets[preset].values()), strict=True
                    )
                ]
                axes.plot(x, means, color=colour, lw=0.8, alpha=0.45, zorder=2)
        means = [statistics.mean(values) for values in zip(*seeds.values(), strict=True)]
        axes.plot(x, means, color=colour, lw=2.4, marker=MARKERS[kind], ms=5, zorder=3, clip_on=False)
        ends.append((means[-1], kind, colour, True))
    axes.set_xlim(0, x[-1] * 1.02)
    axes.set_ylim(0, 100)
    beyond = [r for r in ranges if r.low > SEEN[corpus]]
    if beyond:
        edge = (SEEN[corpus] + beyond[0].low) / 2
        axes.axvspan(edge, x[-1] * 1.02, color=SHADE, zorder=0, lw=0)
        axes.text(x[-1], 98, "longer than any in training", size=9, va="top", ha="right", color=FAINT)
    label(axes, x[-1] * 1.02, ends)
    axes.set_xlabel("source words")


def report(study: Study, cells: Sequence[Cell]) -> list[str]:
    """Tables, verdicts and the image of the finished ones among the cells."""
    lines: list[str] = []
    drawn: dict[str, dict[str, dict[int, list[Range]]]] = {}
    for corpus in dict.fromkeys(cell.corpus for cell in cells):
        made = [
            found for cell in cells if cell.corpus == corpus and (found := study.finished(cell)) is not None
        ]
        if not made:
            continue
        files = {preset: speed_file(study.out, corpus, preset) for preset in PRESETS}
        speeds = {
            preset: statistics.median(json.loads(file.read_text(encoding="utf-8")))
            for preset, file in files.items()
            if file.is_file()
        }
        seeds = len({cell["seed"] for cell in made})
        lines += [
            "",
            (
                f"{corpus}, {study.steps[corpus]:,} updates, {seeds} seed{'s' * (seeds > 1)}, greedy, "
                f"{made[0]['signature']}"
            ),
            "",
            *table(made, speeds),
        ]
        found = lengths_of(corpus, made, study.prepared[corpus], study.sentences)
        whole = {preset: seeds for preset, seeds in found.items() if any(seeds.values())}
        if whole:
            drawn[corpus] = whole
            lines += verdict(corpus, next(iter(next(iter(whole.values())).values())), courses(whole))
    if drawn:
        paths = [study.out / "length.svg", study.out / "length.png"]
        draw(drawn, paths)
        lines += ["", f"drawn: {' '.join(map(str, paths))}"]
    return lines[1:]


def prepared_folders(out: Path, corpora: Sequence[str], multi30k: Path | None) -> dict[str, Path]:
    from seq2attn.data.prepare import prepare
    from seq2attn.data.prepared import REPORT

    folders = {"phrases": out / "prepared-phrases", "multi30k": multi30k}
    if "phrases" in corpora and not (folders["phrases"] / REPORT).is_file():
        prepare("phrases", folders["phrases"], config.DataConfig(vocab_size=VOCABULARY))
    return {corpus: folder.resolve() for corpus in corpora if (folder := folders[corpus]) is not None}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="where the cells are, and are made")
    parser.add_argument(
        "--presets", nargs="+", choices=PRESETS, default=list(PRESETS), metavar="PRESET", help="default: all"
    )
    parser.add_argument("--corpora", nargs="+", choices=RANGES, default=["phrases"], help="default: phrases")
    parser.add_argument("--multi30k", type=Path, metavar="PREPARED", help="the prepared folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument(
        "--processes", type=int, default=1, help="trainings side by side, each with one thread"
    )
    parser.add_argument("--steps", type=int, help=f"updates of a training; default: {STEPS}")
    parser.add_argument(
        "--sentences", type=int, metavar="N", help="the first N of each test alone: to try the program out"
    )
    parser.add_argument(
        "--speed",
        type=int,
        metavar="N",
        help="measure the speed of training over N updates; nothing else may run",
    )
    parser.add_argument("--rounds", type=int, default=3, help="of the measurement of speed")
    parser.add_argument(
        "--report", action="store_true", help="make nothing: tables and image of what is there"
    )
    parser.add_argument("--evaluate", nargs=2, metavar=("RUN", "PREPARED"), help=argparse.SUPPRESS)
    parser.add_argument("--time", nargs=3, metavar=("PRESET", "PREPARED", "N"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.out is None and not chosen.evaluate and not chosen.time:
        parser.error("--out is missing")
    if "multi30k" in chosen.corpora and chosen.multi30k is None:
        parser.error("--corpora multi30k needs --multi30k PREPARED")
    return chosen


def interrupted(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    chosen = arguments()
    if chosen.evaluate:
        print(json.dumps(evaluate(*chosen.evaluate, chosen.sentences), ensure_ascii=False))
        return 0
    if chosen.time:
        preset, folder, updates = chosen.time
        print(training_speed(preset, folder, int(updates)))
        return 0
    signal.signal(signal.SIGTERM, interrupted)
    folders = prepared_folders(chosen.out, chosen.corpora, chosen.multi30k)
    study = Study(
        chosen.out, folders, {corpus: chosen.steps or STEPS[corpus] for corpus in RANGES}, chosen.sentences
    )
    cells = [
        Cell(corpus, preset, seed)
        for seed in chosen.seeds
        for corpus in chosen.corpora
        for preset in chosen.presets
    ]
    failures: dict[Cell, str] = {}
    try:
        if not chosen.report:
            failures = make_all(study, cells, chosen.processes)
            if chosen.speed:
                time_all(study, chosen.presets, chosen.corpora, chosen.speed, chosen.rounds)
    except KeyboardInterrupt:
        note("stopped; the same command goes on")
        return 130
    lines = report(study, cells)
    write(chosen.out / "report.md", "\n".join(lines) + "\n")
    print("\n".join(lines))
    for cell, why in failures.items():
        note(f"failed: {cell.corpus} {cell.preset} {cell.seed}: {why}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
