"""The state of a search in memory that stays, as a CUDA graph needs it.

A step of a decoder returns a new state. In a graph that state is copied over the old one, so that the next
launch reads it. Two parts of states cannot be copied so, because they grow or hold numbers of Python:

- The keys and values of a Transformer grow by a token at each step. Here they have room for more tokens, and
  the number of a step is a tensor. `StaticCache` says how the mask hides the free slots.
- A convolutional decoder counts its steps in Python, and its first step has no past. Here it reads the same
  tensor, and a past of zeros.

Slow twin: `models.layers.kv_cache.Cache`. Held equal by tests/cuda/on_device/graphed_searches.py.

Shapes: B sentences, W rows of a sentence, R = B x W rows, G heads of keys and values, d their size, C slots.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2attn.kernels.deferred_gradients import product_dtype
from seq2attn.models.decoders.conv import ConvDecoder, ConvPast
from seq2attn.models.decoders.transformer import TransformerPast
from seq2attn.models.interfaces import Decoder
from seq2attn.models.state import Constant, PerSentence, Selectable

Tree = TypeVar("Tree")


class StaticCache(Selectable):
    """Keys and values (B, G, C + W, d) of the tokens that a search has written.

    Step t writes its W tokens twice: to the slots t W to t W + W - 1, where later steps read them, and to the
    last W slots, where this step reads them. So the mask of a step, which is that of the earlier slots with
    the W new ones behind it, has the same shape at each step. `settle` then moves the marks of the new
    slots.
    """

    def __init__(self, keys: Tensor, values: Tensor, time: Tensor, width: int) -> None:
        """`time` (1) is the number of the next step."""
        self.keys, self.values, self.time, self.width = keys, values, time, width

    @property
    def used(self) -> Tensor:
        return self.time * self.width

    @property
    def new_slots(self) -> Tensor:
        """int64 (W,)"""
        return self.used + torch.arange(self.width, device=self.time.device)

    def append(self, keys: Tensor, values: Tensor) -> tuple["StaticCache", Tensor, Tensor]:
        """This cache, which now has keys and values (B, G, W, d), and all of its keys and values."""
        for buffer, added in ((self.keys, keys), (self.values, values)):
            buffer.index_copy_(2, self.new_slots, added.to(buffer.dtype))
            buffer[:, :, -self.width :] = added
        return self, self.keys, self.values

    def select_rows(self, index_R: Tensor) -> "StaticCache":
        """The cache of the sentences `index_R`: inside a `PerSentence`, dim 0 is the sentence."""
        return self.map(lambda part: part if part is self.time else part.index_select(0, index_R))

    def map(self, function: Callable[[Tensor], Tensor]) -> "StaticCache":
        return StaticCache(function(self.keys), function(self.values), function(self.time), self.width)


def map_state(
    function: Callable[[Tensor], Tensor], state: Tree, of_past: Callable[[Any], Any] | None = None
) -> Tree:
    """The state with another tensor in place of each. `of_past`, if any, converts each `TransformerPast`
    instead.
    """

    def convert(part: Any) -> Any:
        if isinstance(part, Tensor):
            return function(part)
        if of_past is not None and isinstance(part, TransformerPast):
            return of_past(part)
        if isinstance(part, StaticCache):
            return part.map(function)
        if isinstance(part, PerSentence | Constant):
            return replace(part, parts=convert(part.parts))
        if isinstance(part, dict):
            return {key: convert(value) for key, value in part.items()}
        if isinstance(part, tuple):
            parts = map(convert, part)
            return type(part)(*parts) if hasattr(part, "_fields") else tuple(parts)
        return part

    return cast(Tree, convert(state))


def tensors_of(state: object) -> list[Tensor]:
    """The tensors of a state, in the order of `map_state`."""
    tensors: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        tensors.append(tensor)
        return tensor

    map_state(note, state)
    return tensors


def make_static(decoder: Decoder, state: Any, rows: int, time: Tensor, steps: int) -> Any:
    """The state of a decoder before its first step, of R = `rows`, with room for `steps` steps. `time` (1) is
    the number of the next step.
    """
    if isinstance(decoder, ConvDecoder):  # it begins without a past, which is zeros
        like = decoder.target_embedding.weight
        shapes = [(rows, decoder.kernel - 1, layer.convolution.weight.size(1)) for layer in decoder.layers]
        before = tuple(torch.zeros(shape, dtype=product_dtype(like), device=like.device) for shape in shapes)
        return state._replace(past=ConvPast(Constant(time), before))

    def convert(past: TransformerPast) -> TransformerPast:
        caches, width = past.caches.parts, past.caches.width
        room = [_more_slots(cache.keys, (steps + 1) * width) for cache in caches]
        parts = tuple(StaticCache(keys, torch.zeros_like(keys), time, width) for keys in room)
        slots_RC = torch.zeros(rows, steps * width, dtype=torch.bool, device=time.device)
        return TransformerPast(replace(past.caches, parts=cast(Any, parts)), slots_RC)

    return map_state(lambda tensor: tensor, state, convert)


def settle(state: Tree) -> Tree:
    """The state that a step returned, with the marks of the new slots where later steps read them."""

    def convert(past: TransformerPast) -> TransformerPast:
        cache, width, slots_RC = *_caches_of(past)[:1], past.caches.width, past.slots_RC
        assert slots_RC is not None
        marks_RC = slots_RC[:, :-width].index_copy(1, cache.new_slots, slots_RC[:, -width:])
        return past._replace(slots_RC=marks_RC)

    return map_state(lambda tensor: tensor, state, convert)


def widen(state: Tree, steps: int) -> Tree:
    """The state with room for `steps` steps."""

    def convert(past: TransformerPast) -> TransformerPast:
        width, slots_RC, parts = past.caches.width, past.slots_RC, []
        assert slots_RC is not None
        for cache in _caches_of(past):
            keys, values = (
                _more_slots(part[:, :, :-width], (steps + 1) * width) for part in (cache.keys, cache.values)
            )
            parts.append(StaticCache(keys, values, cache.time, width))
        slots_RC = F.pad(slots_RC, (0, steps * width - slots_RC.size(1)))
        return TransformerPast(replace(past.caches, parts=cast(Any, tuple(parts))), slots_RC)

    return map_state(lambda tensor: tensor, state, convert)


def _caches_of(past: TransformerPast) -> tuple[StaticCache, ...]:
    return cast(Any, past.caches.parts)  # type: ignore[no-any-return]


def _more_slots(buffer: Tensor, count: int) -> Tensor:
    """(B, G, slots, d) -> (B, G, count, d), with zeros in the new slots: a mask hides no NaN."""
    return F.pad(buffer, (0, 0, 0, count - buffer.size(2)))
