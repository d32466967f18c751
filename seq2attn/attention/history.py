"""The history of an attention: the weights of earlier steps, and the features of them that a score reads.

A history feature turns the weights of earlier steps into P numbers for each source position. The score
multiplies these numbers by a matrix of its own and adds them. The decoder's state holds the weights.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.attention.part import AttentionPart
from seq2attn.config import AttentionConfig
from seq2attn.kernels.deferred_gradients import Linear

# The least fertility, as a share of the greatest one: weights divided by it still fit half precision.
MIN_FERTILITY = 1e-3


class AttentionHistory(NamedTuple):
    """What scores, windows and draws read of earlier steps.

    Its tensors begin with (B, T) for an attention, T queries of each of B sentences, and with (R) in the
    state of a decoder, where R = B x T rows.
    """

    step: Tensor  # (B, T) int64, from 0
    previous: Tensor | None = None  # (B, T, H, S): weights of the step before, zeros at first
    cumulative: Tensor | None = None  # (B, T, H, S): sum of the weights of all steps before
    use_expectation: Tensor | None = None  # (B, T) bool: softmax weights in place of a sample
    # (B, T) int64: selects the random numbers of draws outside training; None: stream 0
    rng_stream: Tensor | None = None

    def for_all_steps(self, steps: int) -> Self:
        """From the history before the first step, (B), that of all T steps, (B, T). For attentions whose
        steps do not read the weights of earlier steps.
        """
        step = torch.arange(steps, device=self.step.device).expand(len(self.step), -1)
        use_expectation, rng_stream = (
            None if part is None else part[:, None].expand_as(step)
            for part in (self.use_expectation, self.rng_stream)
        )
        return type(self)(step, None, None, use_expectation, rng_stream)

    def by_sentence(self, sentences: int) -> Self:
        """The history of R rows as that of R / B queries of B sentences: (R, ...) -> (B, R / B, ...)."""
        return type(self)(*(None if part is None else part.unflatten(0, (sentences, -1)) for part in self))  # type: ignore[arg-type]


History = AttentionHistory | None  # None if no step reads a history


class HistoryFeature(AttentionPart, ABC):
    """P numbers for each source position, from the weights of earlier steps."""

    size: int  # P, features of one position

    def project_keys(self, keys: Tensor) -> Tensor:
        """What the feature needs of keys (..., S, K), computed once for a source: (..., S, any)."""
        return keys[..., :0].detach()  # no numbers

    @abstractmethod
    def forward(self, history: AttentionHistory, history_keys: Tensor) -> Tensor:
        """Features (B, H, T, S, P). `history_keys` (B, H, S, any) comes from `project_keys`."""


class Coverage(HistoryFeature):
    """C_j = sum of a_j over all earlier steps (Tu 2016, section 3.1, in one dimension, with fertility 1)."""

    size = 1

    def forward(self, history: AttentionHistory, history_keys: Tensor) -> Tensor:
        return by_head(history.cumulative)[..., None]


class Fertility(Coverage):
    """C_j = (sum of a_j over all earlier steps) / Phi_j, Phi_j = N sigma(U_f h_j) (Tu 2016, eqs. 8 and 9).

    N = `max_fertility` is the most target words that one source position may produce.
    """

    def __init__(self, key_size: int, max_fertility: float) -> None:
        super().__init__()
        self.max_fertility = max_fertility
        self.fertility = Linear(key_size, 1, bias=False)

    def project_keys(self, keys: Tensor) -> Tensor:
        """Phi (..., S, 1)."""
        return self.max_fertility * self.fertility(keys).sigmoid().clamp_min(MIN_FERTILITY)

    def forward(self, history: AttentionHistory, history_keys: Tensor) -> Tensor:
        return super().forward(history, history_keys) / history_keys.mT[..., None]


class LocationAware(HistoryFeature):
    """f_j = sum_m F_m a_{j+m} over the weights a of the previous step, |m| <= (kernel - 1) / 2 (Chorowski
    2015, equation 8). Each F_m holds one number for each of P = `filters` features. Weights outside the
    source are 0.
    """

    def __init__(self, filters: int, kernel: int) -> None:
        super().__init__()
        self.size = filters
        self.filters = nn.Parameter(torch.empty(filters, 1, kernel))

    def forward(self, history: AttentionHistory, history_keys: Tensor) -> Tensor:
        previous = by_head(history.previous)
        rows = previous.flatten(0, -2)[:, None]
        features: Tensor = F.conv1d(rows, self.filters, padding=self.filters.size(-1) // 2)
        features_BHTSP: Tensor = features.mT.unflatten(0, previous.shape[:-1])
        return features_BHTSP


def by_head(weights: Tensor | None) -> Tensor:
    """(B, T, H, S) -> (B, H, T, S). The history of an attention that reads weights always holds them."""
    assert weights is not None
    return weights.transpose(1, 2)


def build_history_feature(config: AttentionConfig, key_size: int) -> HistoryFeature | None:
    """The feature that `config.history` names, for keys of `key_size`; None if scores read no history."""
    match config.history:
        case "none":
            return None
        case "coverage":
            return Coverage()
        case "fertility":
            return Fertility(key_size, config.max_fertility)
        case "location-aware":
            return LocationAware(config.filters, config.kernel)
