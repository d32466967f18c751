"""Pairs that come twice, and training pairs that are in another split, known by the keys of their sentences."""

from collections.abc import Collection

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from seq2attn.data.preparation import Drops
from seq2attn.data.spool import Spool

TARGET_KEY = "target_key"  # the column of the spool
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no key of a source is lost
# Bytes of a target that says something: many sources have a short one, such as "Thank you."
_SENTENCE = 30


def without_duplicates(spool: Spool[None], drops: Drops, reason: str) -> Spool[None]:
    """The first of all pairs whose sides differ in case and white space alone."""
    pairs = spool.keys * _MIX ^ _target_keys(spool)
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
    sources = np.concatenate([spool.keys for spool in others])
    targets = np.concatenate([_target_keys(spool) for spool in others])
    leaked = np.isin(_target_keys(train), targets) & (_target_bytes(train) >= _SENTENCE)
    return _select(train, ~(leaked | np.isin(train.keys, sources)), drops, reason)


def _select(spool: Spool[None], keep: NDArray[np.bool_], drops: Drops, reason: str) -> Spool[None]:
    if keep.all():
        return spool
    rows = np.flatnonzero(~keep)
    drops.add_all(reason, len(rows), places_of(spool, rows[: drops.EXAMPLES]))
    smaller = spool.select(keep, spool.path.with_name(f"{reason}.arrow"))
    spool.path.unlink()
    return smaller


def places_of(spool: Spool[None], rows: NDArray[np.integer]) -> list[str]:
    """The places of a few rows, in order."""
    places: list[str] = []
    first = 0
    for batch in spool.batches():
        here = rows[(rows >= first) & (rows < first + batch.num_rows)] - first
        places += batch.column("place").take(here.tolist()).to_pylist() if len(here) else []
        first += batch.num_rows
    return places


def _target_keys(spool: Spool[None]) -> NDArray[np.uint64]:
    columns = [batch.column(TARGET_KEY).to_numpy() for batch in spool.batches()]
    return np.concatenate(columns) if columns else np.empty(0, np.uint64)


def _target_bytes(spool: Spool[None]) -> NDArray[np.integer]:
    sizes = [pc.binary_length(batch.column("target")).to_numpy() for batch in spool.batches()]
    return np.concatenate(sizes) if sizes else np.empty(0, np.int32)
