"""What training reports: an event for each update, each validation, each saved state, and the end."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from seq2attn.config import TrainConfig
from seq2attn.runs.attention_log import Snapshot
from seq2attn.training.state import State


@dataclass(frozen=True)
class Scores:
    """What the caller's validation returns: the value of each metric by name, train.metric among them."""

    values: Mapping[str, float]
    sample: tuple[str, str, str] | None = None  # source, reference, translation
    sentences: int = 0  # number of sentences, or images, that were scored; 0: not known
    chrf: float = 0.0  # chrF2; where the metric is near zero, the loss and chrF2 decide what is best
    attention: Snapshot | None = None  # of a few pairs, for the log of attention


@dataclass(frozen=True)
class Update:
    """The event after each update. Loss, speed and norm are means since the last logged update."""

    step: int
    steps: int  # of the whole run; an estimate where the clock will end it
    epoch: int  # passes over the training data, from 0
    loss: float  # nats per target token, label smoothing included
    speed: float  # target tokens per second, without padding and without validation
    lr: float  # learning rate
    norm: float  # norm of the gradient, before clipping
    elapsed: float  # seconds of training, earlier sessions included
    remaining: float  # seconds, an estimate
    logged: bool  # whether it is in metrics.jsonl: every train.log_every steps
    # where attention samples: the baseline, and the mean entropy
    sampled: Mapping[str, float | None] = field(default_factory=dict)

    def line(self) -> Mapping[str, object]:
        """The line of metrics.jsonl."""
        names = ("step", "epoch", "loss", "speed", "lr", "norm", "elapsed")
        line = {name: getattr(self, name) for name in names} | dict(self.sampled)
        return line | {"speed": round(self.speed, 1), "elapsed": round(self.elapsed, 2)}


@dataclass(frozen=True)
class Validation:
    """The event after each validation."""

    step: int
    loss: float  # nats per target token, without label smoothing
    scores: Mapping[str, float]  # by name, such as "bleu"
    sample: tuple[str, str, str] | None  # source, reference, translation
    best: bool  # whether these weights are the best so far, and saved
    elapsed: float  # seconds of training

    def line(self) -> Mapping[str, object]:
        """The line of metrics.jsonl."""
        line = {"step": self.step, "valid_loss": self.loss, **self.scores}
        return line | {"best": self.best, "elapsed": round(self.elapsed, 2)}


@dataclass(frozen=True)
class Saved:
    """The last state is on the disk, in `path`."""

    step: int
    path: Path


@dataclass(frozen=True)
class Finished:
    """The event at the end of training."""

    reason: str  # "max_steps", "max_minutes", "patience" or "interrupted"
    step: int
    best_step: int  # 0: there was no validation
    elapsed: float  # seconds of training


Event = Update | Validation | Saved | Finished


class Interrupted(Exception):
    """The caller's validation raises it to stop training; a resumed run validates again."""


class RunningMeans:
    """Means over the updates since the last logged update."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._nats = self._entropies = self._norms = 0.0
        self._tokens = self._finite = 0

    def add(self, loss: float, norm: float, tokens: int, entropy: float) -> None:
        self._nats += loss * tokens
        self._entropies += entropy * tokens
        self._tokens += tokens
        if math.isfinite(norm):  # an fp16 overflow does not count
            self._norms += norm
            self._finite += 1

    def pause(self, seconds: float) -> None:
        """The speed does not count these seconds."""
        self._began += seconds

    def report(
        self, state: State, settings: TrainConfig, start: State, elapsed: float, lr: float, sampled: bool
    ) -> Update:
        """The event of the update that led to `state`, in a session that began at `start`."""
        pace = (elapsed - start.elapsed) / (state.step - start.step)
        steps = settings.max_steps
        if settings.max_minutes is not None:
            steps = min(steps, state.step + math.ceil(max(settings.max_minutes * 60 - elapsed, 0.0) / pace))
        return Update(
            step=state.step,
            steps=steps,
            epoch=state.epoch,
            loss=self.loss,
            speed=self.speed,
            lr=lr,
            norm=self.norm,
            elapsed=elapsed,
            remaining=(steps - state.step) * pace,
            logged=state.step % settings.log_every == 0,
            sampled={"baseline": state.baseline, "entropy": self.entropy} if sampled else {},
        )

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
