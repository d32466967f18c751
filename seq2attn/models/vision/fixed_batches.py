"""Batches of a fixed size, so that an image's features do not depend on the other images of its batch.

A matrix product of more rows adds its terms in another order, so that the last bits of a row change with the
size of the batch. Outside training, and through a frozen backbone, images (or clips) therefore pass four at a
time, whatever the batch; the last ones are filled up with copies of the last. Then an image has the same
features to the last bit alone, in a batch, and from the cache of a frozen backbone. In training all pass at
once, which is faster. On CUDA, whose convolutions promise no bits, more pass at a time.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SIZE = {"cpu": 4, "cuda": 64}  # images, or clips: four use a tenth of a large GPU


def in_fixed_batches(
    function: Callable[..., tuple[Tensor, ...]], *inputs: Tensor, whole: bool
) -> tuple[Tensor, ...]:
    """The function's results for all rows of the inputs, SIZE rows at a time, or at once if `whole`."""
    if whole:
        return function(*inputs)
    rows, size = len(inputs[0]), SIZE[inputs[0].device.type]
    filled = [torch.cat([x, x[-1:].expand(-rows % size, *x.shape[1:])]) for x in inputs]
    batches = zip(*(x.split(size) for x in filled), strict=True)
    outputs = [function(*batch) for batch in batches]
    return tuple(torch.cat(parts)[:rows] for parts in zip(*outputs, strict=True))
