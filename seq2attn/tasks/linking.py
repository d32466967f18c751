"""What links the words of training pairs while a corpus is prepared: eflomal, or the attention of a run."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from seq2attn.config import DataConfig
from seq2attn.errors import UsageError
from seq2attn.progress import Progress

if TYPE_CHECKING:
    from seq2attn.data.linking import Linker
    from seq2attn.explaining.aligner import Aligner

BLOCK = 1024  # pairs that are aligned together


def linker_of(options: DataConfig, runs: Sequence[str] = (), device: str = "auto") -> "Linker | None":
    """What links the words of training pairs; None: the corpus alone.

    `runs` are a run and perhaps one that translates the other way: see `tasks.alignment`. Raises UsageError
    if both are asked for, UserError if eflomal is missing or a run cannot align.
    """
    if runs and options.align != "corpus":
        raise UsageError(
            f"align_with and `align`: the links come from {runs[0]} or from {options.align}; leave one out",
            setting="align_with",
        )
    if options.align == "eflomal":
        from seq2attn.explaining import eflomal

        eflomal.refuse_missing()
        return eflomal.link
    if not runs:
        return None
    from seq2attn.tasks.alignment import open_aligner, rule_of_run

    return partial(_by_attention, open_aligner(runs, rule_of_run(runs[0], reads=True), device=device))


def _by_attention(
    aligner: "Aligner", pairs: Callable[[], Iterator[tuple[str, str]]], folder: Path, progress: Progress
) -> Iterator[str]:
    from itertools import islice

    from seq2attn.explaining.aligner import pharaoh

    number, rows = 0, pairs()
    while block := list(islice(rows, BLOCK)):
        sides = [pair[0] for pair in block], [pair[1] for pair in block]
        for links in aligner.links(*sides, number):
            yield pharaoh(links or [])
        number += len(block)
        progress(number, None)
