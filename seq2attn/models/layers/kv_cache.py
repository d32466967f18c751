"""Keys and values of the tokens that a search has written, in one cache for all rows of a sentence.

Each step of each row gets a slot that never moves. A mask, which moves with the row, marks the slots of the
row's past:

    slot      0 1 2 | 3 4 5 | 6 7 8     width 3; step t writes the slots 3 t to 3 t + 2
    row 0     x     |   x   | x         its own step 2, after step 1 of row 1 and step 0 of row 0
    row 1     x     |   x   |   x       its own step 2, after the same steps, whose slots it shares
    row 2         x |     x |     x     its own steps

So a search that reorders its rows copies no keys, and all rows of a sentence read one matrix of keys
together.
"""

from typing import Self

import torch
from torch import Tensor

from seq2attn.kernels.dot_product import compute_dtype
from seq2attn.models.state import Selectable

# Slots of the first buffers. The next ones have twice as many slots as are needed, so that all copies
# together are no more than twice the slots.
INITIAL_CAPACITY = 16


class Cache(Selectable):
    def __init__(self, keys: Tensor, values: Tensor, used: int, written: list[int]) -> None:
        """Buffers (B, G, capacity, d), of which this cache has the first `used` slots. `written` holds one
        number, which all caches on the same buffers share: how many slots are written. If it is above `used`,
        another cache has appended, and `append` has to copy.
        """
        self.keys, self.values, self.used, self._written = keys, values, used, written

    @classmethod
    def empty(cls, sentences: int, heads: int, size: int, like: Tensor) -> Self:
        """A cache without slots, on the device of `like`, in the type that steps read fastest."""
        nothing = like.new_empty(sentences, heads, 0, size, dtype=compute_dtype(like))
        return cls(nothing, nothing, 0, [0])

    def append(self, keys: Tensor, values: Tensor) -> tuple[Self, Tensor, Tensor]:
        """The cache with keys and values (B, G, W, d) in its next W slots, and all of its keys and values.
        The old cache stays as it is.
        """
        count = self.used + keys.size(2)
        buffers, written = (self.keys, self.values), self._written
        if keys.requires_grad:  # the backward pass reads the old tensors, so that they must not change
            keys, values = (
                torch.cat([before[:, :, : self.used], added], 2)
                for before, added in zip(buffers, (keys, values), strict=True)
            )
            return type(self)(keys, values, count, [count]), keys, values
        if written[0] != self.used or count > self.keys.size(2):
            shape = (*keys.shape[:2], max(INITIAL_CAPACITY, 2 * count), keys.size(3))
            old, buffers = buffers, (self.keys.new_empty(shape), self.values.new_empty(shape))
            for buffer, before in zip(buffers, old, strict=True):
                buffer[:, :, : self.used] = before[:, :, : self.used]
            written = [self.used]
        for buffer, added in zip(buffers, (keys, values), strict=True):
            buffer[:, :, self.used : count] = added
        written[0] = count
        return type(self)(*buffers, count, written), buffers[0][:, :, :count], buffers[1][:, :, :count]

    def select_rows(self, index_R: Tensor) -> Self:
        """The cache of the sentences `index_R`: inside a `PerSentence`, dim 0 is the sentence."""
        keys, values = self.keys.index_select(0, index_R), self.values.index_select(0, index_R)
        return type(self)(keys, values, self.used, [self.used])
