"""What a training needs that hangs on what its sources are: data, validation, the test at its end. Knows
neither texts nor images.
"""

import abc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from seq2attn.cli import console
from seq2attn.data.batches import Pairs
from seq2attn.evaluation.text import bleu, chrf
from seq2attn.models.seq2seq import Seq2Seq
from seq2attn.training.events import Interrupted, Scores
from seq2attn.training.objectives.self_critical import RewardFunction
from seq2attn.training.schedules import near_zero

Said = Callable[[int, int], None]  # is told how much is done, and of how much

SAMPLES = 3  # outputs of the test data that are shown at the end


class Task(abc.ABC):
    """The data of one training, and what is done with a model of them."""

    unit: ClassVar[str]  # what is learned from, in the plural
    names: ClassVar[tuple[str, str, str]]  # of a source, of what is right, and of what the model made
    training: Pairs
    validation: Pairs

    @abc.abstractmethod
    def validation_of(self, stop: Callable[[], bool], said: Said) -> Callable[[Seq2Seq], Scores]:
        """A function that scores a model as `evaluate` does, on the first part of the validation split; it
        raises Interrupted once `stop` says so, and tells `said` how far it is."""

    @abc.abstractmethod
    def critic(self) -> RewardFunction:
        """Who judges what a model draws. Raises UserError where nobody can."""

    @abc.abstractmethod
    def test(self, run: Path, device: str) -> None:
        """Print the score of the run's best weights on each test split, some outputs, and what to type next."""

    def example(self, *values: str) -> str:
        """A source, its reference and what a model made of it, a line each."""
        width = max(map(len, self.names))
        return "\n".join(
            f"  {name:<{width}}  {value}" for name, value in zip(self.names, values, strict=True)
        )


def say_next(run: Path, answer: str, plot: str | None, tests: Sequence[str]) -> None:
    """What to type next. `answer` and `plot` are whole commands, `plot` None where there is no attention to
    draw; without a test split validation is scored.
    """
    commands = [
        answer,
        f"seq2attn evaluate {run}{'' if tests else ' --split valid'}",
        *([] if plot is None else [plot]),
    ]
    console.note("next:\n  " + "\n  ".join(commands))


def looking(stop: Callable[[], bool], said: Said) -> Said:
    """A sign of progress that ends a validation when training shall stop."""

    def look(done: int, total: int) -> None:
        if stop():
            raise Interrupted
        said(done, total)

    return look


def text_scores(
    outputs: Sequence[str],
    references: Sequence[Sequence[str]],
    language: str | None,
    lowercase: bool,
    sample: tuple[str, str, str],
) -> Scores:
    """BLEU of a validation, `references` in parallel sets; and chrF2 where BLEU is near zero."""
    value, beside = bleu(outputs, references, language, lowercase).value, 0.0
    if near_zero("bleu", value, len(outputs)):
        beside = chrf(outputs, references, language, lowercase).value
    return Scores({"bleu": value}, sample, len(outputs), beside)


def quoted(text: str) -> str:
    """For a shell."""
    return "'" + text.replace("'", "'\\''") + "'"
