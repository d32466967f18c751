"""How fast training and translation are beside another busy program, against the machine to themselves.

    python tests/benchmarks/busy_machine.py [--preset first-try] [--steps 24] [--busy 1] [--rounds 2]

Five rows, in turn and then again, each a process of its own:

    training, alone                updates a second, with all threads that torch takes
    training, beside               the same beside --busy programs that compute without end
    training, beside, spinning     the same, but threads spin while they wait, as OpenMP does by itself
    translation, alone             sentences a second
    translation, beside            the same beside the busy programs

A row "beside" gives its speed as a share of the same work alone. Before, the machine must be idle. The first
seconds count too: threads spin until the first look at their waits.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BUSY = "while True: pass"
ROWS = {
    "training, alone": ("train", False, False),
    "training, beside": ("train", True, False),
    "training, beside, spinning": ("train", True, True),
    "translation, alone": ("translate", False, False),
    "translation, beside": ("translate", True, False),
}


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    programs = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def train(run: Path, preset: str, steps: int, spinning: bool) -> float:
    """Updates a second, from the fourth on."""
    import seq2attn
    from seq2attn import shared_cores
    from seq2attn.training.events import Update

    if spinning:
        shared_cores.gnu_openmp = lambda: None
    changes = {"train.max_steps": steps, "train.validate_every": steps * 10}
    done, began = 0, 0.0
    with seq2attn.training_session(preset, out=run, settings=changes, device="cpu", force=True) as training:
        for event in training.events():
            done += isinstance(event, Update)
            if done == 3:
                began = began or time.perf_counter()
            if done == steps:
                break
    return (done - 3) / (time.perf_counter() - began)


def translate(run: Path, preset: str, sentences: int) -> float:
    """Sentences a second, after a first call. The model has learnt for one update: its outputs are long."""
    import seq2attn
    from seq2attn.inference import Translator

    if not (run / "model.safetensors").exists():
        seq2attn.train(preset, out=run, settings={"train.max_steps": 1}, device="cpu")

    texts = [
        f"the {word} sees the small house near the river {number}"
        for number in range(sentences // 4)
        for word in ("man", "dog", "woman", "child")
    ]
    translator = Translator.load(run, device="cpu")
    translator.translate(texts[:16])
    began = time.perf_counter()
    translator.translate(texts)
    return len(texts) / (time.perf_counter() - began)


def measured(work: str, run: Path, arguments: argparse.Namespace, beside: bool, spinning: bool) -> float:
    command = [sys.executable, __file__, "--work", work, "--run", str(run), "--preset", arguments.preset]
    command += ["--steps", str(arguments.steps), "--sentences", str(arguments.sentences)]
    command += ["--spinning"] * spinning
    with busy_programs(arguments.busy if beside else 0):
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return float(output.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="first-try")
    parser.add_argument("--steps", type=int, default=24, help="updates of each row")
    parser.add_argument("--sentences", type=int, default=400)
    parser.add_argument("--busy", type=int, default=1, help="programs that compute without end")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--work", choices=("train", "translate"), help=argparse.SUPPRESS)
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--spinning", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work == "train":
        print(train(arguments.run, arguments.preset, arguments.steps, arguments.spinning))
        return
    if arguments.work == "translate":
        print(translate(arguments.run, arguments.preset, arguments.sentences))
        return
    speeds: dict[str, list[float]] = {name: [] for name in ROWS}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, arguments.rounds + 1):
            for name, (work, beside, spinning) in ROWS.items():
                speeds[name].append(measured(work, Path(folder, work), arguments, beside, spinning))
                print(
                    f"round {number} of {arguments.rounds}, {name}: {speeds[name][-1]:.2f}", file=sys.stderr
                )
    for name, values in speeds.items():
        alone = statistics.median(speeds[f"{name.split(',')[0]}, alone"])
        print(f"{name:28} {statistics.median(values):8.2f} a second {statistics.median(values) / alone:6.0%}")


if __name__ == "__main__":
    main()
