"""The parts of a training that depend on the task: data, validation, and the test at its end."""

import abc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from seq2attn.cli import console
from seq2attn.data.batches import Pairs
from seq2attn.evaluation.text import bleu, chrf
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.progress import Progress
from seq2attn.training.events import Interrupted, Scores
from seq2attn.training.objectives.self_critical import RewardFunction
from seq2attn.training.schedules import near_zero

SAMPLES = 3  # outputs on the test data that are printed at the end


class Task(abc.ABC):
    """The data of one training, and how a model is validated and tested on them."""

    unit: ClassVar[str]  # name of a training example, in the plural
    names: ClassVar[tuple[str, str, str]]  # names of a source, its reference and an output
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
    def test(self, run: Path, device: str) -> None:
        """Print the scores of the best weights on each test split, some outputs, and the next commands."""

    def example(self, *values: str) -> str:
        """A source, its reference and an output, each on its own line."""
        width = max(map(len, self.names))
        return "\n".join(
            f"  {name:<{width}}  {value}" for name, value in zip(self.names, values, strict=True)
        )


def print_next_commands(run: Path, answer: str, plot: str | None, tests: Sequence[str]) -> None:
    """Print the next commands: `answer`, `evaluate` and, if there is attention to draw, `plot`.

    Without test splits, `evaluate` scores the validation split.
    """
    commands = [
        answer,
        f"seq2attn evaluate {run}{'' if tests else ' --split valid'}",
        *([] if plot is None else [plot]),
    ]
    console.note("next:\n  " + "\n  ".join(commands))


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


def quoted(text: str) -> str:
    """`text` as a word of a shell command."""
    return "'" + text.replace("'", "'\\''") + "'"
