"""Which sources are searched for together, and the padded tensors of texts. It knows lengths and ids, and no
model.
"""

import bisect
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from seq2attn.data.tokenizer import EOS, PAD, Tokenizer

LEAST_BATCH = 256  # source tokens: smaller batches are not made to give every core one
LONGEST_TEXT = 2**20  # characters of one text that are looked at
# a batch has a multiple of GROUP sources and, in full precision, a multiple of STEP positions: see
# `padded_sources`
GROUP, STEP = 4, 16


def batches(
    rows: Iterable[int], lengths: Sequence[int], batch_tokens: int, cores: int = 1
) -> list[list[int]]:
    """Rows of like length together, at most `batch_tokens` padded tokens a batch; a longer one is a batch of
    its own.

    Each core gets as many batches, of about as many tokens, unless they would be small.
    """
    rows = sorted(rows, key=lambda row: lengths[row])
    batches = filled(rows, lengths, batch_tokens)
    if not batches:
        return []
    total = sum(lengths[row] for row in rows)
    count = max(len(batches), min(cores, total // LEAST_BATCH))
    count = -(-count // cores) * cores if count >= cores else count
    limits = range(total // count, batch_tokens)
    # more tokens a batch, fewer batches
    least = bisect.bisect_left(limits, True, key=lambda limit: len(filled(rows, lengths, limit)) <= count)
    return filled(rows, lengths, limits[least]) if least < len(limits) else batches


def filled(rows: Sequence[int], lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """One batch after the other, each as full as can be, in ascending order of lengths. Of a multiple of
    GROUP sentences, where the rest has room in the next.
    """
    batches: list[list[int]] = []
    start = 0
    for place, row in enumerate(rows):
        if lengths[row] * (place - start + 1) > batch_tokens and place > start:
            rest = (place - start) % GROUP
            end = (
                place - rest if rest < place - start and lengths[row] * (rest + 1) <= batch_tokens else place
            )
            batches.append(list(rows[start:end]))
            start = end
    return [*batches, list(rows[start:])] if rows else []


def padded_sources(ids: Sequence[Sequence[int]], multiple: int) -> Tensor:
    """Sources with their end tokens, `multiple` or a multiple of it long.

    Matrix products choose their kernels by the shape, small and odd ones others than the rest, and kernels
    differ in the last bit: enough to turn a near tie.
    With such a length, and a multiple of GROUP sentences, a sentence gives the same bits in every batch on
    the CPUs that were tried. (8 positions were too few:
    registers hold 16 numbers, and what reads fewer sums them in another order. A product of less than 400
    multiplications, a lone row that reads 16 positions
    by a head of less than 25 numbers, still has a loop of torch's own.)
    """
    padded_BS = padded([[*source, EOS] for source in ids], PAD)
    return torch.nn.functional.pad(padded_BS, (0, -padded_BS.shape[1] % multiple), value=PAD)


def bounded(text: str) -> str:
    """The text, or its beginning up to a space where it is longer than LONGEST_TEXT.

    No piece of a tokenizer reaches over a space, so what is left is cut as it would be within the whole. Of a
    text without a space so much is kept that only
    pieces far behind any that is read can differ.
    """
    if len(text) <= LONGEST_TEXT:
        return text
    space = text.rfind(" ", LONGEST_TEXT // 2, LONGEST_TEXT)
    return text[: space if space > 0 else LONGEST_TEXT]


def encoded(
    tokenizer: Tokenizer, texts: Sequence[str], most: int | None = None, lengths: list[int] | None = None
) -> list[list[int]]:
    """The ids of each text, `most` of them if given: then long texts take memory one after the other.
    `lengths` gets the numbers of all.
    """
    found: list[list[int]] = []
    start = size = 0
    for place, text in enumerate(texts, 1):
        size += len(text)
        if size >= LONGEST_TEXT or place == len(texts):
            for ids in tokenizer.encode_batch([bounded(one) for one in texts[start:place]]):
                found.append(ids if most is None else ids[:most])
                if lengths is not None:
                    lengths.append(len(ids))
            start, size = place, 0
    return found


def padded(ids: Sequence[Sequence[int]], filler: int) -> Tensor:
    longest = max(map(len, ids))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in ids], dtype=torch.long).view(
        len(ids), longest
    )
