"""Keys and values of the tokens written so far, for as many rows a sentence as a search has.

The rows of a sentence share one cache: each step of each row has a place in it, for good, and which places
are a row's own past is a mask
that follows the row. So a search that reorders its rows copies no key, and all rows of a sentence ask one
matrix of keys together.
"""

from typing import Self

import torch
from torch import Tensor

from seq2attn.models.memory import Chosen

# places of the first buffers; the next have twice as many as are needed, so that all copies together are no
# more than twice the places
ROOM = 16


class Cache(Chosen):
    def __init__(self, keys: Tensor, values: Tensor, used: int, taken: list[int]) -> None:
        """Buffers (B, G, places, d) of which the first `used` are this cache's. `taken` is one number that
        all caches on the same buffers share:
        how many places are written already, by this cache or by one that came from it."""
        self._keys, self._values, self.used, self._taken = keys, values, used, taken

    @classmethod
    def empty(cls, sentences: int, heads: int, size: int, like: Tensor) -> Self:
        """No places yet; the device is that of `like`, and the type, where that is half precision, float32:
        see `attention.products`.
        """
        nothing = like.new_empty(
            sentences, heads, 0, size, dtype=torch.promote_types(like.dtype, torch.float32)
        )
        return cls(nothing, nothing, 0, [0])

    def add(self, keys: Tensor, values: Tensor) -> tuple[Self, Tensor, Tensor]:
        """The cache with the next places' keys and values (B, G, W, d), and all of its keys and values. The
        cache it was stays as it was.
        """
        count = self.used + keys.size(2)
        old = (self._keys, self._values)
        if keys.requires_grad:  # nothing that a way back will need is written over
            keys, values = (
                torch.cat([before[:, :, : self.used], added], 2)
                for before, added in zip(old, (keys, values), strict=True)
            )
            return type(self)(keys, values, count, [count]), keys, values
        taken = self._taken
        if taken[0] != self.used or count > self._keys.size(2):
            shape = (*keys.shape[:2], max(ROOM, 2 * count), keys.size(3))
            buffers = (self._keys.new_empty(shape), self._values.new_empty(shape))
            for buffer, before in zip(buffers, old, strict=True):
                buffer[:, :, : self.used] = before[:, :, : self.used]
            taken = [self.used]
        else:
            buffers = old
        for buffer, added in zip(buffers, (keys, values), strict=True):
            buffer[:, :, self.used : count] = added
        taken[0] = count
        return type(self)(*buffers, count, taken), buffers[0][:, :, :count], buffers[1][:, :, :count]

    def choose(self, index: Tensor) -> Self:
        """The sentences `index`."""
        return type(self)(
            self._keys.index_select(0, index), self._values.index_select(0, index), self.used, [self.used]
        )
