"""How far a gradient has to travel: the norm of the gradient of one output's loss with respect to each source
embedding, against distance.

    python tests/benchmarks/gradient_path.py [--data PREPARED] [--steps 400] [--image gradient-path.svg]...

The distance between source position j of S (from 0, the end token last) and output i (from 0) is how many
steps of the recurrence lie between:
S - 1 - j of the encoder, from the state that has just read the word to the last one, and i + 1 of the
decoder. Without attention the last state starts the
decoder and nothing else passes, so the gradient takes them all. With attention it has a second way, of one
step: through the weights, or the
state that they read. Encoder and decoder are tanh RNNs, GRUs or LSTMs, one layer of 128 that reads from left
to right; the rest of the model is
the same with and without attention (general score, asked by the current state, read by the readout).

Measured on sentences of `test_long` of phrases (16 to 40 words), reference forced, first with the first
weights, then after
--steps updates of training on `train` (2 to 14 words): the mean over sentences, outputs and positions of each
range of distances.
The program says for each cell whether attention keeps more of the near gradient at the far end, by the
numbers. Two minutes on one core.
"""

import argparse
import itertools
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]  # a checkout that is not installed

from figures import BLUE, GREEN, ORANGE, label, panels

from seq2attn import config

CELLS = {"rnn": "tanh RNN", "gru": "GRU", "lstm": "LSTM"}
WAYS = ("without", "with")  # attention
STAGES = ("first weights", "trained")
EDGES = (1, 5, 9, 13, 17, 21, 25, 33, 41, 49, 57, 65, 81)  # ranges of distances: 1-4, 5-8, ...
EVERY = 3  # outputs: one backward pass each
BATCH = 8  # sentences whose graphs are held at once
COLOURS = {"rnn": ORANGE, "gru": GREEN, "lstm": BLUE}


def settings(cell: str, attention: bool, steps: int, size: int = 128) -> config.Config:
    read = (
        {"context_source": "attention", "context_to": ["readout"]}
        if attention
        else {"context_source": "none", "context_to": []}
    )
    model = {
        "embedding": size,
        "dropout": 0.1,
        "encoder": {"cell": cell, "size": size, "bidirectional": False},
        "decoder": {
            "cell": cell,
            "size": size,
            "query_state": "current",
            "bridge": "last",
            "readout": "tanh",
            **read,
        },
        "attention": {"score": "general"},
    }
    train = {
        "batch_tokens": 2048,
        "lr": 4e-3,
        "warmup": min(100, steps),
        "max_steps": steps,
        "label_smoothing": 0.05,
        "metric": "loss",
    }
    return config.validate(
        {"data": {"vocab_size": 2000}, "model": model, "train": train | {"validate_every": steps + 1}},
        "settings",
    )


def build(chosen: config.Config, prepared: Any) -> Any:
    from seq2attn.models.seq2seq import build

    torch.manual_seed(chosen.train.seed)
    return build(chosen.model, prepared.source_tokenizer.size, prepared.target_tokenizer.size)


def learn(model: Any, chosen: config.Config, prepared: Any) -> float:
    """Train as the settings say; the last mean loss, in nats a token."""
    from seq2attn.runs import directory
    from seq2attn.training import trainer
    from seq2attn.training.distributed import World

    sizes = {"source_size": prepared.source_tokenizer.size, "target_size": prepared.target_tokenizer.size}
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
        world = World(torch.device("cpu"))
        with closing(
            trainer.train(model, run, prepared.split("train"), prepared.split("valid"), world=world)
        ) as events:
            return next(event.loss for event in events if event.step == chosen.train.max_steps)


def norms(
    model: Any, source_ids: Sequence[np.ndarray], target_ids: Sequence[np.ndarray], farthest: int
) -> tuple[np.ndarray, np.ndarray]:
    """(sum of gradient norms, how many) for each distance 0 .. farthest - 1, over every EVERY-th output and
    all source positions of a batch of sentences.
    """
    from seq2attn.data.batches import collate

    batch = collate(list(source_ids), list(target_ids))
    embedded: list[torch.Tensor] = []
    handle = model.encoder.embedding.register_forward_hook(lambda module, given, made: embedded.append(made))
    model.eval()
    logits_BTN = model(batch.source, batch.source_mask, batch.inputs_BT).logits
    handle.remove()
    loss_BT = torch.nn.functional.cross_entropy(
        logits_BTN.transpose(1, 2), batch.targets_BT, reduction="none"
    )
    lengths_B = batch.source_mask.sum(1, keepdim=True)
    position_S = torch.arange(batch.source.shape[1])
    sums, counts = np.zeros(farthest), np.zeros(farthest, dtype=np.int64)
    for output in range(0, loss_BT.shape[1], EVERY):
        real_B1 = batch.target_mask_BT[:, output : output + 1]
        # Sentences do not meet in a batch: the gradient of the sum is that of each.
        (gradient_BSE,) = torch.autograd.grad(loss_BT[:, output].sum(), embedded[0], retain_graph=True)
        norm_BS = gradient_BSE.double().norm(dim=-1)
        distance_BS = lengths_B - 1 - position_S + output + 1
        taken_BS = batch.source_mask & real_B1 & (distance_BS < farthest)
        distances = distance_BS[taken_BS].numpy()
        sums += np.bincount(distances, norm_BS[taken_BS].numpy(), farthest)
        counts += np.bincount(distances, minlength=farthest)
    return sums, counts


def gradients(model: Any, split: Any, sentences: int, edges: Sequence[int] = EDGES) -> list[float]:
    """Mean norm of each range of distances edges[n] .. edges[n + 1] - 1; NaN where there is nothing."""
    sums, counts = np.zeros(edges[-1]), np.zeros(edges[-1], dtype=np.int64)
    order = np.argsort(split.source_lengths[:sentences], kind="stable")
    for start in range(0, len(order), BATCH):
        more, number = norms(model, *split.ids(order[start : start + BATCH]), edges[-1])
        sums, counts = sums + more, counts + number
    return [
        sums[low:high].sum() / counts[low:high].sum() if counts[low:high].sum() else math.nan
        for low, high in itertools.pairwise(edges)
    ]


# What comes of it: stage -> (cell, way) -> norm of each range

Found = Mapping[str, Mapping[tuple[str, str], Sequence[float]]]


def tables(found: Found, edges: Sequence[int] = EDGES) -> list[str]:
    lines = []
    for stage, curves in found.items():
        header = ["steps between", *(f"{CELLS[cell]}, {way} attention" for cell, way in curves)]
        rows = [
            [f"{low}-{high - 1}", *(f"{curve[n]:.1e}" for curve in curves.values())]
            for n, (low, high) in enumerate(itertools.pairwise(edges))
        ]
        lines += [
            "",
            f"{stage}:",
            "",
            *(f"| {' | '.join(cells)} |" for cells in [header, ["---:"] * len(header), *rows]),
        ]
    return lines


def verdict(found: Found, edges: Sequence[int] = EDGES) -> list[str]:
    """What is left at the far end of the gradient at the near end, with attention and without."""
    lines = [""]
    for stage, curves in found.items():
        for cell, name in CELLS.items():
            left = {way: curves[cell, way][-1] / curves[cell, way][0] for way in WAYS}
            comes = "comes out" if left["with"] > left["without"] else "does NOT come out"
            far = f"{edges[-2]}-{edges[-1] - 1} steps away, of the gradient at {edges[0]}-{edges[1] - 1}"
            lines.append(
                f"- {stage}, {name}: the short path {comes}: {far}, {left['without']:.1e} is left "
                f"without attention and {left['with']:.1e} with it."
            )
    return lines


def draw(found: Found, paths: Sequence[Path], edges: Sequence[int] = EDGES) -> None:
    """A panel a stage; solid with attention, dashed without."""
    x = [(low + high - 1) / 2 for low, high in itertools.pairwise(edges)]
    with panels(list(found), (9.6, 4.3), paths) as axes:
        for panel, curves in zip(axes, found.values(), strict=True):
            for (cell, way), curve in curves.items():
                style: dict[str, Any] = {"lw": 2.4} if way == "with" else {"lw": 1.6, "ls": (0, (4, 2))}
                panel.plot(x, curve, color=COLOURS[cell], **style)
            panel.set_yscale("log")
            panel.set_xlim(0, x[-1])
            panel.set_xlabel("steps between source word and output")
        for panel, curves in zip(axes, found.values(), strict=True):
            ends = [
                (curve[-1], CELLS[cell] + ", attention" * (way == "with"), COLOURS[cell], way == "with")
                for (cell, way), curve in curves.items()
            ]
            label(panel, x[-1], ends)
        axes[0].set_ylabel("norm of the gradient of one output's loss\nwith respect to a source embedding")


def main() -> int:
    from seq2attn.data.prepare import prepare
    from seq2attn.data.prepared import Prepared

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, metavar="PREPARED", help="phrases, prepared before; default: prepared now"
    )
    parser.add_argument("--steps", type=int, default=400, help="updates of training")
    parser.add_argument("--sentences", type=int, default=96, help="of test_long that are measured")
    parser.add_argument(
        "--image",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="draw it there, as .svg, .png or .pdf; repeatable",
    )
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[tuple[str, str], list[float]]] = {stage: {} for stage in STAGES}
    with tempfile.TemporaryDirectory() as work:
        folder = chosen.data or Path(work) / "prepared"
        if chosen.data is None:
            prepare("phrases", folder, config.DataConfig(vocab_size=2000))
        prepared = Prepared(folder)
        split = prepared.split("test_long")
        for cell, name in CELLS.items():
            for way in WAYS:
                recipe = settings(cell, way == "with", chosen.steps)
                model = build(recipe, prepared)
                found[STAGES[0]][cell, way] = gradients(model, split, chosen.sentences)
                loss = learn(model, recipe, prepared)
                found[STAGES[1]][cell, way] = gradients(model, split, chosen.sentences)
                print(
                    f"{name} {way} attention: loss {loss:.2f} after {chosen.steps} updates",
                    file=sys.stderr,
                    flush=True,
                )
    print("\n".join([*tables(found), *verdict(found)][1:]))
    if chosen.image:
        draw(found, chosen.image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
