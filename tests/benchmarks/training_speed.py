"""How fast training is: target tokens a second of seq2attn, and of others given the same data, model and batches.

    python tests/benchmarks/training_speed.py --data MULTI30K [--precision bf16] [--eole PATH/TO/bin/eole] [--against "NAME=COMMAND"]...

MULTI30K is a folder with train.en, train.de, val.en and val.de. Each row of the table is a program of its own; all run once in turn,
then all again (--rounds), and the median counts. Have the machine to yourself: a second busy process slows a row two to four times.

The model: bidirectional LSTM encoder 2x256, LSTM decoder 512, additive attention of 512 units asked by the current state, input feeding,
tanh readout of 512, embeddings 256, the output matrix tied to the target embedding, 8,000 joint unigram pieces. Label smoothing 0.1,
dropout 0.2, Adam, gradient clipped at 1; a batch is 4,096 padded tokens of the longer side, like lengths together. Counted are real target tokens,
the end token among them, from the eleventh update on (--steps in all), batching included and validation not.

--eole takes eole 0.6.4 (pip install eole aiohttp, in an environment of its own). It gets the same pairs as SentencePiece pieces and the
same model except for its output: it cannot tie matrices of different sizes, so that its softmax reads the readout of 512 itself. Beside
it seq2attn runs once more with that output. (Also: its encoder reads over the padding, its readout has no tanh, and its batches hold
no source sentence twice.)

--against runs any shell command; the last "N target tokens/s" it prints is its number, and what that counts is the command's affair.

OMP_NUM_THREADS sets the threads of all. Only seq2attn must be installed.
"""

import argparse
import json
import os
import re
import resource
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from in_turn import Failed, Row, against, last_line, note_load, number_before, output_of, run_in_turn

from seq2attn.errors import UserError

UNCOUNTED = 10  # updates: caches, thread pools and the allocator warm up
REPORT = 5  # updates between two lines of eole's log
VOCABULARY = 8000
BATCH = 4096  # padded tokens
SMOOTHING, DROPOUT, RATE, CLIP = 0.1, 0.2, 1e-3, 1.0
OUTPUTS = {"tied": "output tied, 256 wide", "untied": "output untied, 512 wide"}
# Step 15/60; ... bsz: 3001/2950/210; 1650/1622 tok/s; ...
EOLE_REPORT = re.compile(r"Step\s+(\d+)/.*bsz:\s*\d+/\s*(\d+)/.*?/\s*(\d+) tok/s")


# seq2attn, in a process of its own


class Counted:
    """Training pairs that note the target tokens of each batch taken: with one batch an update, those of the updates in order."""

    def __init__(self, pairs) -> None:
        self.pairs = pairs
        self.source_lengths, self.target_lengths = pairs.source_lengths, pairs.target_lengths
        self.tokens: list[int] = []

    def ids(self, rows: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        self.tokens.append(int(self.target_lengths[rows].sum()) + len(rows))
        return self.pairs.ids(rows)


def settings(output: str):
    from seq2attn import config

    model = {
        "embedding": 256,
        "tied": "output" if output == "tied" else "none",
        "dropout": DROPOUT,
        "encoder": {"cell": "lstm", "size": 256, "bidirectional": True},
        "decoder": {"cell": "lstm", "size": 512, "query": "current", "context": ["readout"], "input_feeding": True, "bridge": "last", "readout": "tanh"},
        "attention": {"score": "additive", "size": 512},
    }
    # Neither an end nor a validation in sight: whoever reads the events stops.
    train = {"batch_tokens": BATCH, "optimizer": "adam", "lr": RATE, "clip": CLIP, "label_smoothing": SMOOTHING, "max_steps": 10**6, "validate_every": 10**6}
    return config.validate({"data": {"vocab_size": VOCABULARY}, "model": model, "train": {**train, "metric": "loss"}}, "settings")


def measure(folder: Path, chosen, precision: str, steps: int, loop: bool = False) -> None:
    """Train a model of these settings on the prepared folder, if asked to with a decoder that goes step by step, and print the speed."""
    import torch

    from seq2attn.data.prepared import Prepared
    from seq2attn.models.seq2seq import build
    from seq2attn.training import checkpoint, trainer
    from seq2attn.training.distributed import World

    prepared = Prepared(folder)
    torch.manual_seed(chosen.train.seed)
    source_size, target_size = prepared.source_tokenizer.size, prepared.target_tokenizer.size
    model = build(chosen.model, source_size, target_size)
    model.decoder.carries |= loop
    training = Counted(prepared.split("train"))
    with tempfile.TemporaryDirectory() as out:
        run = checkpoint.create(
            Path(out) / "run",
            chosen,
            source_size=source_size,
            target_size=target_size,
            languages=prepared.languages,
            tokenizers={file.name: file.read_bytes() for file in folder.glob("*.model")},
            corpus="",
            force=False,
        )
        world = World(torch.device("cpu"))
        with closing(trainer.train(model, run, training, prepared.split("valid"), world=world, format=precision)) as events:
            for event in events:
                if event.step == UNCOUNTED:
                    began = time.perf_counter()
                elif event.step == steps:
                    seconds = time.perf_counter() - began
                    break
    tokens = sum(training.tokens[UNCOUNTED:steps])
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{precision}, {torch.get_num_threads()} threads, {millions:.2f}M parameters, loss {event.loss:.3f}, peak {peak:.0f} MB, {tokens / seconds:.0f} target tokens/s"
    )


def own(folder: Path, output: str, precision: str, steps: int) -> float:
    return speed([sys.executable, __file__, "--inner", str(folder), output, "--precision", precision, "--steps", str(steps)])


# The others


def write_eole(folder: Path, work: Path, steps: int, precision: str) -> Path:
    """The prepared pairs as eole reads them, and its configuration of the model; the path of the latter."""
    from seq2attn.data.prepared import Prepared
    from seq2attn.data.tokenizer import SPECIALS

    prepared = Prepared(folder)
    tokenizer, split = prepared.source_tokenizer, prepared.split("train")
    sides = split.ids(np.arange(len(split)))
    for name, ids in zip(("source.txt", "target.txt"), sides, strict=True):
        lines = (" ".join(tokenizer.pieces(row.tolist())) for row in ids)
        (work / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    pieces = tokenizer.pieces(range(len(SPECIALS), tokenizer.size))  # it adds four specials of its own
    (work / "vocabulary.txt").write_text("".join(f"{piece}\t1\n" for piece in pieces), encoding="utf-8")
    recurrent = {"layers": 1, "hidden_size": 512, "rnn_type": "LSTM", "bridge": False}  # both directions together; a bridge crashes behind brnn
    configuration = {
        "data": {"train": {"path_src": str(work / "source.txt"), "path_tgt": str(work / "target.txt"), "transforms": [], "weight": 1}},
        "src_vocab": str(work / "vocabulary.txt"),
        "tgt_vocab": str(work / "vocabulary.txt"),
        "share_vocab": True,
        "src_vocab_size": tokenizer.size,
        "tgt_vocab_size": tokenizer.size,
        "seed": 1,
        "report_every": REPORT,
        "skip_empty_level": "silent",
        "model": {
            "architecture": "custom",  # rnn would make the encoder read one way
            "embeddings": {"src_word_vec_size": 256, "tgt_word_vec_size": 256, "position_encoding_type": None},
            "encoder": {"encoder_type": "brnn", **recurrent},
            "decoder": {"decoder_type": "rnn", "global_attention": "mlp", **recurrent},
            "input_feed": 1,
            "share_embeddings": False,
            "share_decoder_embeddings": False,
        },
        "training": {
            "world_size": 0,
            "gpu_ranks": [],
            "compute_dtype": precision,
            "batch_type": "tokens",
            "batch_size": BATCH,
            "batch_size_multiple": 1,
            "valid_steps": 10**6,
            "save_checkpoint_steps": 10**6,
            "bucket_size": len(split),  # the whole corpus is sorted by length
            "num_workers": 0,
            "normalization": "tokens",
            "optim": "adam",
            "adam_beta2": 0.98,
            "learning_rate": RATE,
            "decay_method": "none",
            "max_grad_norm": CLIP,
            "dropout": [DROPOUT],
            "dropout_steps": [0],
            "label_smoothing": SMOOTHING,
            "log_attention_entropy": False,  # work that nobody asked for
            "train_steps": steps,
            "model_path": str(work / "model"),
        },
    }
    path = work / "eole.yaml"
    path.write_text(json.dumps(configuration, indent=1), encoding="utf-8")  # JSON is YAML
    return path


def eole(program: str, configuration: Path) -> float:
    shutil.rmtree(configuration.parent / "model", ignore_errors=True)  # of the round before
    printed = output_of([program, "train", "--config", str(configuration)], configuration.parent)
    reports = [(int(step), int(tokens) * REPORT, int(rate)) for step, tokens, rate in EOLE_REPORT.findall(printed)]
    counted = [(tokens, rate) for step, tokens, rate in reports if step > UNCOUNTED and rate]
    if not counted:
        raise Failed(f"no speed in its log: {last_line(printed)}")
    return sum(tokens for tokens, _ in counted) / sum(tokens / rate for tokens, rate in counted)


def speed(command: str | Sequence[str]) -> float:
    return number_before("target tokens/s", output_of(command))


# The table


def prepare_once(data: str, folder: Path) -> None:
    from seq2attn import config
    from seq2attn.data.prepared import prepare

    prepare(data, folder, config.Data(source="en", target="de", vocab_size=VOCABULARY))


def table(speeds: dict[str, list[float]], failures: dict[str, str], bases: list[str]) -> list[str]:
    """Markdown. A ratio says how many times as fast as the row its base is."""
    medians = {name: statistics.median(values) for name, values in speeds.items() if values and name not in failures}
    header = ["", "target tokens/s", "rounds", *(f"{base} ÷ this" for base in bases)]
    lines = [header, ["---", "---:", "---:", *("---:" for _ in bases)]]
    for name, values in speeds.items():
        if name not in medians:
            lines.append([name, f"failed: {failures[name]}", "", *("" for _ in bases)])
            continue
        ratios = [f"{medians[base] / medians[name]:.2f}" if base in medians and base != name else "" for base in bases]
        lines.append([name, f"{medians[name]:,.0f}", " ".join(f"{value:,.0f}" for value in values), *ratios])
    return [f"| {' | '.join(cells)} |" for cells in lines]


def counted_steps(text: str) -> int:
    steps = int(text)
    if steps <= UNCOUNTED or steps % REPORT:
        raise argparse.ArgumentTypeError(f"{text}: a multiple of {REPORT} above {UNCOUNTED}, the updates that do not count")
    return steps


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="folder of Multi30k, English and German")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of seq2attn and eole")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=counted_steps, default=60, help=f"updates of a row, the first {UNCOUNTED} not counted")
    parser.add_argument("--eole", metavar="PROGRAM", type=os.path.abspath, help="eole's command, as ENVIRONMENT/bin/eole")
    parser.add_argument("--against", metavar="NAME=COMMAND", action="append", type=against, default=[], help="another row; repeatable")
    parser.add_argument("--inner", nargs=2, metavar=("PREPARED", "OUTPUT"), help=argparse.SUPPRESS)  # one measurement of seq2attn
    chosen = parser.parse_args()
    if chosen.data is None and chosen.inner is None:
        parser.error("--data is missing")
    if chosen.rounds < 1:
        parser.error("--rounds: at least 1")
    return chosen


def main() -> int:
    chosen = arguments()
    if chosen.inner:
        measure(Path(chosen.inner[0]), settings(chosen.inner[1]), chosen.precision, chosen.steps)
        return 0
    note_load()
    with tempfile.TemporaryDirectory() as work:
        prepared = Path(work) / "prepared"
        try:
            prepare_once(chosen.data, prepared)
        except UserError as error:
            print(error, file=sys.stderr)
            return 1
        rows: list[Row] = []

        def add_own(output: str) -> str:
            rows.append(Row(f"seq2attn, {OUTPUTS[output]}", lambda: own(prepared, output, chosen.precision, chosen.steps)))
            return rows[-1].name

        bases = [add_own("tied")]
        if chosen.eole:
            bases.append(add_own("untied"))
            configuration = write_eole(prepared, Path(work), chosen.steps, chosen.precision)
            rows.append(Row(f"eole, {OUTPUTS['untied']}", lambda: eole(chosen.eole, configuration)))
        for name, command in chosen.against:
            rows.append(Row(name, lambda command=command: speed(command)))
        speeds, failures = run_in_turn(rows, chosen.rounds)
    print(f"{chosen.precision}, updates {UNCOUNTED + 1} to {chosen.steps}, median of {chosen.rounds} rounds\n")
    print("\n".join(table(speeds, failures, bases)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
