"""A check of the compiled rules of normalisation in a SentencePiece model, before SentencePiece follows them.

The rules replace characters, as "ﬁ" by "fi" (NFKC). They are a double-array trie (darts-clone) behind its
size in bytes, and then the texts that it leads to, each with a zero byte at its end. SentencePiece walks the
trie without a check of its bounds. Here every unit of it, reachable or not, must lead to a unit that exists,
and every value to a text; and no text may be long, because it may replace each character of an input.
"""

import numpy as np

MOST_BYTES = 1 << 24  # of the rules of a model; those of NFKC have 240,000
LONGEST = 64  # bytes of a text; the longest of NFKC, that of "ﷺ", has 33
_BLOCK = 256  # units that one step reaches, by the next byte
_SIZE = 4  # bytes of the size, and of a unit


def refuse_unsound(rules: bytes) -> None:
    """Raise ValueError for rules that could lead SentencePiece out of their bounds, or make texts huge."""
    if not rules:
        return
    size = int.from_bytes(rules[:_SIZE], "little")
    if len(rules) > MOST_BYTES or size % _SIZE or not _SIZE * _BLOCK <= size <= len(rules) - _SIZE:
        raise ValueError("rules of normalisation without a trie")
    units = np.frombuffer(rules, "<u4", size // _SIZE, _SIZE).astype(np.int64)
    texts = np.frombuffer(rules, np.uint8, offset=_SIZE + size)
    ends = np.flatnonzero(texts == 0)
    if not len(texts) or texts[-1] or np.diff(ends, prepend=-1).max() - 1 > LONGEST:
        raise ValueError("rules of normalisation with a text that is too long")
    is_value = units >> 31 == 1
    reached = np.arange(len(units)) ^ (units >> 10 << ((units & 1 << 9) >> 6))
    inner, has_value = reached[~is_value], (units >> 8 & 1 == 1) & ~is_value
    if (inner | _BLOCK - 1).max(initial=0) >= len(units):
        raise ValueError("rules of normalisation that lead nowhere")
    values = units[reached[has_value]]
    if not (values >> 31 == 1).all() or (values & (1 << 31) - 1).max(initial=0) >= len(texts):
        raise ValueError("rules of normalisation that lead to no text")
