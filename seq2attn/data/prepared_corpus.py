"""A prepared folder of text as a corpus again: its text, as it was read, in the splits that it has.

So data that were prepared for one vocabulary are encoded in another. Links of words that are no part of the
corpus, but were made for it, are left behind.
"""

from collections.abc import Iterator
from pathlib import Path

from seq2attn.data.corpus import Row
from seq2attn.data.prepared import REPORT, Prepared
from seq2attn.data.text.corpus import Corpus

BLOCK = 10_000  # pairs that are read at a time


def is_prepared(path: str) -> bool:
    return (Path(path) / REPORT).is_file()


def open_prepared(path: str) -> Corpus:
    """The corpus. Raises UserError if the folder is damaged or holds images."""
    prepared = Prepared(path)
    prepared.source_tokenizer  # noqa: B018 - images have none: it raises the error

    def rows() -> Iterator[Row]:
        for name in prepared.splits:
            split, gold = prepared.split(name), prepared.split(name).gold
            for first in range(0, len(split), BLOCK):
                pairs = zip(*split.texts(first, first + BLOCK), strict=True)
                for row, (source, target) in enumerate(pairs, first):
                    alignment = None if gold is None else gold[row]
                    yield Row(source, target, f"{name}:{row + 1}", name, alignment)

    return Corpus(prepared.report["corpus"], prepared.languages, rows, [prepared.path / REPORT])
