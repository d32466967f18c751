"""The events of a training on the screen and, if tensorboard is installed, in RUN/tensorboard.

A terminal shows a live line. Elsewhere a line is printed for the first step, for each logged step, and at
least every half minute. Validations and one sample output are lines on both.
"""

import importlib.util
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Self

from seq2attn import files
from seq2attn.cli import console
from seq2attn.cli.console import Clock
from seq2attn.cli.output.progress_line import counted
from seq2attn.config import TrainConfig
from seq2attn.training.events import Event, Finished, Saved, Update, Validation

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

REASONS = {
    "max_steps": "all steps are done",
    "max_minutes": "the time is up",
    "patience": "no gain for train.patience validations",
}
ESTIMATED = 20  # updates of a session after which its duration is said
SHORT = 60.0  # seconds of a training whose duration is not said
SILENCE = 30.0  # seconds without a line, after which one is printed if there is no terminal
SCORES, DIGITS = {"bleu": "BLEU", "cider": "CIDEr-D"}, {"bleu": 1, "cider": 2}


class Display:
    """Shows the events of one run as they come. Only the leading process writes TensorBoard files."""

    def __init__(
        self, run: Path, leads: bool, example: Callable[..., str], settings: TrainConfig | None = None
    ) -> None:
        """`example` writes a source, its reference and the model's output as lines.

        `settings` tell whether steps or minutes end the training.
        """
        self._run, self._leads, self._example = run, leads, example
        self._settings = settings
        self._stack = ExitStack()
        self._line: console.Progress | None = None
        self._pace = console.Pace(SILENCE)
        self._board: SummaryWriter | None = None
        self._scores = ""
        self._updates = 0  # of this session
        self._now: tuple[int, int, str, Clock] | None = None  # content of the live line

    def __enter__(self) -> Self:
        if console.is_terminal():
            self._line = self._stack.enter_context(console.progress())
        if self._leads and importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            with files.refused(self._run / "tensorboard"):
                self._board = SummaryWriter(str(self._run / "tensorboard"))
            self._stack.callback(self._board.close)
            console.note(f"TensorBoard: {self._run / 'tensorboard'}")
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def show(self, event: Event) -> None:
        match event:
            case Update():
                self._progress(event)
            case Validation():
                self._validation(event)
            case Saved():
                pass
            case Finished(reason="interrupted"):
                pass  # `train_run` prints a line that says this and what to do next
            case Finished():
                weights = (
                    f"the best weights are those of step {event.best_step}"
                    if event.best_step
                    else "no weights are kept before the first validation"
                )
                console.note(
                    f"step {event.step}: {REASONS[event.reason]} after "
                    f"{console.duration(event.elapsed)}; {weights}"
                )

    def validating(self, done: int, total: int | None) -> None:
        """Show the progress of a validation, which may take minutes."""
        if self._line is not None and self._now is not None:
            step, steps, facts, clock = self._now
            self._line("training", step, steps, f"validating {counted(done, total)}  {facts}", clock)
        elif self._line is None and self._pace.due():
            self._note(f"validating {counted(done, total)}")

    def _estimate(self, event: Update) -> None:
        """Say once how long the training takes on this machine."""
        self._updates += 1
        if self._updates != ESTIMATED or (total := event.elapsed + event.remaining) < SHORT:
            return
        at_most = "at most " if self._settings is not None and self._settings.patience else ""
        self._note(f"on this machine the training takes {at_most}about {console.duration(total)}")

    def _progress(self, event: Update) -> None:
        self._estimate(event)
        losses, pace = f"loss {event.loss:.3f}", f"{event.speed:,.0f} tokens/s  lr {event.lr:.2g}"
        steps, clock = self._end(event)
        if self._line is not None:
            facts = "  ".join(filter(None, (losses, self._scores, pace)))
            self._now = event.step, steps, facts, clock
            self._line("training", event.step, steps, facts, clock)
        elif event.logged or self._pace.due():
            if clock.limit:
                step, time = (
                    f"step {event.step:,}",
                    f"{console.duration(clock.gone)} of {console.duration(clock.limit)}",
                )
            else:
                step, time = f"step {event.step:,}/{steps:,}", f"{console.duration(event.remaining)} left"
            self._note(
                f"{step}  epoch {event.epoch + 1}  {losses}  {pace}  gradient {event.norm:.2g}  {time}"
            )
        if event.logged:
            self._write(
                event.step,
                {
                    "train/loss": event.loss,
                    "train/tokens_per_second": event.speed,
                    "train/lr": event.lr,
                    "train/gradient_norm": event.norm,
                },
            )

    def _end(self, event: Update) -> tuple[int, Clock]:
        """The number of steps of the training, and its clock.

        If steps and minutes limit the training, the clock is that of the nearer limit. So no total changes.
        """
        settings = self._settings
        if settings is None or settings.max_minutes is None:
            return event.steps, Clock(event.elapsed, event.remaining)
        limit = 60 * settings.max_minutes
        if event.step / settings.max_steps > event.elapsed / limit:
            return settings.max_steps, Clock(event.elapsed, event.remaining)
        return settings.max_steps, Clock(event.elapsed, event.remaining, limit)

    def _note(self, text: str) -> None:
        console.note(text)
        self._pace.printed()

    def _validation(self, event: Validation) -> None:
        self._scores = "  ".join(
            [
                f"valid {event.loss:.3f}",
                *(f"{SCORES[name]} {value:.{DIGITS[name]}f}" for name, value in event.scores.items()),
            ]
        )
        self._note(f"step {event.step:,}  {self._scores}{'  best so far' if event.best else ''}")
        if event.sample is not None:
            console.note(self._example(*event.sample))
        self._write(
            event.step,
            {"valid/loss": event.loss} | {f"valid/{name}": value for name, value in event.scores.items()},
        )

    def _write(self, step: int, values: dict[str, float]) -> None:
        if self._board is not None:
            with files.refused(self._run / "tensorboard"):
                for name, value in values.items():
                    self._board.add_scalar(name, value, step)
