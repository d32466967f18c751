"""The most memory that this process has held since the last reset. Linux alone: it reads /proc."""

import contextlib
import ctypes
import gc
import sys
from pathlib import Path


def resident() -> int:
    """Bytes, the most that were resident."""
    return next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    )


def forget() -> int:
    """Start anew from what is held now, and give that back; what was freed goes to the system first, so that
    it counts when it is taken again.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # musl has none
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        print("the peak cannot be reset here: small numbers are too small", file=sys.stderr)
    return resident()


def children() -> int:
    """Bytes that the children of this process have for themselves now."""
    pids = Path("/proc/self/task").glob("*/children")
    rollups = [
        Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        for file in pids
        for pid in file.read_text(encoding="ascii").split()
    ]
    return sum(
        1024 * int(line.split()[1])
        for rollup in rollups
        for line in rollup.splitlines()
        if line.startswith("Private_")
    )
