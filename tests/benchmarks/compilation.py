"""What train.compile gives: target tokens a second with it and without, the time that it takes to compile,
and the operations of the forward and backward pass of encoder and decoder.

    python tests/benchmarks/compilation.py [PRESET] [--data phrases] [--rounds 2] [--steps 30]
    [--precision bf16] [--cpu-seconds] [--set KEY=VALUE]

Each row is a program of its own; all run once in turn, then all again, and the median counts. Counted are
real target tokens from the eleventh update on. The compiler of each row begins without stored files.
Operations are those of this device, without views and allocations; with train.compile they are the kernels
and calls in the programs that torch wrote. On a GPU each is about one launch. Have the machine to yourself,
or let --cpu-seconds count seconds of the processor, of this process and of the compilers that it starts.
OMP_NUM_THREADS sets the threads.
"""

import argparse
import os
import re
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from in_turn import Failed, Row, last_line, note_load, output_of, run_in_turn
from training_speed import counted_steps, measure

WAYS = {"as it is": False, "train.compile": True}
REPORT = re.compile(r"(\d+) target tokens/s\ncompiled in ([\d.]+) s, (\d+) operations")
CALL = re.compile(r"(?:cpp_fused_\w+|triton_\w+\.run|extern_kernels\.\w+|torch\.ops\.\w+\.\w+[.\w]*)\(")


def inner(options: argparse.Namespace) -> None:
    """One row: prints its speed, the seconds of compilation and the operations."""
    if options.cpu_seconds:
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # g++ is then a child of this process, and counted
    from seq2attn import config
    from seq2attn.training.compiled_gradient import CompiledGradient

    folder, way = Path(options.inner[0]), options.inner[1]
    endless = ["train.max_steps=1000000", "train.validate_every=1000000", "train.metric=loss"]
    changes = [*options.set, *endless, f"train.compile={str(WAYS[way]).lower()}"]
    settings, compilation, spent = config.load(options.preset, changes), CompiledGradient._compile, [0.0]

    def timed(*arguments: Any) -> None:
        began = time.perf_counter()
        compilation(*arguments)
        spent[0] += time.perf_counter() - began

    clock = cpu_seconds if options.cpu_seconds else time.perf_counter
    with (
        tempfile.TemporaryDirectory() as cache,
        patch.object(CompiledGradient, "_compile", timed),
        patch.object(time, "perf_counter", clock),
    ):
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache
        measure(folder, settings, options.precision, options.steps)
        operations = operations_of_programs(Path(cache)) if WAYS[way] else operations_of(settings, options)
    print(f"compiled in {spent[0]:.1f} s, {operations} operations")


def cpu_seconds() -> float:
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def operations_of_programs(cache: Path) -> int:
    """The kernels and calls of libraries in the programs of a forward and a backward pass."""
    texts = (path.read_text(encoding="utf-8") for path in cache.rglob("*.py"))
    bodies = (text.partition("def call(")[2].partition("\nif __name__")[0] for text in texts)
    return sum(len(CALL.findall(body)) for body in bodies)


def operations_of(settings: Any, options: argparse.Namespace) -> int:
    """The operations of one batch, counted where torch calls them."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from seq2attn.data.prepared import Prepared
    from seq2attn.devices import autocast
    from seq2attn.models.seq2seq import build
    from seq2attn.training.microbatches import epoch_order, microbatch
    from seq2attn.training.objectives.cross_entropy import teacher_forcing

    class Counter(TorchDispatchMode):
        count = 0

        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            alias = [value.alias_info for value in function._schema.returns]
            is_view = any(info is not None and not info.is_write for info in alias)
            name = function._schema.name.partition("::")[2]
            allocates = name.startswith(("empty", "new_empty", "detach", "_unsafe_view", "_reshape_alias"))
            Counter.count += not (is_view or allocates)
            return function(*args, **(kwargs or {}))

    prepared, device = Prepared(Path(options.inner[0])), torch.device("cpu")
    model = build(settings.model, prepared.source_tokenizer.size, prepared.target_tokenizer.size)
    pairs = prepared.split("train")
    batch = microbatch(pairs, epoch_order(pairs, settings.train, 0)[0], 0, device)
    with Counter():
        with autocast(device, options.precision):
            features = teacher_forcing(model, batch, False).output.features_BTD
        features.backward(torch.ones_like(features))
    return Counter.count


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("preset", nargs="?", default="transformer", metavar="PRESET")
    parser.add_argument("--data", default="phrases", help="a corpus, as `prepare` takes it")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--cpu-seconds", action="store_true", help="for a busy machine; with one thread")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=counted_steps, default=30, help="updates of a row")
    parser.add_argument("--inner", nargs=2, metavar=("PREPARED", "WAY"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    options = arguments()
    if options.inner:
        inner(options)
        return 0
    import seq2attn
    from seq2attn import config

    note_load()
    more: dict[str, list[tuple[float, int]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work, "prepared")
        settings = config.load(options.preset, options.set).data.model_dump(exclude_defaults=True)
        seq2attn.prepare(options.data, folder, **settings)

        def run(way: str) -> float:
            command = [sys.executable, __file__, options.preset, "--inner", str(folder), way]
            command += ["--precision", options.precision, "--steps", str(options.steps)]
            command += ["--cpu-seconds"] * options.cpu_seconds
            printed = output_of(command + [f"--set={setting}" for setting in options.set])
            if not (match := REPORT.search(printed)):
                raise Failed(f"printed no speed: {last_line(printed)}")
            more[way].append((float(match[2]), int(match[3])))
            return float(match[1])

        rows = [Row(way, lambda way=way: run(way)) for way in WAYS]
        speeds, failures = run_in_turn(rows, options.rounds)
    threads = os.environ.get("OMP_NUM_THREADS", f"{os.cpu_count()}")
    clock = "seconds of the processor" if options.cpu_seconds else "seconds of the clock"
    print(f"{options.preset}, {options.data}, {options.precision}, {threads} threads, {clock}\n")
    print("| | target tokens/s | rounds | seconds to compile | operations |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for way, values in speeds.items():
        if way in failures:
            print(f"| {way} | failed: {failures[way]} | | | |")
            continue
        seconds, rounds = more[way][0][0], " ".join(f"{value:,.0f}" for value in values)
        print(f"| {way} | {statistics.median(values):,.0f} | {rounds} | {seconds:.0f} | {more[way][0][1]} |")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
