"""What length costs: time and memory of training on, and of greedy decoding of, one sentence of L tokens in
and L tokens out, for each family of models.

    python tests/benchmarks/length.py [MODEL ...] [--lengths 50 100 200 500 1000 2000] [--rounds 2] [--threads
    2] [--out FOLDER]

The RNNs are bidirectional LSTMs with attention: one trains on all steps at once, one feeds what it read to
the next step and has to wait for it.
Training is what one update does but for the optimizer: forward with dropout, the loss over the vocabulary,
and backward. Decoding is the search that `translate
--beam 1` runs, over the decoder's own steps, with the end held back until L tokens are written, and without
attention weights, as there. Weights and tokens are
random, a vocabulary has 8,000 entries, and the number format is float32.

One sentence, not as many as fill a batch: then the length is all that changes from row to row. With equal
tokens a batch of short sentences is wide and one of
long sentences is narrow, and what a recurrent step gains by width would be mixed with what length costs.

Each cell is a process of its own, all of them in turn, then all again (--rounds); medians count. Time is the
median of up to three passes after the first,
or that of the first where it takes more than three seconds.
Memory is the most that was resident in the first pass above what was held before, with the model there and,
for training, its gradients. "power" is the slope
from the row above, as a straight line between both has it on two logarithmic axes: 0 is a fixed cost, 1 a
cost of so much a token, 2 one for each pair of tokens.

Nothing is cut: `translate` itself reads no more than 1,024 tokens of a source. Where positions are learned
vectors, there is one for each.
--out has length.md, length-time and length-memory (.svg and .png). Have the machine to yourself; the whole
takes about ten minutes on two cores.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import figures
import peak
from in_turn import note_load

from seq2attn import config

# name -> preset, what is changed in it, how it is drawn
MODELS: dict[str, tuple[str, tuple[str, ...], str, str]] = {
    "RNN": ("recurrent", (), figures.ORANGE, "o"),
    "RNN, input feeding": ("recurrent", ("model.decoder.input_feeding=true",), figures.PURPLE, "s"),
    "convolution": ("gehring17", (), figures.GREEN, "^"),
    "Transformer": ("transformer", (), figures.BLUE, "D"),
}
WAYS = {"training": "Training: one forward and backward", "decoding": "Decoding: greedy search"}
LENGTHS = (50, 100, 200, 500, 1000, 2000)
VOCABULARY = 8000
PASSES, LONG = 3, 3.0  # a pass of more seconds is not repeated
MB, KB = 2**20, 2**10


class Cost(NamedTuple):
    seconds: float
    peak: float  # bytes


Found = Mapping[str, Mapping[str, Mapping[int, Cost]]]  # way -> model -> length


# One cell, in a process of its own


def settings(model: str, longest: int) -> config.Config:
    preset, changes, *_ = MODELS[model]
    chosen = config.load(preset, changes)
    sides = [
        side
        for side, part in (("encoder", chosen.model.encoder), ("decoder", chosen.model.decoder))
        if getattr(part, "positions", None) == "learned"
    ]
    return config.change(chosen, [f"model.{side}.max_positions={longest + 8}" for side in sides])


def measure(name: str, way: str, length: int, longest: int, threads: int) -> Cost:
    import torch

    from seq2attn.data.tokenizer import BOS, EOS, PAD, UNK
    from seq2attn.devices import keep_freed_memory
    from seq2attn.kernels.linear_cross_entropy import cross_entropy
    from seq2attn.models.seq2seq import build
    from seq2attn.models.state import select
    from seq2attn.search.beam import beam_search
    from seq2attn.search.constraints import Limits

    keep_freed_memory()  # as training and `translate` do
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = build(settings(name, longest).model, VOCABULARY, VOCABULARY).train(way == "training")

    def tokens(length: int):
        return torch.randint(EOS + 1, VOCABULARY, (1, length))

    def memory_of(source_1S):
        return model.encoder(source_1S, torch.ones_like(source_1S, dtype=torch.bool))

    def train(length: int) -> None:
        targets = tokens(length)
        inputs = torch.cat([torch.tensor([[BOS]]), targets[:, :-1]], 1)
        features = model.decoder.hidden_states(inputs, memory_of(tokens(length))).features_BTD
        (
            cross_entropy(features.flatten(0, 1), model.decoder.output, targets.flatten(), 0.1) / length
        ).backward()

    @torch.inference_mode()
    def decode(length: int) -> None:
        memory = memory_of(tokens(length))
        source = model.decoder.project_memory(memory)

        def step(token_R, state):
            output, state = model.decoder.step(token_R, state, source, False)
            return output.logits.float().log_softmax(-1), state, None

        limits = Limits(torch.tensor([length]), BOS, EOS, (PAD, UNK, BOS), min_length=length)
        state = model.decoder.initial_state(memory)
        ((found,),) = beam_search(step, state, limits, select=select, beam=1, n_best=1, length_penalty=1.0)
        assert len(found.tokens) == length

    def go(length: int) -> float:
        model.zero_grad(set_to_none=False)
        began = time.perf_counter()
        (train if way == "training" else decode)(length)
        return time.perf_counter() - began

    go(3)  # what is loaded at first use, gradients among it
    before = peak.forget()
    first = go(length)
    most = peak.resident() - before
    seconds = [first] if first > LONG else []
    while len(seconds) < PASSES and sum(seconds) < LONG:
        seconds.append(go(length))
    return Cost(statistics.median(seconds), most)


def parameters(name: str, longest: int) -> float:
    """Millions."""
    import torch

    from seq2attn.models.seq2seq import build

    with torch.device("meta"):
        return (
            sum(p.numel() for p in build(settings(name, longest).model, VOCABULARY, VOCABULARY).parameters())
            / 1e6
        )


# All of them


def measure_all(
    models: Sequence[str], lengths: Sequence[int], rounds: int, threads: int
) -> dict[str, dict[str, dict[int, Cost]]]:
    costs: dict[tuple[str, str, int], list[Cost]] = {
        (way, model, length): [] for length in lengths for model in models for way in WAYS
    }
    for number in range(1, rounds + 1):
        for (way, model, length), found in costs.items():
            command = [
                sys.executable,
                __file__,
                "--inner",
                model,
                way,
                str(length),
                str(max(lengths)),
                "--threads",
                str(threads),
            ]
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            )
            sys.stderr.write(done.stderr if done.returncode == 0 else "")
            if done.returncode:
                said = (
                    "failed: " + (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
                )
            else:
                found.append(Cost(*map(float, done.stdout.split())))
                said = f"{1000 * found[-1].seconds:,.1f} ms, {found[-1].peak / MB:,.1f} MB"
            print(
                f"round {number} of {rounds}, {way} of {length} tokens, {model}: {said}",
                file=sys.stderr,
                flush=True,
            )
    medians: dict[str, dict[str, dict[int, Cost]]] = {way: {model: {} for model in models} for way in WAYS}
    for (way, model, length), found in costs.items():
        if len(found) == rounds:  # where one failed, the rest say little
            medians[way][model][length] = Cost(*map(statistics.median, zip(*found, strict=True)))
    return medians


def table(found: Mapping[str, Mapping[int, Cost]], lengths: Sequence[int]) -> list[str]:
    """Markdown: each model at each length."""
    lines = [["", "tokens", "ms", "ms a token", "power", "MB", "KB a token", "power"], ["---"] + ["---:"] * 7]
    for model, costs in found.items():
        before: tuple[int, Cost] | None = None
        for length in lengths:
            if length not in costs:
                lines.append([model, f"{length:,}", "failed", *[""] * 5])
                continue
            cost = costs[length]
            slopes = (
                ["", ""]
                if before is None
                else [power(before[0], length, *pair) for pair in zip(before[1], cost, strict=True)]
            )
            ms = 1000 * cost.seconds
            memory = [digits(cost.peak / MB), digits(cost.peak / KB / length)]
            lines.append(
                [model, f"{length:,}", digits(ms), digits(ms / length), slopes[0], *memory, slopes[1]]
            )
            before = length, cost
    return [f"| {' | '.join(cells)} |" for cells in lines]


def power(short: int, long: int, before: float, after: float) -> str:
    return f"{math.log(after / before) / math.log(long / short):.2f}" if before > 0 < after else ""


def plural(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def digits(number: float) -> str:
    """Three that count."""
    return f"{number:,.0f}" if number >= 100 else f"{number:#.3g}"


# The images


def draw(found: Found, lengths: Sequence[int], quantity: str, paths: Sequence[Path]) -> None:
    """Two panels, training and decoding; `quantity` is time (ms) or memory (MB)."""
    from matplotlib.ticker import LogLocator

    scale = {"time": lambda cost: 1000 * cost.seconds, "memory": lambda cost: cost.peak / MB}[quantity]
    with figures.panels(list(WAYS.values()), (11.2, 4.6), paths) as axes:
        drawn = {
            way: {
                model: [(length, scale(costs[length])) for length in lengths if length in costs]
                for model, costs in found[way].items()
            }
            for way in WAYS
        }
        heights = [y for models in drawn.values() for points in models.values() for _, y in points if y > 0]
        low, high = min(heights, default=1.0) / 2, max(heights, default=10.0) * 1.3
        ends: dict[str, list[tuple[float, str, str, bool]]] = {}
        for panel, (way, models) in zip(axes, drawn.items(), strict=True):
            panel.set(
                xscale="log", yscale="log", xlim=(lengths[0] / 1.1, lengths[-1] * 1.1), ylim=(low, high)
            )
            ends[way] = slopes(panel, lengths, low * 1.15)
            for model, points in models.items():
                *_, colour, marker = MODELS[model]
                panel.plot(
                    *zip(*points, strict=True),
                    color=colour,
                    marker=marker,
                    ms=5,
                    lw=2,
                    zorder=3,
                    clip_on=False,
                )
                ends[way] += [(points[-1][1], model, colour, True)] if points else []
            panel.set_xticks(lengths, [f"{length:,}" for length in lengths])
            panel.set_xticks([], minor=True)
            panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 2000 else (1,)))
            panel.yaxis.set_major_formatter(lambda y, _: f"{y:,.0f}" if y >= 1 else f"{y:g}")
            panel.set_yticks([], minor=True)
            panel.set_xlabel("tokens of the source, and as many of the target")
        for panel, way in zip(axes, drawn, strict=True):
            figures.label(panel, lengths[-1], ends[way])
        axes[0].set_ylabel({"time": "milliseconds", "memory": "MB above the model's own"}[quantity])


def slopes(panel: Any, lengths: Sequence[int], bottom: float) -> list[tuple[float, str, str, bool]]:
    """What slopes 1 and 2 look like, from one point at the lower right: drawn faintly, and their labels."""
    last = lengths[-1]
    first = last / (last / lengths[0]) ** 0.3
    tops = {text: bottom * (last / first) ** slope for slope, text in ((1, "∝ tokens"), (2, "∝ tokens²"))}
    for top in tops.values():
        panel.plot([first, last], [bottom, top], color=figures.FAINT, lw=1, ls=(0, (2, 3)), zorder=1)
    return [(top, text, figures.FAINT, False) for text, top in tops.items()]


# The program


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "models", nargs="*", metavar="MODEL", help=", ".join(f'"{model}"' for model in MODELS)
    )
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS), metavar="L")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--threads", type=int, default=int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="for the tables and the images")
    # one measurement
    parser.add_argument(
        "--inner", nargs=4, metavar=("MODEL", "WAY", "LENGTH", "LONGEST"), help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    options.models = options.models or list(MODELS)
    options.lengths = sorted(set(options.lengths))
    if unknown := set(options.models) - set(MODELS):
        parser.error(f"no model {unknown.pop()}: choose {', '.join(MODELS)}")
    if min(options.lengths[0], options.rounds, options.threads) < 1:
        parser.error("--lengths, --rounds and --threads: at least 1")
    return options


def main() -> int:
    options = arguments()
    if options.inner:
        model, way, length, longest = options.inner
        cost = measure(model, way, int(length), int(longest), options.threads)
        print(f"{cost.seconds:.6f} {cost.peak:.0f}")
        return 0
    note_load()
    found = measure_all(options.models, options.lengths, options.rounds, options.threads)
    sizes = ", ".join(f"{model} {parameters(model, options.lengths[-1]):.1f}M" for model in options.models)
    lines = [
        (
            f"One sentence, float32, {options.threads} thread{'s' * (options.threads > 1)}, "
            f"torch {metadata.version('torch')}, {options.rounds} round{'s' * (options.rounds > 1)}; "
            f"weights: {sizes}"
        )
    ]
    for way, title in WAYS.items():
        lines += ["", title, "", *table(found[way], options.lengths)]
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        for quantity in ("time", "memory"):
            draw(
                found,
                options.lengths,
                quantity,
                [options.out / f"length-{quantity}.{ending}" for ending in ("svg", "png")],
            )
        (options.out / "length.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return (
        0
        if all(len(costs) == len(options.lengths) for models in found.values() for costs in models.values())
        else 1
    )


if __name__ == "__main__":
    sys.exit(main())
