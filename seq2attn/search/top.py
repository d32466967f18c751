"""The largest of many numbers, and the normaliser of a row of logits: what a search reads of a vocabulary at every step.

Each goes over the numbers as few times as torch allows: with a vocabulary of thousands that is a good part of a search's time.
"""

import torch
from torch import Tensor

BLOCK = 64  # numbers whose largest is found first


def largest(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest of the last dimension, largest first, and where they are, as torch.topk gives them (equal ones in any order).

    They all lie in the `count` blocks with the largest first numbers: only those are sorted.
    """
    size = x.size(-1)
    blocks = size // BLOCK
    if blocks < 4 * count:
        values, places = x.topk(count)
        return values, places
    rows = x.reshape(-1, size)
    whole = rows[:, : blocks * BLOCK].unflatten(1, (blocks, BLOCK))
    block = whole.amax(2).topk(count).indices
    some = whole.gather(1, block[:, :, None].expand(-1, -1, BLOCK)).flatten(1)
    place = (block[:, :, None] * BLOCK + torch.arange(BLOCK, device=x.device)).flatten(1)
    if size % BLOCK:
        rest = torch.arange(blocks * BLOCK, size, device=x.device)
        some, place = torch.cat([some, rows[:, blocks * BLOCK :]], 1), torch.cat([place, rest.expand(len(rows), -1)], 1)
    values, among = some.topk(count)
    return values.view(*x.shape[:-1], count), place.gather(1, among).view(*x.shape[:-1], count)


def wide(x: Tensor) -> Tensor:
    """In float32 at least: sums of half precision would lose what tells outputs apart."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def log_normaliser(logits_RN: Tensor) -> Tensor:
    """log sum exp of each row, (R)."""
    # torch's softmax goes over a row in the cache where its logsumexp goes through memory several times: four times as fast. The largest p is at least 1 / N.
    largest_R: Tensor = logits_RN.amax(1)
    return largest_R - logits_RN.softmax(1).amax(1).log()
