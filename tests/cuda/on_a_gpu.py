"""Is training on a real card right, and how fast is it? One table, in ten minutes at most.

    python tests/cuda/on_a_gpu.py                         all parts, on cuda:0
    python tests/cuda/on_a_gpu.py --out RESULTS.json      where the numbers go; default: on_a_gpu.json
    python tests/cuda/on_a_gpu.py speed decoding          these parts only
    python tests/cuda/on_a_gpu.py --minutes 4             in less time: some measurements are left out
    python tests/cuda/on_a_gpu.py --quick --device cpu    tiny models: does the script itself work?

Parts: agreement (loss and gradient of every preset against float32 on the CPU), loss (the softmax in place),
quality (first-try to the score that it has on a CPU), speed (training), decoding, and marian (MarianMTModel,
if transformers is installed). seq2attn must be installed, or PYTHONPATH its checkout.

A part that fails is a row of the table, and the others go on. The exit status is 1 if anything is wrong.
"""

import argparse
import json
import os
import platform
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [path for path in map(str, (FOLDER, FOLDER.parent)) if path not in sys.path]

import torch
from card import agreement, decoding, loss_kernel, marian, quality, speed
from card.session import OutOfTime, Row, Session

from seq2attn.devices import find_device, find_format
from seq2attn.version import __version__

# each part with its share of the time
PARTS: dict[str, tuple[float, Callable[[Session], Iterator[Row]]]] = {
    "loss": (0.03, loss_kernel.measure),
    "agreement": (0.27, agreement.measure),
    "speed": (0.27, speed.measure),
    "decoding": (0.14, decoding.measure),
    "marian": (0.12, marian.measure),
    "quality": (0.17, quality.measure),
}
GRACE = 20.0  # seconds after its end before a part is stopped
WIDTHS = (9, 31, 3)


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    began = time.monotonic()
    device = find_device(options.device)
    session = Session(device, options.quick, began)
    facts = describe(device)
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n", flush=True)
    rows: list[tuple[str, Row]] = []
    names = options.parts or list(PARTS)
    end = began + options.minutes * 60
    shares = {name: PARTS[name][0] for name in names}
    for name in names:
        # what earlier parts leave goes to the later ones
        session.end = time.monotonic() + (end - time.monotonic()) * shares[name] / sum(shares.values())
        del shares[name]
        for row in run(name, session):
            rows.append((name, row))
            print(line(name, row), flush=True)
    bad = [row for _, row in rows if row.good is False]
    minutes = (time.monotonic() - began) / 60
    print(f"{len(bad)} of {len(rows)} rows are wrong, after {minutes:.1f} minutes")
    result = {**facts, "minutes": minutes, "quick": options.quick, "rows": []}
    result["rows"] = [{"part": name, **asdict(row)} for name, row in rows]
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"the numbers are in {options.out}")
    return 1 if bad else 0


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9.5, help="at most so many in all")
    parser.add_argument("--quick", action="store_true", help="tiny models and few updates")
    parser.add_argument("--out", type=Path, default=Path("on_a_gpu.json"))
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.parts if name not in PARTS]:
        parser.error(f"no such part: {', '.join(unknown)}; choose from {', '.join(PARTS)}")
    return options


def describe(device: torch.device) -> dict[str, Any]:
    facts = {"seq2attn": __version__, "torch": torch.__version__, "device": str(device)}
    if device.type == "cuda":
        facts["card"] = torch.cuda.get_device_name(device)
        facts["capability"] = ".".join(map(str, torch.cuda.get_device_capability(device)))
        facts["CUDA"], facts["cuDNN"] = torch.version.cuda, torch.backends.cudnn.version()
    facts["auto precision"] = find_format("auto", device)
    facts["host"] = f"{platform.machine()}, {os.cpu_count()} cores"
    return facts


def run(name: str, session: Session) -> Iterator[Row]:
    """The rows of a part. What goes wrong is a row, too."""

    def stop(*_: object) -> None:
        raise OutOfTime("it took too long")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(0.1, session.left()) + GRACE)
    try:
        with warnings.catch_warnings(record=True) as notes:
            warnings.simplefilter("always")
            yield from PARTS[name][1](session)
        for text in dict.fromkeys(str(note.message).splitlines()[0] for note in notes):
            yield Row("warning", text)
    except OutOfTime as error:
        yield Row("out of time", str(error))
    except Exception as error:  # noqa: BLE001 - the other parts go on
        yield Row("failed", f"{type(error).__name__}: {error}".splitlines()[0], False)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def line(part: str, row: Row) -> str:
    judgement = {True: "ok", False: "BAD", None: ""}[row.good]
    cells = zip((part, row.what, judgement), WIDTHS, strict=True)
    return "  ".join([*(cell.ljust(width) for cell, width in cells), row.value])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
