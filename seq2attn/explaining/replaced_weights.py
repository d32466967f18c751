"""Attention weights that a function replaces, and positions that one hides, in a copy of a model that shares
all its numbers.

    other = twin(model, lambda weights, place: weights.flip(-1) if place.layer == 0 else weights)

The model itself stays as it is: no module of it gets a hook, a mask or another mode, so that other threads
may use it meanwhile. The copy works in training's pass over all steps and in a search, step by step.

A function that treats each sentence in its own way knows it by its number (see `numbered`), which stays with
the rows of a beam when they change places and when other sentences leave the batch.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seq2attn.attention import Attention
from seq2attn.attention.history import History
from seq2attn.attention.windows import Finish, Window
from seq2attn.inference.predictor import STREAMS
from seq2attn.models.encoders.conv import ConvEncoder
from seq2attn.models.memory import Memory
from seq2attn.models.seq2seq import Seq2Seq


class Place(NamedTuple):
    """Where weights stand."""

    layer: int  # of the decoder's attentions, from 0
    mask: Tensor  # bool, broadcast to (B, H, T, S): True where a query may read
    step_BT: Tensor  # int64: the step of each query, from 0; in a search the queries are rows of a beam
    number_BT: Tensor  # int64: the number of each query's sentence, 0 unless `numbered` gave it one


Replace = Callable[[Tensor, Place], Tensor]  # weights (B, H, T, S) -> other weights of that shape
Hide = Callable[[Place], Tensor]  # the mask of what queries may read, in place of `Place.mask`


def twin(model: Seq2Seq, replace: Replace | None = None, hide: Hide | None = None) -> Seq2Seq:
    """A copy of the model in evaluation mode, whose parameters are the same memory and need no gradient.

    With `replace`, each attention to the source reads by the weights that it returns. They become part of the
    history of later steps. With `hide`, an attention reads the positions in the mask that it returns alone:
    the normaliser never sees the scores of others. `replace` then has that mask.
    """
    memo: dict[int, object] = {
        id(parameter): nn.Parameter(parameter.detach(), requires_grad=False)
        for parameter in model.parameters()
    }
    memo |= {id(buffer): buffer for buffer in model.buffers()}
    other = copy.deepcopy(model, memo).eval()
    if isinstance(other.encoder, ConvEncoder):
        other.encoder.gradient_share = 1.0  # training scales that gradient; an explanation needs the true one
    if replace is not None or hide is not None:
        for layer, attention in enumerate(attentions(other)):
            attention.window = _Changed(attention.window, replace, hide, layer)
            attention.can_fuse = False
            attention.needs_step = True
    return other


def attentions(model: Seq2Seq) -> list[Attention]:
    """The attentions to the source, layer by layer."""
    return [module for module in model.decoder.modules() if isinstance(module, Attention)]


def numbered(memory: Memory, number_B: Tensor) -> Memory:
    """The memory of sentences with these numbers, from 0 and below 2^31.

    A number travels with the random stream of its sentence, above the bits that draws read: they stay the
    same.
    """
    stream_B = torch.zeros_like(number_B) if memory.stream_B is None else memory.stream_B
    return memory._replace(stream_B=stream_B % STREAMS + number_B * STREAMS)


class _Changed(Window):
    """The window of an attention, which hides more positions, and replaces the weights at its end."""

    needs_step = True

    def __init__(self, own: Window | None, replace: Replace | None, hide: Hide | None, layer: int) -> None:
        super().__init__(0 if own is None else own.half_width)
        self.own, self.replace, self.hide, self.layer = own, replace, hide, layer

    def forward(self, query: Tensor, mask_BS: Tensor, history: History) -> tuple[Tensor, Finish]:
        mask, finish = mask_BS[:, None, None], None
        if self.own is not None:
            mask, finish = self.own(query, mask_BS, history)
        assert history is not None  # `needs_step` asks for it
        number = torch.zeros_like(history.step) if history.rng_stream is None else history.rng_stream
        place = Place(self.layer, mask, history.step, number // STREAMS)
        if self.hide is not None:
            place = place._replace(mask=self.hide(place))

        def change(weights: Tensor) -> Tensor:
            weights = weights if finish is None else finish(weights)
            if self.replace is None:
                return weights
            other = self.replace(weights, place)
            if other.shape != weights.shape:
                raise ValueError(f"weights {tuple(other.shape)} in place of {tuple(weights.shape)}")
            return other.to(weights.dtype)

        return place.mask, change


def permuted(weights: Tensor, mask: Tensor, generator: torch.Generator) -> Tensor:
    """Each row of weights (..., S) in a random order of the positions that `mask` (broadcast) allows."""
    real = mask.expand_as(weights)
    place = (~real).to(torch.int8).sort(dim=-1, stable=True).indices  # the real positions first
    noise = torch.rand(weights.shape, generator=generator, device=weights.device)
    order = noise.masked_fill(~real, 2.0).argsort(-1)
    return torch.zeros_like(weights).scatter(-1, place, weights.gather(-1, order))


def uniform(weights: Tensor, mask: Tensor) -> Tensor:
    """Equal weights (..., S) at all positions that `mask` (broadcast) allows."""
    real = mask.expand_as(weights).to(weights.dtype)
    return real / real.sum(-1, keepdim=True).clamp_min(1)
