"""Programs that are measured one after another, then all again: rows of a table, each a process of its own.
Knows neither what they do nor the package.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple


class Failed(Exception):
    """A row gave no number; the text says why in a line."""


class Row(NamedTuple):
    name: str
    run: Callable[[], float]  # a speed; raises Failed


def run_in_turn(rows: list[Row], rounds: int) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Speeds of each row, and why those that failed did; one that fails is not run again."""
    speeds: dict[str, list[float]] = {row.name: [] for row in rows}
    failures: dict[str, str] = {}
    for number in range(1, rounds + 1):
        for row in rows:
            if row.name in failures:
                continue
            try:
                speeds[row.name].append(row.run())
                said = f"{speeds[row.name][-1]:.0f}"
            except Failed as error:
                failures[row.name] = said = str(error)
            print(f"round {number} of {rounds}, {row.name}: {said}", file=sys.stderr, flush=True)
    return speeds, failures


def output_of(command: str | Sequence[str], folder: Path | None = None) -> str:
    """What a command (a string is one for the shell) prints on both streams."""
    # Of another environment, or relative to another folder.
    environment = {
        name: value for name, value in os.environ.items() if folder is None or name != "PYTHONPATH"
    }
    try:
        done = subprocess.run(
            command,
            check=False,
            shell=isinstance(command, str),
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except OSError as error:
        raise Failed(str(error)) from None
    if done.returncode:
        raise Failed(f"exit status {done.returncode}: {last_line(done.stdout)}")
    return done.stdout


def number_before(unit: str, printed: str) -> float:
    """The last one that stands before the unit. Raises Failed."""
    found = re.findall(rf"([\d,]+(?:\.\d+)?) {re.escape(unit)}", printed)
    if not found:
        raise Failed(f'printed no "N {unit}": {last_line(printed)}')
    return float(found[-1].replace(",", ""))


def last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "(nothing printed)")


def against(text: str) -> tuple[str, str]:
    """An option's NAME=COMMAND."""
    name, equals, command = text.partition("=")
    if not equals or not name.strip() or not command.strip():
        raise argparse.ArgumentTypeError(f"{text}: write NAME=COMMAND")
    return name.strip(), command


def note_load() -> None:
    """Say so where others use the machine."""
    if (load := os.getloadavg()[0]) > 0.5:
        print(f"the machine is busy (load {load:.1f}): what follows says little", file=sys.stderr)
