"""Every preset in every number format: two updates, a validation, a saved run, and searches."""

import itertools
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from pathlib import Path

from small import settings_of

from seq2attn import config

from . import workload

FORMATS = ("fp32", "bf16", "fp16")


def main(arguments: Sequence[str]) -> int:
    """A line for each; one that fails names the last line of ours. Returns how many failed."""
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for preset, format in itertools.product(arguments or list(config.presets()), FORMATS):
            began = time.perf_counter()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    settings = settings_of(preset, 2)
                    path = Path(folder, f"{preset}-{format}", "run")
                    training = workload.train(path, settings, format)
                    workload.decode(path, format)
            except Exception as error:  # noqa: BLE001 - whatever fails is reported
                failures += 1
                print(f"FAIL  {preset:24} {format}  {place(error)}: {type(error).__name__}: {error}")
                continue
            total = training.last
            print(
                f"ok    {preset:24} {format}  {time.perf_counter() - began:5.1f} s  loss "
                f"{training.losses[-1]:.3f}  {total.operations} operations, {total.copies} copies, "
                f"{total.waits} waits",
                flush=True,
            )
    return failures


def place(error: BaseException) -> str:
    """The last line of the package in the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/seq2attn/" in frame.filename]
    return f"{own[-1].filename.rpartition('/seq2attn/')[2]}:{own[-1].lineno}" if own else "?"
