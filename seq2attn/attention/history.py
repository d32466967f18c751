"""What earlier steps leave to later ones, and the terms of a score that read it.

A term turns the weights of earlier steps into a few features of each source position; the score multiplies
them by a matrix of
its own and adds them. A term knows neither the score nor who keeps the weights.
"""

from abc import abstractmethod
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seq2attn.config import AttentionConfig
from seq2attn.kernels.deferred_gradients import Linear

# of the greatest fertility: a quotient by nothing at all would be no number, and one by less would not fit
# half precision
LEAST = 1e-3


class AttentionHistory(NamedTuple):
    """What earlier steps leave to scores, windows and draws: (B, T, ...) for T queries a sentence, (R, ...)
    in a decoder's state.
    """

    time: Tensor  # (B, T) int64: number of the step, from 0
    last: Tensor | None = None  # (B, T, S): weights of the step before, zeros at first
    total: Tensor | None = None  # (B, T, S): sum of the weights of all steps before
    expected: Tensor | None = None  # (B, T) bool: rows that read the expected value instead of a draw
    # (B, T) int64: which stream of random numbers is drawn from outside training; None: the first
    stream: Tensor | None = None

    def for_all_steps(self, steps: int) -> Self:
        """From that of B sentences before the first step, the past of T steps at once: what does not wait for
        a step, their number and what is drawn once a sentence.
        """
        time = torch.arange(steps, device=self.time.device).expand(len(self.time), -1)
        expected, stream = (
            None if part is None else part[:, None].expand_as(time) for part in (self.expected, self.stream)
        )
        return type(self)(time, None, None, expected, stream)

    def by_sentence(self, sentences: int) -> Self:
        """From that of R rows, theirs as W queries of each of B sentences."""
        return type(self)(*(None if part is None else part.unflatten(0, (sentences, -1)) for part in self))  # type: ignore[arg-type]


class HistoryFeature(nn.Module):
    size: int  # P, features of one position

    def source(self, memory_BSK: Tensor) -> Tensor | None:
        """What the term needs to know of each source position, made once per source; None where that is
        nothing.
        """
        return None

    @abstractmethod
    def forward(self, past: AttentionHistory, source: Tensor | None) -> Tensor:
        """Features (B, T, S, P) of `past`, beside what `source` made."""


class Coverage(HistoryFeature):
    """C_j = sum of a_j over the steps before (Tu 2016, section 3.1, with a fertility of 1 and one dimension)."""

    size = 1

    def forward(self, past: AttentionHistory, source: Tensor | None) -> Tensor:
        assert past.total is not None
        return past.total[..., None]


class Fertility(HistoryFeature):
    """C_j = sum of a_j over the steps before / Phi_j, with Phi_j = N sigma(U_f h_j) and N = `most` (Tu 2016,
    equations 8 and 9).
    """

    size = 1

    def __init__(self, key_size: int, most: float) -> None:
        super().__init__()
        self.most = most
        self.fertility = Linear(key_size, 1, bias=False)

    def source(self, memory_BSK: Tensor) -> Tensor:
        """Phi (B, S): target words that each source position is expected to answer for."""
        share: Tensor = self.fertility(memory_BSK).squeeze(-1).sigmoid()
        return self.most * share.clamp_min(LEAST)

    def forward(self, past: AttentionHistory, source: Tensor | None) -> Tensor:
        assert past.total is not None
        assert source is not None
        return (past.total / source[:, None])[..., None]


class LocationAware(HistoryFeature):
    """f_j = sum_m F_m a_{j+m} over the last weights, |m| <= (kernel - 1) / 2, zeros outside (Chorowski 2015,
    equation 8); F has `filters` columns.
    """

    def __init__(self, filters: int, kernel: int) -> None:
        super().__init__()
        self.size = filters
        self.filters = nn.Parameter(torch.empty(filters, 1, kernel))

    def forward(self, past: AttentionHistory, source: Tensor | None) -> Tensor:
        assert past.last is not None
        batch, steps, _ = past.last.shape
        features = F.conv1d(
            past.last.flatten(0, 1)[:, None], self.filters, padding=self.filters.size(-1) // 2
        )
        return features.mT.view(batch, steps, -1, self.size)


def build_history_feature(settings: AttentionConfig, key_size: int) -> HistoryFeature | None:
    """The term that a config names, over a memory of `key_size`; None where scores read no past."""
    match settings.history:
        case "none":
            return None
        case "coverage":
            return Coverage()
        case "fertility":
            return Fertility(key_size, settings.max_fertility)
        case "location-aware":
            return LocationAware(settings.filters, settings.kernel)
