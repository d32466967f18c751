"""What training reports: an event for each update, each validation, each saved state, and the end."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Scores:
    """The result of the validation that the caller hands in: numbers by name, train.metric among them."""

    values: Mapping[str, float]
    sample: tuple[str, str, str] | None = None  # source, reference, translation
    sentences: int = 0  # sentences, or images, that were scored; 0: not known
    chrf: float = 0.0  # chrF2: where the metric is near zero, it decides with the loss which weights are best


@dataclass(frozen=True)
class Update:
    """After each update. Loss, speed and norm are means since the last logged one."""

    step: int
    steps: int  # of the whole run; an estimate where the clock will end it
    epoch: int
    loss: float  # nats per target token, label smoothing included
    speed: float  # target tokens per second, without padding and without validation
    lr: float
    norm: float  # of the gradient, before clipping
    elapsed: float  # seconds of training, earlier sessions included
    remaining: float  # seconds, an estimate
    logged: bool  # whether it is in metrics.jsonl: every train.log_every steps


@dataclass(frozen=True)
class Validation:
    step: int
    loss: float  # nats per target token, without label smoothing
    scores: Mapping[str, float]
    sample: tuple[str, str, str] | None
    best: bool  # whether these weights are the best so far, and saved
    elapsed: float


@dataclass(frozen=True)
class Saved:
    """The last state is on the disk."""

    step: int
    path: Path


@dataclass(frozen=True)
class Finished:
    """The end: "max_steps", "max_minutes", "patience" or "interrupted"."""

    reason: str
    step: int
    best_step: int  # 0: there was no validation
    elapsed: float


Event = Update | Validation | Saved | Finished


class Interrupted(Exception):
    """The validation that was handed in raises it to stop training; a resumed run validates again."""


class RunningMeans:
    """Means over the updates since the last logged one."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._nats = self._entropies = self._norms = 0.0
        self._tokens = self._finite = 0

    def add(self, loss: float, norm: float, tokens: int, entropy: float) -> None:
        self._nats += loss * tokens
        self._entropies += entropy * tokens
        self._tokens += tokens
        if math.isfinite(norm):  # an fp16 overflow is left out
            self._norms += norm
            self._finite += 1

    def pause(self, seconds: float) -> None:
        """Leave that time out of the speed."""
        self._began += seconds

    @property
    def loss(self) -> float:
        return self._nats / self._tokens

    @property
    def entropy(self) -> float:
        return self._entropies / self._tokens

    @property
    def norm(self) -> float:
        return self._norms / max(self._finite, 1)

    @property
    def speed(self) -> float:
        return self._tokens / max(time.monotonic() - self._began, 1e-9)
