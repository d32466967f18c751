"""Normalisers: scores to weights. Masked positions get exactly 0; a row with nothing to read gets zeros, and
a gradient of zeros.

A normaliser knows neither where scores come from nor what is read by the weights. It holds no weights of its
own; what is random is
random in training alone, as dropout is. The mathematics of sparse and of hard weights is in the files of
these names.
"""

from abc import abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seq2attn.attention.hard import gumbel, gumbel_of, largest, log_p_of, ones_at, straight_through
from seq2attn.attention.history import AttentionHistory
from seq2attn.attention.sparsemax import entmax15, sparsemax
from seq2attn.config import AttentionConfig


class Chosen(NamedTuple):
    """What a normaliser makes of scores (B, T, S); the last two where positions are drawn in training, else
    None.
    """

    weights: Tensor  # (B, T, S), float32 or wider
    # (B, T): log-probability of the positions drawn, 0 where none was; its gradient goes to the scores
    log_p: Tensor | None = None
    entropy: Tensor | None = None  # (B, T), nats: of the distribution that they were drawn from


def log_softmax(scores_BTS: Tensor, mask: Tensor) -> Tensor:
    """log p over the real positions of scores (B, T, S) in float32 or wider, 0 at masked ones."""
    hidden = ~mask
    # the most negative finite number, not -inf: a row that is all masked stays finite, and the second fill
    # makes it zeros
    return (
        scores_BTS.masked_fill(hidden, torch.finfo(scores_BTS.dtype).min)
        .log_softmax(-1)
        .masked_fill(hidden, 0.0)
    )


def softmax(scores_BTS: Tensor, mask: Tensor) -> Tensor:
    """exp(e_ij) / sum_j exp(e_ij) over the real positions of scores (B, T, S) in float32 or wider; the mask
    is (B, 1 or T, S).
    """
    hidden = ~mask
    return (
        scores_BTS.masked_fill(hidden, torch.finfo(scores_BTS.dtype).min).softmax(-1).masked_fill(hidden, 0.0)
    )


class Normaliser(nn.Module):
    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature

    @abstractmethod
    def forward(self, scores_BTS: Tensor, mask: Tensor, past: AttentionHistory | None = None) -> Chosen:
        """Weights of scores (B, T, S), divided by the temperature first, over the real positions of a mask
        (B, 1 or T, S).
        """

    def apply_temperature(self, scores_BTS: Tensor) -> Tensor:
        """e / temperature, in float32 or wider."""
        scores_BTS = scores_BTS.to(torch.promote_types(scores_BTS.dtype, torch.float32))
        return scores_BTS if self.temperature == 1 else scores_BTS / self.temperature


class Softmax(Normaliser):
    def forward(self, scores_BTS: Tensor, mask: Tensor, past: AttentionHistory | None = None) -> Chosen:
        return Chosen(softmax(self.apply_temperature(scores_BTS), mask))


class Sparsemax(Normaliser):
    def forward(self, scores_BTS: Tensor, mask: Tensor, past: AttentionHistory | None = None) -> Chosen:
        return Chosen(sparsemax(self.apply_temperature(scores_BTS), mask))


class Entmax15(Normaliser):
    def forward(self, scores_BTS: Tensor, mask: Tensor, past: AttentionHistory | None = None) -> Chosen:
        return Chosen(entmax15(self.apply_temperature(scores_BTS), mask))


class Sigmoid(Normaliser):
    """sigma(e_ij), each position by itself: a row sums to anything from 0 to S."""

    def forward(self, scores_BTS: Tensor, mask: Tensor, past: AttentionHistory | None = None) -> Chosen:
        scores_BTS = self.apply_temperature(scores_BTS)
        # exactly 0 there
        return Chosen(scores_BTS.masked_fill(~mask, torch.finfo(scores_BTS.dtype).min).sigmoid())


class HardTopK(Normaliser):
    """1 at the k largest scores (at all, where fewer are real), the earlier among equals; the gradient is
    softmax's (straight through, Bengio 2013).
    """

    def __init__(self, k: int, temperature: float = 1.0) -> None:
        super().__init__(temperature)
        self.k = k

    def forward(self, scores_BTS: Tensor, mask: Tensor, past: AttentionHistory | None = None) -> Chosen:
        scores_BTS = self.apply_temperature(scores_BTS)
        hard = ones_at(largest(scores_BTS, mask, self.k), scores_BTS, mask)
        return Chosen(straight_through(hard, softmax(scores_BTS, mask)))


class Gumbel(Normaliser):
    """1 at the largest e + g, with the gradient of softmax((e + g) / temperature) (Jang 2017, section 2.2); g
    is Gumbel noise in training, else 0.
    """

    def forward(self, scores_BTS: Tensor, mask: Tensor, past: AttentionHistory | None = None) -> Chosen:
        scores_BTS = self.apply_temperature(scores_BTS)
        if self.training:
            scores_BTS = scores_BTS + gumbel(scores_BTS) / self.temperature
        hard = ones_at(largest(scores_BTS, mask, 1), scores_BTS, mask)
        return Chosen(straight_through(hard, softmax(scores_BTS, mask)))


class HardSample(Normaliser):
    """1 at k positions drawn from softmax(e) one after another without putting back (Xu 2015, section 4.1,
    where k = 1).

    Training: drawn from torch's generator, with log p and entropy for the sampled objective; rows that
    `past.expected` names read
    softmax(e) instead, with its gradient and log p 0. Otherwise `decoding` says what is read: "argmax" the k
    most probable, "expected" softmax(e),
    "sample" k drawn by noise that is a function of `past.stream`, step and position alone.
    """

    def __init__(self, k: int, decoding: str, temperature: float = 1.0) -> None:
        super().__init__(temperature)
        self.k = k
        self.decoding = decoding

    def forward(self, scores_BTS: Tensor, mask: Tensor, past: AttentionHistory | None = None) -> Chosen:
        scores_BTS = self.apply_temperature(scores_BTS)
        if self.training:
            return self._drawn(scores_BTS, mask, None if past is None else past.expected)
        if self.decoding == "expected":
            return Chosen(softmax(scores_BTS, mask))
        noisy_BTS = scores_BTS
        if self.decoding == "sample":
            assert past is not None
            stream_BT = torch.zeros_like(past.time) if past.stream is None else past.stream
            noisy_BTS = scores_BTS + gumbel_of(stream_BT, past.time, scores_BTS.size(-1), scores_BTS.dtype)
        return Chosen(ones_at(largest(noisy_BTS, mask, self.k), scores_BTS, mask))

    def _drawn(self, scores_BTS: Tensor, mask: Tensor, expected_BT: Tensor | None) -> Chosen:
        logs = log_softmax(scores_BTS, mask)
        positions_BTK = largest(logs.detach() + gumbel(logs), mask, self.k)
        weights, log_p = ones_at(positions_BTK, scores_BTS, mask), log_p_of(positions_BTK, scores_BTS, mask)
        soft = logs.exp().masked_fill(~mask, 0.0)
        if expected_BT is not None:
            weights, log_p = (
                torch.where(expected_BT[..., None], soft, weights),
                log_p.masked_fill(expected_BT, 0.0),
            )
        return Chosen(weights, log_p, -(soft * logs).sum(-1))


def build_normaliser(settings: AttentionConfig) -> Normaliser:
    """The normaliser that a config names."""
    match settings.normaliser:
        case "softmax":
            return Softmax(settings.temperature)
        case "sparsemax":
            return Sparsemax(settings.temperature)
        case "entmax15":
            return Entmax15(settings.temperature)
        case "sigmoid":
            return Sigmoid(settings.temperature)
        case "hard-topk":
            return HardTopK(settings.k, settings.temperature)
        case "gumbel":
            return Gumbel(settings.temperature)
        case "hard-sample":
            return HardSample(settings.k, settings.at_inference, settings.temperature)
