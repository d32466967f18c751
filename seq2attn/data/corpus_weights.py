"""The name of a corpus with its weight among several: "b.tsv:0.3"."""

import re
from pathlib import Path
from typing import NamedTuple

from seq2attn.errors import UsageError

LEAST, MOST = 0.001, 100.0  # a weight
_WEIGHT = re.compile(r"(.+):(\d+(?:\.\d*)?|\.\d+)")


class CorpusWeight(NamedTuple):
    """A corpus by its name, and how often an epoch has each of its training pairs."""

    name: str
    weight: float = 1.0


def split_weight(name: str) -> CorpusWeight:
    """The corpus and the weight of "NAME:WEIGHT", or the name itself with weight 1.

    A file whose whole name is `name` is that file. Raises UsageError for a weight that is out of bounds.
    """
    match = _WEIGHT.fullmatch(name)
    if match is None or Path(name).exists():
        return CorpusWeight(name)
    weight = float(match[2])
    if not LEAST <= weight <= MOST:
        raise UsageError(f"{name}: a weight is from {LEAST:g} to {MOST:g}", setting="corpus")
    return CorpusWeight(match[1], weight)
