"""What a score costs when all T steps of S source positions are compared at once: peak memory and time of
forward and backward, per score.

    python tests/benchmarks/attention_memory.py [SCORE ...] [--sizes 100x100 2000x2000 ...] [--batch 2]
    [--units 256] [--limit MB]

A size is S x T. Beside it stands what the formula costs when it is written down as it is and left to
autograd, which keeps (B, T, S, A) tensors for the way
back; where the score is one matrix product, that is the same and left out. Each cell is a process of its own.
Memory is the most that was
resident above what the process held, inputs among it, before the first pass; time is the median of three
passes after that one. The (B, T, S) scores and their
gradient are part of both: their size stands beside them. A plain form that would need more than the limit
(half of what is free, where none is given) is not
run, and what it would need at least is said: the sum, its tanh and a gradient. "step by step" is the loop of
a decoder whose steps wait for each other.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
import typing
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import peak

from seq2attn import config

STEPWISE = "additive, step by step"
SCORES = typing.get_args(config.AttentionConfig.model_fields["score"].annotation)
ROWS = ("additive", STEPWISE, *(score for score in SCORES if score != "additive"))
# which the package does not just write down
PLAIN = ("additive", "concat", "concat-linear", "sigmoid", "cosine")
SIZES = ("100x100", "500x500", "100x2000", "2000x100", "1000x1000", "2000x2000")
PASSES, LONG = 3, 10.0  # a pass of more seconds is not repeated
MB = 2**20


def size(text: str) -> tuple[int, int]:
    source, _, target = text.partition("x")
    if not (source.isdecimal() and target.isdecimal() and int(source) and int(target)):
        raise argparse.ArgumentTypeError(f"{text}: write SxT, as in 500x200")
    return int(source), int(target)


# One cell, in a process of its own


def plain_form(name: str, score) -> Callable:
    """score(queries (B, T, A), memory (B, S, A)) as its formula reads."""
    import torch
    from torch.nn import functional as F

    def pairs(query, memory):
        shape = (len(query), query.size(1), memory.size(1), -1)
        return torch.cat([query[:, :, None].expand(shape), memory[:, None].expand(shape)], -1)

    forms = {
        "additive": lambda q, h: (score.query(q)[:, :, None] + score.key(h)[:, None]).tanh() @ score.v,
        "concat": lambda q, h: (pairs(q, h) @ score.weight.t()).tanh() @ score.v,
        "concat-linear": lambda q, h: (
            pairs(q, h) @ torch.cat([score.query.weight, score.key.weight], 1).t()
        )[..., 0],
        "sigmoid": lambda q, h: (
            pairs(q, h) @ torch.cat([score.query.weight, score.key.weight], 1).t() + score.query.bias
        )[..., 0].sigmoid(),
        "cosine": lambda q, h: 10 * score.p.exp() * F.cosine_similarity(q[:, :, None], h[:, None], -1),
    }
    return forms[name]


def measure(row: str, plain: bool, batch: int, source: int, target: int, units: int) -> None:
    """Print the peak memory in MB and the seconds of a pass."""
    import torch

    from seq2attn.attention.scores import build_score
    from seq2attn.devices import keep_freed_memory
    from seq2attn.kernels.deferred_gradients import unrolled

    keep_freed_memory()  # as training does
    name = row.split(",")[0]
    torch.manual_seed(1)
    score = build_score(
        config.AttentionConfig.model_construct(score=name, max_positions=source), units, units, units
    )
    for parameter in score.parameters():
        torch.nn.init.normal_(parameter, 0, units**-0.5)
    formula = plain_form(name, score) if plain else None

    def scores(query, memory):
        if formula is not None:
            return formula(query, memory)
        keys = score.project_keys(memory)
        if row != STEPWISE:
            return score(query, keys)
        with unrolled():
            return torch.cat([score(one, keys) for one in query.split(1, 1)], 1)

    def inputs(source: int, target: int):
        return torch.randn(batch, target, units, requires_grad=True), torch.randn(
            batch, source, units, requires_grad=True
        )

    def go(query, memory) -> float:
        began = time.perf_counter()
        found = scores(query, memory)
        found.backward(torch.ones_like(found))
        query.grad = memory.grad = None
        score.zero_grad()
        return time.perf_counter() - began

    go(*inputs(3, 2))  # what is loaded at first use, threads among it
    given = inputs(source, target)
    before = peak.forget()
    seconds = [go(*given)]
    most = peak.resident() - before
    if seconds[0] < LONG:
        seconds = [go(*given) for _ in range(PASSES)]
    print(f"{most / MB:.1f} {statistics.median(seconds):.6f}")


# The table


def cell(row: str, plain: bool, options: argparse.Namespace, source: int, target: int) -> tuple[str, str]:
    """MB and milliseconds, for people."""
    where = [str(number) for number in (options.batch, source, target, options.units)]
    command = [sys.executable, __file__, "--inner", row, "plain" if plain else "ours", *where]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr if done.returncode == 0 else "")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        return f"failed: {last}", ""
    most, seconds = map(float, done.stdout.split())
    return f"{most:,.1f}", f"{1000 * seconds:,.1f}"


def free() -> int:
    """MB that programs may still take."""
    return next(
        int(line.split()[1]) // 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemAvailable:")
    )


def line(row: str, options: argparse.Namespace, source: int, target: int, limit: int) -> list[str]:
    least = 3 * 4 * options.batch * source * target * options.units / MB
    ours = cell(row, False, options, source, target)
    theirs = ("", "")
    if row in PLAIN:
        theirs = (
            cell(row, True, options, source, target)
            if least <= limit
            else (f"not run: over {least:,.0f}", "")
        )
    return [row, str(source), str(target), f"{4 * options.batch * source * target / MB:,.1f}", *ours, *theirs]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "scores",
        nargs="*",
        metavar="SCORE",
        help=", ".join(f'"{row}"' if " " in row else row for row in ROWS),
    )
    parser.add_argument(
        "--sizes", nargs="+", type=size, default=[size(text) for text in SIZES], metavar="SxT"
    )
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument(
        "--units", type=int, default=256, help="A, of queries, keys and what is inside the tanh"
    )
    parser.add_argument("--limit", type=int, help="MB that a plain form may need")
    parser.add_argument("--inner", nargs=6, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if unknown := set(options.scores) - set(ROWS):
        parser.error(f"no score {unknown.pop()}: choose {', '.join(ROWS)}")
    return options


def main() -> None:
    options = arguments()
    if options.inner:
        row, way, *numbers = options.inner
        batch, source, target, units = map(int, numbers)
        measure(row, way == "plain", batch, source, target, units)
        return
    limit = options.limit if options.limit is not None else free() // 2
    threads, version = os.environ.get("OMP_NUM_THREADS", os.cpu_count()), metadata.version("torch")
    print(
        f"B = {options.batch}, A = {options.units}, float32, {threads} threads, "
        f"torch {version}; a process for each cell, peak resident"
    )
    print(
        f"memory above its inputs, median of {PASSES} passes of forward and backward; "
        f"plain forms up to {limit:,} MB\n"
    )
    print(
        "| score | S | T | scores, MB | peak, MB | ms | plain: peak, MB | plain: ms |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    for row in options.scores or ROWS:
        for source, target in options.sizes:
            print(f"| {' | '.join(line(row, options, source, target, limit))} |", flush=True)


if __name__ == "__main__":
    main()
