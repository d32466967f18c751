"""Batches of a fixed size, so that an image's features do not depend on the other images of its batch.

A matrix product of more rows adds its terms in another order, so that the last bits of a row change with the
size of the batch. Outside training, and through a frozen backbone, images (or clips) therefore pass four at a
time, whatever the batch; the last ones are filled up with copies of the last. Then an image has the same
features to the last bit alone, in a batch, and from the cache of a frozen backbone. In training all pass at
once, which is faster.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SIZE = 4  # images, or clips


def in_fixed_batches(
    function: Callable[..., tuple[Tensor, ...]], *inputs: Tensor, whole: bool
) -> tuple[Tensor, ...]:
    """The function's results for all rows of the inputs, SIZE rows at a time, or at once if `whole`."""
    if whole:
        return function(*inputs)
    rows = len(inputs[0])
    filled = [torch.cat([x, x[-1:].expand(-rows % SIZE, *x.shape[1:])]) for x in inputs]
    batches = zip(*(x.split(SIZE) for x in filled), strict=True)
    outputs = [function(*batch) for batch in batches]
    return tuple(torch.cat(parts)[:rows] for parts in zip(*outputs, strict=True))
