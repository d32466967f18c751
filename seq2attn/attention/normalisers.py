"""Normalisers turn scores into weights. The weight of a masked position is exactly 0. In a row whose
positions are all masked, all weights and their gradients are 0.

A normaliser knows neither where scores come from nor what reads the weights. Those here have no parameters.
They add noise from torch's generator in training alone, as dropout does. `kernels/sparsemax.py` holds the
mathematics of sparse weights, `attention/hard.py` that of hard weights.

Scores are (..., T, S); in an attention they are (B, H, T, S). Masks are broadcast to that shape: True is a
real position.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seq2attn.attention.hard import gumbel, gumbel_of, largest, log_prob_of, ones_at, straight_through
from seq2attn.attention.history import AttentionHistory, History
from seq2attn.config import AttentionConfig
from seq2attn.kernels.sparsemax import entmax15, sparsemax
from seq2attn.own_code.parts import own_normaliser


class AttentionWeights(NamedTuple):
    """The result of a normaliser. `log_prob` and `entropy` are None if no positions are sampled."""

    weights: Tensor  # (..., T, S), float32 or wider
    # (..., T): log-probability of the sampled positions, with its gradient; 0 for rows without a sample
    log_prob: Tensor | None = None
    entropy: Tensor | None = None  # (..., T): entropy of the distribution they were sampled from, nats


def log_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """log p over the real positions of scores in float32 or wider, 0 at masked ones."""
    # In a row that is all masked, -inf would give NaN; the most negative finite number gives finite values,
    # which the second fill sets to 0.
    lowest, hidden = torch.finfo(scores.dtype).min, ~mask
    return scores.masked_fill(hidden, lowest).log_softmax(-1).masked_fill(hidden, 0.0)


def softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """exp(e_ij) / sum_j exp(e_ij) over the real positions of scores in float32 or wider, 0 at masked ones."""
    lowest, hidden = torch.finfo(scores.dtype).min, ~mask
    return scores.masked_fill(hidden, lowest).softmax(-1).masked_fill(hidden, 0.0)


def sigmoid(scores: Tensor, mask: Tensor) -> Tensor:
    """sigma(e_ij) of each position by itself: the weights of a row sum to a number from 0 to S."""
    # the sigmoid of the most negative finite number is exactly 0
    return scores.masked_fill(~mask, torch.finfo(scores.dtype).min).sigmoid()


SOFT = {"softmax": softmax, "sparsemax": sparsemax, "entmax15": entmax15, "sigmoid": sigmoid}


class Normaliser(nn.Module, ABC):
    draws = False  # True: it samples positions, by step, use_expectation and rng_stream of the history
    fusible = False  # True: it is a softmax, which torch's fused attention computes too
    sums_to_one = True  # False: the weights of a row may add up to another number

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    @abstractmethod
    def forward(self, scores: Tensor, mask: Tensor, history: History = None) -> AttentionWeights:
        """The weights of scores (..., T, S), which are first divided by the temperature."""

    def prepare_scores(self, scores: Tensor) -> Tensor:
        """e / temperature, in float32 or wider."""
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
        return scores if self.temperature == 1 else scores / self.temperature


class Soft(Normaliser):
    """Weights by a function of scores and mask: softmax, sparsemax, 1.5-entmax or sigmoid."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], temperature: float = 1.0) -> None:
        super().__init__(temperature)
        self.function, self.fusible, self.sums_to_one = function, function is softmax, function is not sigmoid

    def forward(self, scores: Tensor, mask: Tensor, history: History = None) -> AttentionWeights:
        return AttentionWeights(self.function(self.prepare_scores(scores), mask))


class HardTopK(Normaliser):
    """Weight 1 at the k largest scores, or at all real positions if there are fewer. Of equal scores the
    earlier position counts as larger. The gradient is that of softmax (straight through, Bengio 2013).
    """

    def __init__(self, temperature: float = 1.0, k: int = 1) -> None:
        super().__init__(temperature)
        self.k, self.sums_to_one = k, k == 1

    def forward(self, scores: Tensor, mask: Tensor, history: History = None) -> AttentionWeights:
        scores = self.prepare_scores(scores)
        hard = ones_at(largest(scores, mask, self.k), scores, mask)
        return AttentionWeights(straight_through(hard, softmax(scores, mask)))


class Gumbel(HardTopK):
    """Weight 1 at the largest e + g, with the gradient of softmax((e + g) / temperature) (Jang 2017, section
    2.2), where e is the score. In training g is Gumbel noise, otherwise it is 0.
    """

    def prepare_scores(self, scores: Tensor) -> Tensor:
        scores = super().prepare_scores(scores)
        return scores + gumbel(scores) / self.temperature if self.training else scores


class HardSample(Normaliser):
    """Weight 1 at k positions sampled from softmax(e) without replacement (Xu 2015, section 4.1, has k = 1),
    where e is the score divided by the temperature.

    Training samples with torch's generator, and returns log p and entropy for the REINFORCE objective. Rows
    with `history.use_expectation` get the weights softmax(e), their gradient, and log p 0. Outside training
    `at_inference` selects the weights: "argmax" is 1 at the k most probable positions, "expected" is
    softmax(e), and "sample" is 1 at k sampled positions. That sample is a function of `history.rng_stream`,
    layer, head, step and scores alone. Scores are (B, H, T, S).
    """

    draws = True

    def __init__(self, k: int, at_inference: str, temperature: float = 1.0, first_head: int = 0) -> None:
        """`first_head` is the number of its first head among the heads of all layers."""
        super().__init__(temperature)
        self.k, self.sums_to_one, self.at_inference, self.first_head = k, k == 1, at_inference, first_head

    def forward(self, scores: Tensor, mask: Tensor, history: History = None) -> AttentionWeights:
        scores = self.prepare_scores(scores)
        if self.training:
            return self._sample(scores, mask, None if history is None else history.use_expectation)
        if self.at_inference == "expected":
            return AttentionWeights(softmax(scores, mask))
        noisy = scores
        if self.at_inference == "sample":
            assert history is not None
            noisy = scores + self._noise(history, scores)
        return AttentionWeights(ones_at(largest(noisy, mask, self.k), scores, mask))

    def _noise(self, history: AttentionHistory, scores: Tensor) -> Tensor:
        stream_BT = torch.zeros_like(history.step) if history.rng_stream is None else history.rng_stream
        head_H = self.first_head + torch.arange(scores.size(1), device=scores.device)
        # 20 bits of sentence and 12 of head: `gumbel_of` mixes 32
        stream_BHT = (stream_BT << 12)[:, None] + head_H[:, None]
        return gumbel_of(stream_BHT, history.step[:, None], scores.size(-1), scores.dtype)

    def _sample(self, scores: Tensor, mask: Tensor, use_expectation_BT: Tensor | None) -> AttentionWeights:
        logs = log_softmax(scores, mask)
        positions = largest(logs.detach() + gumbel(logs), mask, self.k)
        weights, log_prob = ones_at(positions, scores, mask), log_prob_of(positions, scores, mask)
        soft = logs.exp().masked_fill(~mask, 0.0)
        if use_expectation_BT is not None:
            expected = use_expectation_BT[:, None]
            weights = torch.where(expected[..., None], soft, weights)
            log_prob = log_prob.masked_fill(expected, 0.0)
        return AttentionWeights(weights, log_prob, -(soft * logs).sum(-1))


def build_normaliser(config: AttentionConfig, first_head: int = 0) -> Normaliser:
    """The normaliser that `config.normaliser` names; `first_head` is that of `HardSample`."""
    match config.normaliser:
        case "hard-topk":
            return HardTopK(config.temperature, config.k)
        case "gumbel":
            return Gumbel(config.temperature)
        case "hard-sample":
            return HardSample(config.k, config.at_inference, config.temperature, first_head)
        case soft if soft in SOFT:
            return Soft(SOFT[soft], config.temperature)
        case own:
            return own_normaliser(own, Normaliser, config.temperature)  # type: ignore[type-abstract]
