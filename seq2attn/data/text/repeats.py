"""Pairs that come twice, and training pairs with a sentence of another split. A key stands for a sentence."""

from collections.abc import Collection

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from seq2attn.data.preparation import Drops
from seq2attn.data.spool import Spool

SOURCE_KEY, TARGET_KEY = "source_key", "target_key"  # columns of the spool
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no key of a source is lost
# Bytes of a target that says something: many sources have a short one, such as "Thank you."
_SENTENCE = 30


def without_duplicates(spool: Spool[None], drops: Drops, reason: str) -> Spool[None]:
    """The first of all pairs whose sides differ in case and white space alone."""
    pairs = keys_of(spool, SOURCE_KEY) * _MIX ^ keys_of(spool, TARGET_KEY)
    _, first = np.unique(pairs, return_index=True)
    keep = np.zeros(len(pairs), np.bool_)
    keep[first] = True
    return _select(spool, keep, drops, reason)


def without_sentences_of(
    others: Collection[Spool[None]], train: Spool[None], drops: Drops, reason: str
) -> Spool[None]:
    """The training pairs whose source is no source of the other splits, and whose target no target.

    Of a short target, another source may be the right one, so it is no reason.
    """
    if not others:
        return train
    sources, targets = (
        np.concatenate([keys_of(spool, column) for spool in others]) for column in (SOURCE_KEY, TARGET_KEY)
    )
    leaked = np.isin(keys_of(train, TARGET_KEY), targets) & (_target_bytes(train) >= _SENTENCE)
    leaked |= np.isin(keys_of(train, SOURCE_KEY), sources)
    return _select(train, ~leaked, drops, reason)


def _select(spool: Spool[None], keep: NDArray[np.bool_], drops: Drops, reason: str) -> Spool[None]:
    if keep.all():
        return spool
    rows = np.flatnonzero(~keep)
    drops.add_all(reason, len(rows), _places(spool, rows[: drops.EXAMPLES]))
    smaller = spool.select(keep, spool.path.with_name(f"{reason}.arrow"))
    spool.path.unlink()
    return smaller


def _places(spool: Spool[None], rows: NDArray[np.integer]) -> list[str]:
    places: list[str] = []
    first = 0
    for batch in spool.batches():
        here = rows[(rows >= first) & (rows < first + batch.num_rows)] - first
        places += batch.column("place").take(here.tolist()).to_pylist() if len(here) else []
        first += batch.num_rows
    return places


def keys_of(spool: Spool[None], column: str) -> NDArray[np.uint64]:
    """(N,): the keys of the sentences of one side."""
    columns = [batch.column(column).to_numpy() for batch in spool.batches()]
    return np.concatenate(columns) if columns else np.empty(0, np.uint64)


def _target_bytes(spool: Spool[None]) -> NDArray[np.integer]:
    sizes = [pc.binary_length(batch.column("target")).to_numpy() for batch in spool.batches()]
    return np.concatenate(sizes) if sizes else np.empty(0, np.int32)
