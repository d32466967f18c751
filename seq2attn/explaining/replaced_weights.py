"""Attention weights that a function replaces, in a copy of a model that shares all its numbers.

    other = twin(model, lambda weights, place: weights.flip(-1) if place.layer == 0 else weights)

The model itself stays as it is: no module of it gets a hook, a mask or another mode, so that other threads
may use it meanwhile. The copy works in training's pass over all steps and in a search, step by step.
"""

import copy
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seq2attn.attention import Attention
from seq2attn.attention.history import History
from seq2attn.attention.normalisers import AttentionWeights, Normaliser
from seq2attn.models.encoders.conv import ConvEncoder
from seq2attn.models.seq2seq import Seq2Seq


class Place(NamedTuple):
    """Where weights stand."""

    layer: int  # of the decoder's attentions, from 0
    mask: Tensor  # bool, broadcast to (B, H, T, S): True where a query may read
    step_BT: Tensor  # int64: the step of each query, from 0; in a search the queries are rows of a beam


Replace = Callable[[Tensor, Place], Tensor]  # weights (B, H, T, S) -> other weights of that shape


def twin(model: Seq2Seq, replace: Replace | None = None) -> Seq2Seq:
    """A copy of the model in evaluation mode, whose parameters are the same memory and need no gradient.

    With `replace`, each attention to the source reads by the weights that it returns. They become part of the
    history of later steps.
    """
    memo: dict[int, object] = {
        id(parameter): nn.Parameter(parameter.detach(), requires_grad=False)
        for parameter in model.parameters()
    }
    memo |= {id(buffer): buffer for buffer in model.buffers()}
    other = copy.deepcopy(model, memo).eval()
    if isinstance(other.encoder, ConvEncoder):
        other.encoder.gradient_share = 1.0  # training scales that gradient; an explanation needs the true one
    if replace is not None:
        for layer, attention in enumerate(attentions(other)):
            attention.normalise = _Replaced(attention.normalise, replace, layer)
            attention.can_fuse = False
            attention.needs_step = True
    return other


def attentions(model: Seq2Seq) -> list[Attention]:
    """The attentions to the source, layer by layer."""
    return [module for module in model.decoder.modules() if isinstance(module, Attention)]


class _Replaced(Normaliser):
    """A normaliser with other weights. Log-probability and entropy of a sample stay as they are."""

    def __init__(self, own: Normaliser, replace: Replace, layer: int) -> None:
        super().__init__(own.temperature)
        self.own, self.replace, self.layer = own, replace, layer
        self.draws, self.sums_to_one = own.draws, own.sums_to_one

    def forward(self, scores: Tensor, mask: Tensor, history: History = None) -> AttentionWeights:
        output: AttentionWeights = self.own(scores, mask, history)
        assert history is not None  # `needs_step` asks for it
        weights = self.replace(output.weights, Place(self.layer, mask, history.step))
        if weights.shape != output.weights.shape:
            raise ValueError(f"weights {tuple(weights.shape)} in place of {tuple(output.weights.shape)}")
        return output._replace(weights=weights.to(output.weights.dtype))


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
