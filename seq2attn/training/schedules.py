"""The learning rate of each update, and what validations so far mean for it: the best score, the waiting, the
decays.

Pure functions of the settings and of plain counters, so that a resumed run follows the same course. It knows
no model,
no optimizer and no clock: minutes are handed in.
"""

import math
from dataclasses import dataclass, replace

from seq2attn.config import TrainConfig


def rate(train: TrainConfig, step: int, *, decays: int = 0, minutes: float = 0.0) -> float:
    """Learning rate of update `step` (the first is 1) after `decays` plateau decays and `minutes` of
    training.

    All schedules rise linearly to train.lr over train.warmup steps. Then: constant stays; cosine falls to 0
    just after the
    last step (Loshchilov and Hutter 2017, one cycle); inverse-sqrt falls as 1/sqrt(step) (Vaswani 2017);
    plateau is
    multiplied by train.plateau_factor at each decay. Where train.max_minutes is set, cosine follows whichever end is
    nearer, that
    of the steps or that of the time: a run cut by the clock still ends with a small rate.
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
            done = (step - train.warmup) / max(train.max_steps - train.warmup + 1, 1)
            if train.max_minutes is not None:
                done = max(done, minutes / train.max_minutes)
            return train.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


# A score that says something is at least so much, and so much over the root of the number of sentences: the
# right translations of
# other sentences of Multi30k, or captions of other images, come near it by chance.
LEAST = {"bleu": (1.0, 8.0), "cider": (0.05, 0.3)}


def near_zero(metric: str, value: float, sentences: int = 0) -> bool:
    """Whether a score of that name over so many sentences (0: not known) is what chance gives."""
    if metric not in LEAST:
        return False
    least, of_few = LEAST[metric]
    return value < (max(least, of_few / math.sqrt(sentences)) if sentences else least)


def merit(
    train: TrainConfig, value: float, loss: float, sentences: int = 0, chrf: float = 0.0
) -> tuple[float, float]:
    """What a validation is compared by, higher is better: train.metric, then -loss in nats.

    A metric near zero counts as 0, so that the loss decides there. Of losses that agree to a thousandth of a
    nat the one of higher `chrf` (chrF2, 0 to 100) wins: it stands in the digits behind.
    """
    if not near_zero(train.metric, value, sentences):
        return value, -loss
    return 0.0, -round(loss, 3) + chrf * 1e-6


@dataclass(frozen=True)
class Course:
    """What the validations so far have shown. A score is what `merit` makes of one, higher is better."""

    best: tuple[float, float] | None = None
    waited: int = 0  # validations since the best one
    flat: int = 0  # validations since the best one or the last decay
    decays: int = 0

    def after(self, train: TrainConfig, score: tuple[float, float]) -> "Course":
        """The course once a validation gave `score`."""
        if self.best is None or score > self.best:
            return replace(self, best=score, waited=0, flat=0)
        if train.schedule == "plateau" and self.flat + 1 >= train.plateau_patience:
            return replace(self, waited=self.waited + 1, flat=0, decays=self.decays + 1)
        return replace(self, waited=self.waited + 1, flat=self.flat + 1)

    def exhausted(self, train: TrainConfig) -> bool:
        """Whether train.patience validations have passed without gain, under any schedule."""
        return train.patience > 0 and self.waited >= train.patience
