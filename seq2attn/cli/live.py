"""What training shows: on a terminal a bar with the facts of the moment, elsewhere a line for each logged step; validations and one
sample as lines on both; and the same numbers as TensorBoard files in RUN/tensorboard wherever tensorboard is installed.

It knows the events of training and nothing else.
"""

import importlib.util
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from seq2attn import files
from seq2attn.cli import console
from seq2attn.training.trainer import Event, Finished, Progress, Saved, Validation

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

REASONS = {
    "max_steps": "all steps are done",
    "max_minutes": "the time is up",
    "patience": "no gain for train.patience validations",
    "interrupted": "interrupted",
}
SCORES, DIGITS = {"bleu": "BLEU", "cider": "CIDEr-D"}, {"bleu": 1, "cider": 2}


class Display:
    """Shows the events of one run as they come. Only the leading process writes TensorBoard files."""

    def __init__(self, run: Path, leads: bool, example: Callable[..., str]) -> None:
        """`example` writes a source, its reference and the model's output as lines."""
        self._run, self._leads, self._example = run, leads, example
        self._stack = ExitStack()
        self._bar: console.Progress | None = None
        self._board: SummaryWriter | None = None
        self._scores = ""
        self._steps = 0

    def __enter__(self) -> Self:
        if console.is_terminal():
            self._bar = self._stack.enter_context(console.progress())
        if self._leads and importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            with files.refused(self._run / "tensorboard"):
                self._board = SummaryWriter(str(self._run / "tensorboard"))
            self._stack.callback(self._board.close)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def show(self, event: Event) -> None:
        match event:
            case Progress():
                self._progress(event)
            case Validation():
                self._validation(event)
            case Saved():
                pass
            case Finished():
                kept = f"the best weights are those of step {event.best_step}" if event.best_step else "no weights are kept before the first validation"
                console.note(f"step {event.step}: {REASONS[event.reason]} after {console.duration(event.elapsed)}; {kept}")

    def _progress(self, event: Progress) -> None:
        facts = f"loss {event.loss:.3f}  {event.speed:,.0f} tokens/s  lr {event.lr:.2g}"
        if self._bar is not None:
            if abs(event.steps - self._steps) > 0.05 * self._steps:  # an estimate under max_minutes: the bar forgets its speed whenever it changes
                self._steps = event.steps
            self._bar("training", event.step, self._steps, f"{facts}  {self._scores}".rstrip())
        elif event.logged:
            console.note(
                f"step {event.step:,}/{event.steps:,}  epoch {event.epoch + 1}  {facts}  gradient {event.norm:.2g}  {console.duration(event.remaining)} left"
            )
        if event.logged:
            self._write(event.step, {"train/loss": event.loss, "train/tokens_per_second": event.speed, "train/lr": event.lr, "train/gradient_norm": event.norm})

    def _validation(self, event: Validation) -> None:
        self._scores = "  ".join([f"valid {event.loss:.3f}", *(f"{SCORES[name]} {value:.{DIGITS[name]}f}" for name, value in event.scores.items())])
        console.note(f"step {event.step:,}  {self._scores}{'  best so far' if event.best else ''}")
        if event.sample is not None:
            console.note(self._example(*event.sample))
        self._write(event.step, {"valid/loss": event.loss} | {f"valid/{name}": value for name, value in event.scores.items()})

    def _write(self, step: int, values: dict[str, float]) -> None:
        if self._board is not None:
            with files.refused(self._run / "tensorboard"):
                for name, value in values.items():
                    self._board.add_scalar(name, value, step)
