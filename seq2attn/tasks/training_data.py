"""The data of one training, and how a model is validated and tested on them."""

import abc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from seq2attn.config import TrainConfig
from seq2attn.data.batches import Pairs
from seq2attn.data.prepared import Prepared
from seq2attn.data.sampled_ids import Sampler
from seq2attn.data.tokenizer import Tokenizer
from seq2attn.evaluation.text import bleu, chrf
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.progress import Progress, Stages
from seq2attn.training.events import Interrupted, Scores
from seq2attn.training.objectives.self_critical import RewardFunction
from seq2attn.training.schedules import near_zero

SAMPLES = 3  # outputs of a test split in its result, at most


@dataclass(frozen=True)
class TestResult:
    """A test split, scored with the best weights at the end of a training."""

    split: str
    scores: tuple[str, ...]  # a line for each score, BLEU first
    reasons: tuple[str, ...] = ()  # why a score is not informative
    samples: tuple[tuple[str, str, str], ...] = ()  # source, reference, output
    outputs: tuple[str, ...] = ()  # all of them


class TrainingData(abc.ABC):
    """The splits of a prepared folder for one model and one training."""

    unit: ClassVar[str]  # name of a training example, in the plural
    names: ClassVar[tuple[str, str, str]]  # names of a source, its reference and an output
    prepared: Prepared
    training: Pairs
    validation: Pairs

    @abc.abstractmethod
    def validation_of(self, stop: Callable[[], bool], progress: Progress) -> Callable[[Seq2Seq], Scores]:
        """A function that scores a model on the first part of the validation split, as `evaluate` does.

        The function reports to `progress`, and raises Interrupted once `stop` returns True.
        """

    @abc.abstractmethod
    def reward_function(self) -> RewardFunction:
        """The reward of sampled outputs for self-critical training. Raises UserError if there is none."""

    @abc.abstractmethod
    def test(self, run: Path, device: str, stages: Stages) -> Iterator[TestResult]:
        """Score the best weights of a run on each test split."""

    @abc.abstractmethod
    def next_commands(self, run: Path) -> list[str]:
        """Commands of a shell to try with the trained run: see `next_commands`."""

    def example(self, *values: str) -> str:
        """A source, its reference and an output, each on its own line."""
        width = max(map(len, self.names))
        return "\n".join(
            f"  {name:<{width}}  {value}" for name, value in zip(self.names, values, strict=True)
        )


def subword_sampler(tokenizer: Tokenizer, settings: TrainConfig) -> Sampler | None:
    """How training cuts texts at random; None if it does not."""
    amount: float | None = settings.subword_dropout or None
    if settings.subword_alpha is not None:
        amount = settings.subword_alpha
    return None if amount is None else lambda texts, seed: tokenizer.sample(texts, amount, seed)


def interruptible(stop: Callable[[], bool], progress: Progress) -> Progress:
    """A callback that calls `progress`, and raises Interrupted once `stop` returns True."""

    def report(done: int, total: int | None) -> None:
        if stop():
            raise Interrupted
        progress(done, total)

    return report


def text_scores(
    outputs: Sequence[str],
    references: Sequence[Sequence[str]],
    language: str | None,
    lowercase: bool,
    sample: tuple[str, str, str],
) -> Scores:
    """BLEU of a validation sample with parallel sets of `references`, and chrF2 if BLEU is near zero."""
    value, beside = bleu(outputs, references, language, lowercase).value, 0.0
    if near_zero("bleu", value, len(outputs)):
        beside = chrf(outputs, references, language, lowercase).value
    return Scores({"bleu": value}, sample, len(outputs), beside)
