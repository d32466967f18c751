"""The agreement of word alignments with gold alignments.

The scores are alignment error rate, precision and recall (Och and Ney 2003). This module knows no model.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from seq2attn.data.formats.pharaoh import Link, Links, check_words, parse, parse_lines
from seq2attn.errors import UserError

__all__ = ["AlignmentScore", "Link", "Links", "check_words", "parse", "parse_lines", "percent", "score"]


class AlignmentScore(NamedTuple):
    """Shares from 0 to 1, and how many links each is computed from.

    They are the error rate (lower is better), the precision against the possible links, and the recall of the
    sure links. A share of nothing is None: the precision if there is no link, the recall if no link is sure,
    the error rate if both are so.
    """

    error_rate: float | None
    precision: float | None
    recall: float | None
    links: int
    sure: int
    possible: int

    def __str__(self) -> str:
        shares = percent(self.error_rate), percent(self.precision), percent(self.recall)
        return "AER {}  precision {}  recall {}".format(*shares)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


def score(predicted: Sequence[Collection[Link]], gold: Sequence[Links]) -> AlignmentScore:
    """The scores of `predicted` links over the whole corpus.

    The alignment error rate is 1 - (|A and S| + |A and P|) / (|A| + |S|) for predicted links A, sure links S
    and possible links P. Raises UserError if the lines differ in number.
    """
    if len(predicted) != len(gold):
        raise UserError(
            f"{len(predicted):,} alignments to score, but the gold has {len(gold):,} lines: "
            "every pair needs its own"
        )
    links = sure = possible = in_sure = in_possible = 0
    for ours, truth in zip(predicted, gold, strict=True):
        aligned = set(ours)
        links += len(aligned)
        sure += len(truth.sure)
        possible += len(truth.possible)
        in_sure += len(aligned & truth.sure)
        in_possible += len(aligned & truth.possible)
    error_rate = 1 - (in_sure + in_possible) / (links + sure) if links + sure else None
    return AlignmentScore(
        error_rate,
        in_possible / links if links else None,
        in_sure / sure if sure else None,
        links,
        sure,
        possible,
    )
