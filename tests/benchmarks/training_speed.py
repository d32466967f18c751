"""How fast training is: target tokens a second of seq2attn, and of others given the same data, model and
batches.

    python tests/benchmarks/training_speed.py --data MULTI30K [--precision bf16] [--eole PATH/TO/bin/eole]
    [--against "NAME=COMMAND"]...
    python tests/benchmarks/training_speed.py --data MULTI30K --model transformer [--peers PATH/TO/python] ...

MULTI30K is a folder with train.en, train.de, val.en and val.de. Each row of the table is a program of its
own; all run once in turn,
then all again (--rounds), and the median counts. Have the machine to yourself: a second busy process slows a
row two to four times.

The model of --model recurrent: bidirectional LSTM encoder 2x256, LSTM decoder 512, additive attention of 512
units asked by the current state, input feeding,
tanh readout of 512, embeddings 256, the output matrix tied to the target embedding, dropout 0.2. That of
--model transformer: 3 + 3 layers of 256, feed-forward
1,024, ReLU, 4 heads, the norm before each part and after the last, sinusoidal positions, one matrix for both
embeddings and the output, dropout 0.1, not
on weights of attention. Both: 8,000 joint unigram pieces, label smoothing 0.1, Adam, gradient clipped at 1; a
batch is 4,096 padded
tokens of the longer side, like lengths together. Counted are real target tokens, the end token among them,
from the eleventh update on (--steps in all),
batching included and validation not.

--eole takes eole 0.6.4 (pip install eole aiohttp, in an environment of its own). It gets the same pairs as
SentencePiece pieces and the
same model. Its batches hold no source sentence twice, its softmax goes over the padding too, and its own log
says its tokens a second.
recurrent: it cannot tie matrices of different sizes, so that its softmax reads the readout of 512 itself;
beside it seq2attn runs once more with
that output. (Also: its encoder reads over the padding, and its readout has no tanh.) transformer: it drops
out once more, inside the feed-forward.

--peers takes a Python with transformers 5.23.0 and torch (pip install transformers torch, in an environment
of its own). It trains MarianMTModel, which is a
Transformer alone, in a plain loop: forward, F.cross_entropy with label smoothing that ignores padding,
backward, clip_grad_norm_, fused Adam, for bf16 within
torch.autocast. Its batches and so its counted tokens are the very ones of seq2attn. It has the same size, but
the norm after each part and none at the end, an
output bias that is not trained, and its softmax goes over the padding too. Nor does the loop tell the C
library to keep its memory, as `seq2attn train` does.

--against runs any shell command; the last "N target tokens/s" it prints is its number, and what that counts
is the command's affair.

OMP_NUM_THREADS sets the threads of all. Only seq2attn must be installed.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from in_turn import Row, against, note_load, number_before, output_of, run_in_turn
from training_peers import REPORT, SPEED, UNCOUNTED, eole, marian, said, write_eole, write_marian

from seq2attn.data.batches import Texts
from seq2attn.errors import UserError

VOCABULARY = 8000
BATCH = 4096  # padded tokens
SMOOTHING, RATE, CLIP = 0.1, 1e-3, 1.0
MODELS = {  # rows of seq2attn
    "tied": "seq2attn, output tied, 256 wide",
    "untied": "seq2attn, output untied, 512 wide",
    "transformer": "seq2attn",
}


# seq2attn, in a process of its own


class Counted(Texts):
    """Training pairs that note the target tokens of each batch taken: with one batch an update, those of the
    updates in order.
    """

    def __init__(self, pairs) -> None:
        self.pairs = pairs
        self.tokens: list[int] = []

    @property
    def source_lengths(self) -> np.ndarray:
        return self.pairs.source_lengths

    @property
    def target_lengths(self) -> np.ndarray:
        return self.pairs.target_lengths

    def content(self):
        return self.pairs.content()  # a look at all of them is no batch

    def ids(self, rows: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        self.tokens.append(int(self.target_lengths[rows].sum()) + len(rows))
        return self.pairs.ids(rows)


def settings(name: str):
    from seq2attn import config

    # Neither an end nor a validation in sight: whoever reads the events stops.
    train = {
        "batch_tokens": BATCH,
        "optimizer": "adam",
        "lr": RATE,
        "clip_norm": CLIP,
        "label_smoothing": SMOOTHING,
        "max_steps": 10**6,
        "validate_every": 10**6,
    }
    model = transformer() if name == "transformer" else recurrent("output" if name == "tied" else "none")
    return config.validate(
        {"data": {"vocab_size": VOCABULARY}, "model": model, "train": {**train, "metric": "loss"}}, "settings"
    )


def recurrent(tied: str) -> dict:
    return {
        "embedding": 256,
        "tied": tied,
        "dropout": 0.2,
        "encoder": {"cell": "lstm", "size": 256, "bidirectional": True},
        "decoder": {
            "cell": "lstm",
            "size": 512,
            "query_state": "current",
            "context_to": ["readout"],
            "input_feeding": True,
            "bridge": "last",
            "readout": "tanh",
        },
        "attention": {"score": "additive", "size": 512},
    }


def transformer() -> dict:
    sizes = {"size": 256, "layers": 3, "heads": 4, "feedforward": 1024}
    side = {
        "kind": "transformer",
        **sizes,
        "activation": "relu",
        "norm": "layer",
        "prenorm": True,
        "positions": "sinusoidal",
        "bias": True,
    }
    attention = {"score": "scaled-dot", "heads": 4}
    return {
        "embedding": 256,
        "tied": "all",
        "dropout": 0.1,
        "encoder": side,
        "decoder": side,
        "attention": attention,
    }


def measure(folder: Path, chosen, precision: str, steps: int, loop: bool = False) -> None:
    """Train a model of these settings on the prepared folder, if asked to with a decoder that goes step by
    step, and print the speed.
    """
    import torch

    from seq2attn.data.prepared import Prepared
    from seq2attn.models.seq2seq import build
    from seq2attn.runs import directory
    from seq2attn.training import trainer
    from seq2attn.training.distributed import World

    prepared = Prepared(folder)
    torch.manual_seed(chosen.train.seed)
    source_size, target_size = prepared.source_tokenizer.size, prepared.target_tokenizer.size
    model = build(chosen.model, source_size, target_size)
    model.decoder.context_feeds_later_steps |= loop
    training = Counted(prepared.split("train"))
    with tempfile.TemporaryDirectory() as out:
        run = directory.create(
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
        with closing(
            trainer.train(model, run, training, prepared.split("valid"), world=world, format=precision)
        ) as events:
            for event in events:
                if event.step == UNCOUNTED:
                    began = time.perf_counter()
                elif event.step == steps:
                    seconds = time.perf_counter() - began
                    break
    print(said(precision, model, event.loss, sum(training.tokens[UNCOUNTED:steps]), seconds))


def own(folder: Path, name: str, precision: str, steps: int) -> float:
    return speed(
        [
            sys.executable,
            __file__,
            "--inner",
            str(folder),
            name,
            "--precision",
            precision,
            "--steps",
            str(steps),
        ]
    )


def speed(command: str | Sequence[str]) -> float:
    return number_before(SPEED, output_of(command))


# The table


def prepare_once(data: str, vocabulary: int, folder: Path) -> None:
    from seq2attn import config
    from seq2attn.data.prepare import prepare

    prepare(data, folder, config.DataConfig(source="en", target="de", vocab_size=vocabulary))


def table(speeds: dict[str, list[float]], failures: dict[str, str], bases: list[str]) -> list[str]:
    """Markdown. A ratio says how many times as fast as the row its base is."""
    medians = {
        name: statistics.median(values) for name, values in speeds.items() if values and name not in failures
    }
    header = ["", SPEED, "rounds", *(f"{base} ÷ this" for base in bases)]
    lines = [header, ["---", "---:", "---:", *("---:" for _ in bases)]]
    for name, values in speeds.items():
        if name not in medians:
            lines.append([name, f"failed: {failures[name]}", "", *("" for _ in bases)])
            continue
        ratios = [
            f"{medians[base] / medians[name]:.2f}" if base in medians and base != name else ""
            for base in bases
        ]
        lines.append([name, f"{medians[name]:,.0f}", " ".join(f"{value:,.0f}" for value in values), *ratios])
    return [f"| {' | '.join(cells)} |" for cells in lines]


def counted_steps(text: str) -> int:
    steps = int(text)
    if steps <= UNCOUNTED or steps % REPORT:
        raise argparse.ArgumentTypeError(
            f"{text}: a multiple of {REPORT} above {UNCOUNTED}, the updates that do not count"
        )
    return steps


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", help="folder of Multi30k, English and German")
    parser.add_argument("--model", choices=("recurrent", "transformer"), default="recurrent")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of all but --against")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--steps", type=counted_steps, default=60, help=f"updates of a row, the first {UNCOUNTED} not counted"
    )
    parser.add_argument(
        "--eole", metavar="PROGRAM", type=os.path.abspath, help="eole's command, as ENVIRONMENT/bin/eole"
    )
    parser.add_argument(
        "--peers",
        metavar="PYTHON",
        type=os.path.abspath,
        help="a Python with transformers and torch; for --model transformer",
    )
    parser.add_argument(
        "--against",
        metavar="NAME=COMMAND",
        action="append",
        type=against,
        default=[],
        help="another row; repeatable",
    )
    parser.add_argument(
        "--vocabulary", type=int, default=VOCABULARY, metavar="N", help="pieces: fewer to try the program out"
    )
    # one measurement of seq2attn
    parser.add_argument("--inner", nargs=2, metavar=("PREPARED", "MODEL"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.data is None and chosen.inner is None:
        parser.error("--data is missing")
    if chosen.rounds < 1:
        parser.error("--rounds: at least 1")
    if chosen.peers and chosen.model != "transformer":
        parser.error("--peers trains a Transformer: add --model transformer")
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
            prepare_once(chosen.data, chosen.vocabulary, prepared)
        except UserError as error:
            print(error, file=sys.stderr)
            return 1
        rows: list[Row] = []

        def add_own(name: str) -> str:
            rows.append(Row(MODELS[name], lambda: own(prepared, name, chosen.precision, chosen.steps)))
            return rows[-1].name

        bases = [add_own("tied" if chosen.model == "recurrent" else "transformer")]
        if chosen.eole:
            alike, name = "transformer", "eole"
            if chosen.model == "recurrent":
                alike, name = "untied", "eole, output untied, 512 wide"
                bases.append(add_own(alike))
            configuration = write_eole(prepared, Path(work), settings(alike), chosen.steps, chosen.precision)
            rows.append(Row(name, lambda: eole(chosen.eole, configuration)))
        if chosen.peers:
            job = write_marian(prepared, Path(work), settings("transformer"), chosen.steps, chosen.precision)
            rows.append(Row("transformers, MarianMTModel", lambda: marian(chosen.peers, job)))
        for name, command in chosen.against:
            rows.append(Row(name, lambda command=command: speed(command)))
        speeds, failures = run_in_turn(rows, chosen.rounds)
    print(
        f"{chosen.model}, {chosen.precision}, updates {UNCOUNTED + 1} to {chosen.steps}, "
        f"median of {chosen.rounds} rounds\n"
    )
    print("\n".join(table(speeds, failures, bases)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
