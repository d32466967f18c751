"""The options of experiments on attention, as typer annotations, and what they say.

They import nothing heavy, so that what makes no sense is refused before a run is loaded.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal

import typer

from seq2attn.cli.conflicts import Conflict, check
from seq2attn.cli.number_lists import numbers
from seq2attn.errors import UsageError
from seq2attn.explaining.experiment import ALL, Experiment

MOST_WORDS = 1024  # of --mask-source
_ATTEND = re.compile(r"\s*(\d{1,9})\s*:\s*(\d{1,9})\s*=\s*([+-]?\d*\.?\d+(?:[eE][+-]?\d+)?)\s*", re.ASCII)
_HEAD = re.compile(r"\s*(\d{1,9})\.(\d{1,9})\s*", re.ASCII)
_BOTH = "an experiment writes two translations side by side"
_OTHERS = "--n-best, --mbr, --scores, --alignments, --attention, --confidence, --format moses"

MaskSource = Annotated[
    list[str] | None,
    typer.Option(
        help="Experiment: hide source words, counted from 1, from the attention of the decoder, as 4 or 2-5. "
        "Writes the normal translation beside the changed one. Repeatable.",
        metavar="N,N-N",
        show_default=False,
    ),
]
Attend = Annotated[
    list[str] | None,
    typer.Option(
        help="Experiment: 3:5=1 makes step 3 read source word 5 with weight 1 in all heads. The other words "
        "share the rest. A step writes one subword. Both count from 1. Repeatable.",
        metavar="STEP:WORD=WEIGHT",
        show_default=False,
    ),
]
Uniform = Annotated[
    list[str] | None,
    typer.Option(
        help="Experiment: equal weights for all source positions in one head, as 2.3 for layer 2, head 3, or "
        "in all heads. Repeatable.",
        metavar="LAYER.HEAD|all",
        show_default=False,
    ),
]
RULES = tuple(Conflict(option, _OTHERS, _BOTH) for option in ("--mask-source", "--attend", "--uniform"))


def experiment(
    mask_source: list[str] | None,
    attend: list[str] | None,
    uniform: list[str] | None,
    others: Mapping[str, object],
) -> Experiment:
    """The experiment of the options, which may change nothing. `others` are options that it excludes.

    Raises UsageError for what makes no sense for any text and any run.
    """
    given: dict[str, object] = {"--mask-source": mask_source, "--attend": attend, "--uniform": uniform}
    check(RULES, {**given, **others})
    words = [
        word for text in mask_source or () for word in numbers("--mask-source", text, MOST_WORDS, "words")
    ]
    result = Experiment(dict.fromkeys(words), _attend(attend or []), {}, _uniform(uniform or []))
    result.check()
    return result


def _attend(texts: list[str]) -> dict[tuple[int, int], float]:
    weights: dict[tuple[int, int], float] = {}
    for text in texts:
        match = _ATTEND.fullmatch(text)
        if match is None:
            raise UsageError(f"--attend {text}: write STEP:WORD=WEIGHT, as 3:5=1 or 3:5=0.5")
        place = int(match[1]), int(match[2])
        if place in weights:
            raise UsageError(f"--attend {text}: step {match[1]} has a weight for word {match[2]} already")
        weights[place] = float(match[3])
    return weights


def _uniform(texts: list[str]) -> list[tuple[int, int]] | Literal["all"]:
    heads: dict[tuple[int, int], None] = {}
    parts = [part.strip() for text in texts for part in text.split(",")]
    every = False
    for part in parts:
        if part.lower() == ALL:
            every = True
            continue
        match = _HEAD.fullmatch(part)
        if match is None:
            raise UsageError(f"--uniform {part}: write LAYER.HEAD, counted from 1, as 2.3; or all")
        heads[int(match[1]), int(match[2])] = None
    return ALL if every else list(heads)
