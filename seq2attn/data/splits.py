"""The choice of pairs to hold out for validation and test, so that no source sentence is in two splits.

This module knows only a 64-bit key of each sentence.
"""

import hashlib
import unicodedata

import numpy as np
from numpy.typing import NDArray

TRAIN, VALID, TEST = 0, 1, 2
NEVER = 0  # key of a pair that must stay in training


def key(sentence: str) -> int:
    """One key for all sentences that differ only in case, white space or Unicode form. It is never NEVER."""
    plain = " ".join(unicodedata.normalize("NFC", sentence).casefold().split())
    digest = hashlib.blake2b(plain.encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def assign_splits(keys: NDArray[np.uint64], valid: int, test: int, seed: int) -> NDArray[np.uint8]:
    """TRAIN, VALID or TEST for each pair (N,).

    `valid` and `test` pairs are sampled by `seed`. All pairs of one key are in the same split. A split gets
    fewer pairs if groups of equal sentences do not add up to its number, or if no pair is left.
    """
    groups, members, counts = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(groups))
    side_of = np.full(len(groups), TRAIN, dtype=np.uint8)
    left = {TEST: test, VALID: valid}
    for group in order:
        if not any(left.values()):
            break
        if groups[group] == NEVER:
            continue
        for side, room in left.items():
            if counts[group] <= room:
                side_of[group] = side
                left[side] -= int(counts[group])
                break
    return side_of[members]
