"""Which way the word links of a corpus point. Files of links do not say it.

A corpus of two languages has one file of links for both directions: whoever trains the other way reads it the
other way round.
"""

from collections.abc import Iterator, Sequence
from itertools import chain, islice

from seq2attn.data.corpus import Row
from seq2attn.data.formats.pharaoh import parse, turn
from seq2attn.errors import UserError

SAMPLE = 2000  # rows, from the first one with links on, that decide


def from_source(rows: Iterator[Row], notes: list[str]) -> Iterator[Row]:
    """The rows, with links from source to target.

    All links are turned round if, in the sample, one points past the end of a side as it stands, and none
    does when turned. A note says so. Otherwise they stay, and a link past the end is for others to refuse.
    """
    for row in rows:
        if not row.alignment:
            yield row
            continue
        sample = [row, *islice(rows, SAMPLE - 1)]
        turned = any(_points_past(one, False) for one in sample) and not any(
            _points_past(one, True) for one in sample
        )
        if turned:
            notes.append("word links point from the target to the source: they are read the other way round")
        for one in chain(sample, rows):
            yield one._replace(alignment=turn(one.alignment)) if turned and one.alignment else one


def _points_past(row: Row, turned: bool) -> bool:
    """Whether a link has no word at one of its ends. A line that is no list of links says nothing."""
    try:
        links = parse(row.alignment or "").possible
    except UserError:
        return False
    sides: Sequence[str] = (row.target, row.source) if turned else (row.source, row.target)
    counts = [len(side.split()) for side in sides]
    return any(i >= counts[0] or j >= counts[1] for i, j in links)
