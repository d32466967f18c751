"""The rows of a corpus without their faults: some are mended, the others dropped. Both are counted.

A corpus without splits is cleaned as a whole, and of another only train: valid and test are what they are.
"""

from collections.abc import Iterator
from functools import partial

from seq2attn.config import DataConfig
from seq2attn.data.cleaning.faults import FAULTS
from seq2attn.data.cleaning.habits import SAMPLE, SAMPLE_CHARACTERS, Habits, habits_of
from seq2attn.data.cleaning.mending import CONTROL, ENTITIES, QUOTES, mend
from seq2attn.data.corpus import Row
from seq2attn.data.formats.text import is_blank
from seq2attn.data.preparation import Drops

DUPLICATES, TEST_SENTENCES = "duplicates", "test-sentences"
REASONS = (QUOTES, ENTITIES, CONTROL, *FAULTS, DUPLICATES, TEST_SENTENCES)
EMPTY = "empty"
_MUCH = 0.1  # share of the pairs, from which on a reason may be the corpus's own way of writing


class Cleaner:
    """Which faults are looked for, and how often each was met."""

    def __init__(self, options: DataConfig, languages: tuple[str | None, str | None]) -> None:
        self.keep = frozenset(REASONS if "all" in options.keep else options.keep)
        self.drops, self.mends = Drops(), Drops()
        self._faults = {reason: fault for reason, fault in FAULTS.items() if reason not in self.keep}
        self._languages = languages

    def rows(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The rows, each as it is, mended, or dropped if nothing mends it.

        The first ones are held back until there are enough to say what is usual.
        """
        sample: list[Row] = []
        characters = 0
        for row in rows:
            if row.split not in (None, "train"):
                yield row
            elif (better := self._mend(row)) is not None:
                sample.append(better)
                characters += len(better.source) + len(better.target)
                if len(sample) >= SAMPLE or characters > SAMPLE_CHARACTERS:
                    break
        pairs = [(row.source, row.target) for row in sample]
        habits = habits_of(pairs, self._languages) if self._faults else Habits(None, (frozenset(),) * 2, {})
        yield from filter(partial(self._is_good, habits=habits), sample)
        sample.clear()
        for row in rows:
            if row.split not in (None, "train"):
                yield row
            elif (better := self._mend(row)) is not None and self._is_good(better, habits):
                yield better

    def _mend(self, row: Row) -> Row | None:
        """The row with its texts put right; None if a side is empty, or if its word links would not fit."""
        source, target, reasons = mend(row.source, row.target, self.keep)
        if is_blank(source) or is_blank(target):
            self.drops.add(EMPTY, row.place)
            return None
        if not reasons:
            return row
        links_fit = not row.alignment or all(
            len(old.split()) == len(new.split()) for old, new in ((row.source, source), (row.target, target))
        )
        for reason in reasons if links_fit else reasons[:1]:
            (self.mends if links_fit else self.drops).add(reason, row.place)
        return row._replace(source=source, target=target) if links_fit else None

    def _is_good(self, row: Row, habits: Habits) -> bool:
        for reason, fault in self._faults.items():
            if fault(row.source, row.target, habits):
                self.drops.add(reason, row.place)
                return False
        return True

    def warnings(self, read: int) -> list[str]:
        """A note on each reason that is so frequent that it may be no fault."""
        dropped = self.drops.report()
        counts = {reason: dropped[reason]["pairs"] for reason in REASONS if reason in dropped}
        return [
            f"train: {reason} drops {count:,} of {read:,} pairs; are they good? `keep` {reason} leaves them"
            for reason, count in counts.items()
            if count > _MUCH * read
        ]
