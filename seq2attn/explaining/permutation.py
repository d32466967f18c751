"""The permutation test of Jain and Wallace 2019 (section 4.2): does the output change when the attention
weights are put in another order?

The target is forced. The weights of a head at every step are permuted over the real source positions, and
the distribution of each output word is compared with that of the model as it is, by total variation and by
the Jensen-Shannon divergence. A small change says that the output does not need these weights: they explain
nothing.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seq2attn.explaining.forced import ForcedModel
from seq2attn.explaining.pairs import ForcedPair
from seq2attn.explaining.replaced_weights import Place, permuted
from seq2attn.inference.predictor import Predictor

PERMUTATIONS = 5  # of each word's weights


class PermutationEffect(NamedTuple):
    """Medians over the words of the median over permutations."""

    total_variation: float  # from 0 to 1
    jensen_shannon: float  # from 0 to ln 2, nats


def permutation_test(
    predictor: Predictor[Any, Any],
    pairs: Sequence[ForcedPair],
    layer: int | None,
    head: int | None,
    permutations: int = PERMUTATIONS,
    seed: int = 1,
) -> PermutationEffect:
    """What permuting the weights of one layer and head changes; None stands for all of them at once."""
    generator = torch.Generator(predictor.device).manual_seed(seed)

    def permute(weights: Tensor, place: Place) -> Tensor:
        if layer is not None and place.layer != layer - 1:
            return weights
        if head is None:
            return permuted(weights, place.mask, generator)
        own = slice(head - 1, head)
        mask = place.mask.expand_as(weights)[:, own]
        return torch.cat(
            [weights[:, : head - 1], permuted(weights[:, own], mask, generator), weights[:, head:]], 1
        )

    plain, other = ForcedModel(predictor), ForcedModel(predictor, permute)
    variation: list[Any] = []
    divergence: list[Any] = []
    for _, batch in plain.batches(pairs):
        with torch.no_grad():
            before = plain.distributions(batch)
            after = [other.distributions(batch) for _ in range(permutations)]
        share = batch.to_word_BTW / batch.to_word_BTW.sum(1, keepdim=True).clamp_min(1)
        real = (batch.to_word_BTW.sum(1) > 0).cpu().numpy()
        for values, measure in ((variation, total_variation), (divergence, jensen_shannon)):
            of_steps = torch.stack([measure(before, one) for one in after])
            of_words = torch.einsum("nbt,btw->nbw", of_steps, share).quantile(0.5, 0)
            values.append(of_words.cpu().numpy()[real])
    return PermutationEffect(
        *(float(np.median(np.concatenate(values))) for values in (variation, divergence))
    )


def total_variation(p: Tensor, q: Tensor) -> Tensor:
    """Half the sum of |p - q| over the last dimension."""
    return (p - q).abs().sum(-1) / 2


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """The mean divergence of p and q from (p + q) / 2, in nats."""
    mean = ((p + q) / 2).clamp_min(1e-30).log()
    return sum((one * (one.clamp_min(1e-30).log() - mean)).sum(-1) / 2 for one in (p, q))  # type: ignore[return-value]
