"""What `train` prints: the list of presets, their settings, and a training from its first event to its test.

Signals that ask to stop are handled here.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import typer

from seq2attn import config
from seq2attn.cli import console, settings_help
from seq2attn.cli.signals import StopRequests, handled
from seq2attn.config import Config
from seq2attn.errors import UserError
from seq2attn.tasks import card, presets
from seq2attn.tasks.fitted import FIRST_PRESET
from seq2attn.tasks.from_run import FromRun
from seq2attn.tasks.training import Plan, Training, open_training


def list_presets(word: str) -> None:
    lines = list(presets.listed(config.presets(), word))
    if not lines:
        raise UserError(
            f"--list {word}: no preset has that in its name or description; `seq2attn train --list` lists all"
        )
    for line in lines:
        console.result(line)
    console.note("\n`seq2attn train PRESET --show` prints its paper, measured scores and settings")


def show_settings(plan: Plan, preset: str | None) -> None:
    """Print the description in the file, and every setting with its meaning, as TOML that `train` reads."""
    settings = plan.settings
    if settings is None:
        from seq2attn.runs.directory import open_run

        stored = open_run(plan.out, trained=False).config
        settings = config.change(stored, plan.changes, "--set")
    elif comment := presets.comment(config.file_of(preset or FIRST_PRESET)):
        for line in comment:
            console.result(line)
        console.result()
    for line in settings_help.lines(settings):
        console.result(line)


def run(plan: Plan, device: str, allow_code: bool) -> None:
    """Train, show the events, and print the scores on the test splits and the next commands."""
    from seq2attn.cli.output.training_progress import Display
    from seq2attn.devices import find_device
    from seq2attn.own_code import allow_code as permitted
    from seq2attn.training.distributed import init_distributed

    with (
        permitted(allow_code),
        init_distributed(find_device(device)) as world,
        open_training(plan, console.progress, world) as training,
    ):
        data, run, settings = training.data, training.run, training.run.config
        with _stoppable() as stop:
            display = Display(run.path, world.is_main, data.example, settings.train)
            events = training.events(stop, display.validating)
            with display:
                for event in events:
                    display.show(event)
        assert training.end is not None
        if training.end.reason == "interrupted":
            console.note(_stopped(training.end.step, training.end.best_step, settings))
            raise typer.Exit(130)
        if any(world.sum([stop()])):  # a request during the last save, so the test is left out
            step = training.end.step
            console.note(f"stopped at step {step}, before the test: `seq2attn evaluate {run.path}` scores it")
            raise typer.Exit(130)
        if world.is_main and settings.train.max_minutes is not None:
            console.note("scoring the test splits, which --max-minutes does not count")
        _test(training, device)


def _test(training: Training, device: str) -> None:
    """Print the scores of each test split, some outputs, and the next commands."""
    outputs: dict[str, Sequence[str]] = {}
    tested: dict[str, tuple[str, ...]] = {}
    for result in training.test(device):
        outputs[result.split], tested[result.split] = result.outputs, result.scores
        for line in result.scores:
            console.result(f"{line}  {result.split}")
        for reason in result.reasons:
            console.note(reason)
        for sample in result.samples:
            console.note(f"{training.data.example(*sample)}\n")
    if training.start is not None and training.world.is_main:
        _compare(training, training.start, outputs, device)
    if training.world.is_main:
        card.write(training.run.path, tested)
        allowing = " --allow-code" if training.run.config.model.own_code else ""
        commands = [line + allowing for line in training.data.next_commands(training.run.path)]
        console.note("\n  ".join(["next:", *commands]))


def _compare(training: Training, start: FromRun, outputs: Mapping[str, Sequence[str]], device: str) -> None:
    """Print the scores of the run that this one starts from, and its own, on the new and the old tests."""
    from seq2attn.tasks import from_run_scores

    run, prepared = training.run.path, training.data.prepared
    scores = list(from_run_scores.changes(start, run, prepared, outputs, device, console.progress))
    rows = []
    for one in scores:
        before, after = one.before.value, one.after.value
        data = "new" if one.is_new else "old", console.printable(one.data)
        rows.append(
            [one.split, *data, one.before.name, f"{before:.2f}", f"{after:.2f}", f"{after - before:+.2f}"]
        )
    if rows:
        console.result()
        console.table(["split", "data", "corpus", "score", "before", "after", "change"], rows)
    from_run_scores.advise(scores, start)


def _stopped(step: int, best: int, settings: Config) -> str:
    """The note on an interrupted training: its best weights, and how to continue."""
    every = settings.train.validate_every
    first = min(every * (step // every + 1), settings.train.max_steps)
    weights = f"it cannot translate before its first validation (step {first})"
    if best:
        weights = f"the best weights so far are those of step {best}"
    return f"stopped at step {step}: --resume continues from here; {weights}"


@contextmanager
def _stoppable() -> Iterator[Callable[[], bool]]:
    """A function that returns whether a signal asked to stop after this update.

    A second Ctrl-C or SIGTERM stops at once.
    """
    requests = StopRequests()

    def handle(number: int) -> None:
        if requests.heard(number) and requests.pressing > 1:
            raise KeyboardInterrupt

    with handled(handle, lambda handler: True):
        yield lambda: requests.count > 0
