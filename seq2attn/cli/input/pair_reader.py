"""Pairs of texts as a stream: from two files of lines, or from lines with a tab between source and target."""

from collections.abc import Iterator
from typing import NamedTuple

from seq2attn.cli.input.line_reader import Line, LineReader
from seq2attn.errors import UserError

CHARACTERS = 1 << 16  # of the sources that one `take` returns, about: attention needs much memory


class Pair(NamedTuple):
    source: str
    target: str
    where: str  # for people: "test.en, line 7"
    cut: bool  # whether the end of a side was dropped, because its line was too long


class PairReader:
    """The pairs of `source` and `target`, or without them of `pairs`, in bounded memory.

    `pairs` may be "-", standard input. Raises UserError for a file that cannot be opened.
    """

    def __init__(self, source: str | None, target: str | None, pairs: str = "-") -> None:
        self._names = source or pairs, target or pairs
        self._sources = LineReader([source or pairs])
        self._targets = None if target is None else LineReader([target])
        self._error: UserError | None = None  # to be raised after the pairs before it

    def take(self, most: int) -> list[Pair]:
        """The next pairs, at most so many; none at the end.

        After the last pair before it, raises UserError for a line that has no partner or no tab.
        """
        if self._error is not None:
            raise self._error
        lines = self._sources.take(most, CHARACTERS)
        pairs: list[Pair] = []
        try:
            pairs.extend(self._beside(lines) if self._targets is not None else map(_divided, lines))
        except UserError as error:
            if not pairs:
                raise
            self._error = error
        return pairs

    def _beside(self, lines: list[Line]) -> Iterator[Pair]:
        """The pairs of the next lines of both files. Raises UserError if one file has more lines."""
        assert self._targets is not None
        count = 0
        while count < len(lines) and (others := self._targets.take(len(lines) - count)):
            for line, other in zip(lines[count:], others, strict=False):
                yield Pair(line.text, other.text, line.where, line.cut or other.cut)
            count += len(others)
        source, target = self._names
        if count < len(lines):
            raise UserError(_alone(source, lines[count], target))
        if not lines and (others := self._targets.take(1)):
            raise UserError(_alone(target, others[0], source))


def _alone(longer: str, line: Line, shorter: str) -> str:
    return f"{longer}: line {line.number:,} has no partner in {shorter}: every line needs one"


def _divided(line: Line) -> Pair:
    source, tab, rest = line.text.partition("\t")
    if not tab and source.strip():
        raise UserError(f"{line.where}: no tab: a line is a source, a tab and a target")
    return Pair(source, rest.partition("\t")[0], line.where, line.cut)
