"""Pairs of input as lines of links: blocks that are aligned together, with warnings."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from seq2attn.cli import console
from seq2attn.cli.input import line_reader
from seq2attn.cli.input.pair_reader import PairReader
from seq2attn.cli.output import result_files
from seq2attn.cli.output.repeated_warning import RepeatedWarning

if TYPE_CHECKING:
    from seq2attn.explaining.aligner import Aligner

FIRST, MOST = 64, 1024  # pairs that are aligned together: few at first, for an early answer, then more


def write(aligner: "Aligner", pairs: PairReader, output: Path | None, progress: bool) -> None:
    """Write a line of links for each pair, as soon as its block is aligned."""
    from seq2attn.explaining.aligner import pharaoh

    long = RepeatedWarning("too long to be aligned: their lines are empty")
    with ExitStack() as stack:
        stack.callback(long.close)
        live = stack.enter_context(console.progress()) if progress else None
        to: Callable[[str], None] = result_files.writer(stack, output)
        started, number, size = time.monotonic(), 0, FIRST
        while block := pairs.take(size):
            links = aligner.links([pair.source for pair in block], [pair.target for pair in block], number)
            for pair, one in zip(block, links, strict=True):
                if pair.cut or one is None:
                    least = f"more than {line_reader.LONGEST:,} bytes" if pair.cut else _tokens()
                    long.warn(f"{pair.where}: a side has {least}: the pair is not aligned")
            to(
                "".join(
                    f"{'' if pair.cut else pharaoh(one or [])}\n"
                    for pair, one in zip(block, links, strict=True)
                )
            )
            number, size = number + len(block), min(2 * size, MOST)
            if live is not None:
                speed = number / max(time.monotonic() - started, 1e-9)
                live("aligning", number, None, f"{speed:,.0f} pairs/s")


def _tokens() -> str:
    from seq2attn.inference import MAX_SOURCE

    return f"more than {MAX_SOURCE:,} tokens"
