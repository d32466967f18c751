"""Every preset in every number format: two updates, a validation, a saved run, and searches."""

import time
import traceback
import warnings
from collections.abc import Sequence

from seq2attn import config

from . import counts, workload

FORMATS = ("fp32", "bf16", "fp16")


def main(arguments: Sequence[str]) -> int:
    """A line for each; one that fails names the last line of ours. Returns how many failed."""
    failures = 0
    for preset in arguments or list(config.presets()):
        for format in FORMATS:
            began = time.perf_counter()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    result = workload.run(preset, format)
            except Exception as error:  # noqa: BLE001 - whatever fails is reported
                failures += 1
                print(f"FAIL  {preset:24} {format}  {place(error)}: {type(error).__name__}: {error}")
                continue
            total = counts.summary(result.updates[-1])
            print(
                f"ok    {preset:24} {format}  {time.perf_counter() - began:5.1f} s  loss "
                f"{result.losses[-1]:.3f}  {total.operations} operations, {total.copies} copies, "
                f"{total.waits} waits",
                flush=True,
            )
    return failures


def place(error: BaseException) -> str:
    """The last line of the package in the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "/seq2attn/" in frame.filename]
    return f"{own[-1].filename.rpartition('/seq2attn/')[2]}:{own[-1].lineno}" if own else "?"
