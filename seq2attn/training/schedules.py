"""The learning rate of each update, and how validations are compared: best score, patience, plateau decays.

Pure functions of settings and plain counters, so a resumed run continues as if it had not stopped. It knows
no model, no optimizer and no clock: minutes are an argument.
"""

import math
from dataclasses import dataclass, replace

from seq2attn.config import TrainConfig


def learning_rate(train: TrainConfig, step: int, *, decays: int = 0, minutes: float = 0.0) -> float:
    """Of update `step` (the first is 1) after `decays` plateau decays and `minutes` of training.

    All schedules rise linearly to train.lr over train.warmup steps. Then: constant stays; cosine falls to 0
    just after the last step (Loshchilov and Hutter 2017, one cycle); inverse-sqrt falls as 1/sqrt(step)
    (Vaswani 2017); plateau is multiplied by train.plateau_factor at each decay. Where train.max_minutes is
    set, cosine follows steps or time, whichever is nearer to its end: a run that the clock ends also ends
    with a small rate.
    """
    if step < train.warmup:
        return train.lr * step / train.warmup
    match train.schedule:
        case "constant":
            return train.lr
        case "plateau":
            return train.lr * train.plateau_factor**decays
        case "inverse-sqrt":
            start = max(train.warmup, 1)
            return train.lr * math.sqrt(start / step)
        case "cosine":
            share = (step - train.warmup) / max(train.max_steps - train.warmup + 1, 1)
            if train.max_minutes is not None:
                share = max(share, minutes / train.max_minutes)
            return train.lr * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


# Below the first number, or the second over the root of the number of sentences, a score may be due to
# chance: correct translations of other sentences of Multi30k, or captions of other images, come near it.
NEAR_ZERO = {"bleu": (1.0, 8.0), "cider": (0.05, 0.3)}


def near_zero(metric: str, value: float, sentences: int = 0) -> bool:
    """Whether a score of that name over so many sentences (0: not known) may be due to chance."""
    if metric not in NEAR_ZERO:
        return False
    least, of_few = NEAR_ZERO[metric]
    return value < (max(least, of_few / math.sqrt(sentences)) if sentences else least)


def selection_score(
    train: TrainConfig, value: float, loss: float, sentences: int = 0, chrf: float = 0.0
) -> tuple[float, float]:
    """What validations are compared by, higher is better: train.metric, then -loss in nats.

    A metric near zero counts as 0, so that the loss decides. Among losses that agree to a thousandth of a nat
    the higher `chrf` (chrF2, 0 to 100) wins: it is in the digits behind them.
    """
    if not near_zero(train.metric, value, sentences):
        return value, -loss
    return 0.0, -round(loss, 3) + chrf * 1e-6


@dataclass(frozen=True)
class PlateauTracker:
    """Counts validations without gain. A score is that of `selection_score`, higher is better."""

    best: tuple[float, float] | None = None
    since_best: int = 0  # validations since the best one
    since_decay: int = 0  # validations since the best one or the last decay
    decays: int = 0

    def update(self, train: TrainConfig, score: tuple[float, float]) -> "PlateauTracker":
        """The counters after a validation with that score."""
        if self.best is None or score > self.best:
            return replace(self, best=score, since_best=0, since_decay=0)
        if train.schedule == "plateau" and self.since_decay + 1 >= train.plateau_patience:
            return replace(self, since_best=self.since_best + 1, since_decay=0, decays=self.decays + 1)
        return replace(self, since_best=self.since_best + 1, since_decay=self.since_decay + 1)

    def exhausted(self, train: TrainConfig) -> bool:
        """Whether train.patience validations have passed without gain, under any schedule."""
        return train.patience > 0 and self.since_best >= train.patience
