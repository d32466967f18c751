"""Which sources form a batch. It knows lengths, and no model."""

import bisect
from collections.abc import Iterable, Sequence

LEAST_BATCH = 256  # source tokens; batches do not get smaller than this to give every core one
# A batch has a multiple of GROUP sources and, in full precision, a multiple of STEP positions.
#
# Matrix products choose their kernels by the shape: small and odd shapes get others than the rest, and
# kernels differ in the last bit, which can decide a near tie. With these multiples a sentence gives the
# same bits in every batch, on the CPUs that were tried. 8 positions were too few: registers hold 16
# numbers, and a kernel that reads fewer sums them in another order. (A product of less than 400
# multiplications still has a loop of torch's own: a single row that reads 16 positions with a head of less
# than 25 numbers.)
GROUP, STEP = 4, 16


def batches(
    rows: Iterable[int], lengths: Sequence[int], batch_tokens: int, cores: int = 1
) -> list[list[int]]:
    """Rows of similar length together, at most `batch_tokens` padded tokens in each batch.

    A longer row is a batch of its own. Each core gets the same number of batches of about equal size, unless
    they would be small.
    """
    rows = sorted(rows, key=lambda row: lengths[row])
    batches = fill_batches(rows, lengths, batch_tokens)
    if not batches:
        return []
    total = sum(lengths[row] for row in rows)
    count = max(len(batches), min(cores, total // LEAST_BATCH))
    count = -(-count // cores) * cores if count >= cores else count
    limits = range(total // count, batch_tokens)

    def are_enough(limit: int) -> bool:
        return len(fill_batches(rows, lengths, limit)) <= count

    least = bisect.bisect_left(limits, True, key=are_enough)  # a larger limit gives fewer batches
    return fill_batches(rows, lengths, limits[least]) if least < len(limits) else batches


def fill_batches(rows: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Batches from rows in ascending order of length, each as full as possible.

    A batch has a multiple of GROUP rows if the next batch has room for the rest.
    """
    batches: list[list[int]] = []
    start = 0
    for position, row in enumerate(rows):
        if lengths[row] * (position - start + 1) > batch_tokens and position > start:
            rest = (position - start) % GROUP
            fits = rest < position - start and lengths[row] * (rest + 1) <= batch_tokens
            end = position - rest if fits else position
            batches.append(list(rows[start:end]))
            start = end
    return [*batches, list(rows[start:])] if rows else []
